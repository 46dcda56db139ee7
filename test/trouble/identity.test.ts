// Who may do what: tokens at a spoke with the hub there and away, the certificate of one unit used against another, and
// every way to become a spoke without being invited.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { AuditService, PositionRequestSchema, UploadRequestSchema } from '@weir/proto/weir/audit/v1/audit_pb.ts';
import {
  BundleService,
  CurrentRequestSchema,
  FetchEnvelopeRequestSchema,
  FetchLayerRequestSchema,
} from '@weir/proto/weir/bundle/v1/bundle_pb.ts';
import { formatToken } from '@weir/shared/domain/token.ts';
import { grpcMethods } from '@weir/shared/wire/grpc-methods.ts';
import { createHubChannel, type HubChannel } from '@weir/spoke/io/hub-channel.ts';
import { createIdentityStore } from '@weir/spoke/io/identity-store.ts';
import { joinHub } from '@weir/spoke/io/join-hub.ts';
import { startSpoke } from '@weir/spoke/main.ts';
import { readSpokeConfig } from '@weir/spoke/config.ts';
import { until } from '../federation/local-federation.ts';
import { SAMPLES } from '../upstreams/sample-packages.ts';
import { bundleOnDisk, getRaw, prepareGround, spooledRows, statusOf, type Ground, type RawAnswer } from './ground.ts';

const PLAIN = `/npm/${SAMPLES.plain}/-/${SAMPLES.plain}-1.0.0.tgz`;
const ROOT = join(import.meta.dirname, '..', '..');
const PAGE = { size: 200, cursor: '' };

let ground: Ground;
let valid: { id: string; secret: string };
let revoked: { id: string; secret: string };
let passing: { id: string; secret: string };
let foreign: { id: string; secret: string };

before(async () => {
  ground = await prepareGround({
    units: [
      { name: 'payments', settings: { anonymous: false } },
      { name: 'research', settings: { anonymous: false } },
    ],
  });
  valid = await tokenOf('payments', 'ci');
  revoked = await tokenOf('payments', 'former');
  foreign = await tokenOf('research', 'ci');
  await ground.federation.console.tokens.revokeToken({ id: revoked.id });
  // Each change made a bundle; what counts is that the last one is there.
  await until(isInStep, 'tokens and revocation reach the spoke');
  passing = await expiredToken();
});
after(() => ground?.[Symbol.asyncDispose]());

async function isInStep(): Promise<boolean> {
  const { units } = await ground.federation.console.units.listUnits({});
  const newest = units.find(({ name }) => name === 'payments')?.bundle?.digest?.value;
  return newest !== undefined && newest === ground.federation.spoke('payments').activeBundle();
}

/** A token that ended after the spoke had heard of it: on a busy machine it must live longer for that. */
async function expiredToken(): Promise<{ id: string; secret: string }> {
  for (let ttlS = 1n; ttlS < 100n; ttlS *= 3n) {
    const token = await tokenOf('payments', `guest-${ttlS}`, ttlS);
    await until(isInStep, 'the token reaches the spoke');
    let answer = await get(PLAIN, bearer(token.secret));
    if (answer.status === 401 && !/has expired/.test(answer.body.toString())) continue;
    await until(async () => {
      answer = await get(PLAIN, bearer(token.secret));
      return answer.status === 401;
    }, 'the short-lived token ends');
    return token;
  }
  throw new Error('no token reached the spoke before it ended');
}

async function tokenOf(unit: string, principal: string, ttlS = 0n): Promise<{ id: string; secret: string }> {
  const { token, secret } = await ground.federation.console.tokens.createToken({ unit, principal, ttlS });
  return { id: token?.id ?? '', secret };
}

const get = (target: string, headers: readonly string[] = [], unit = 'payments'): Promise<RawAnswer> =>
  getRaw(ground.federation.origin(unit), target, headers);
const bearer = (secret: string): string[] => [`Authorization: Bearer ${secret}`];
const basic = (text: string): string[] => [`Authorization: Basic ${Buffer.from(text).toString('base64')}`];

const nobodys = formatToken('payments', new Uint8Array(32).fill(9));

type Presented = readonly [name: string, headers: () => readonly string[], status: number, sentence: RegExp];
const refused: readonly Presented[] = [
  ['no token', () => [], 401, /needs a token of its unit/],
  ['a token of nobody', () => bearer(nobodys), 401, /unknown here or has been revoked/],
  ['a revoked token', () => bearer(revoked.secret), 401, /unknown here or has been revoked/],
  ['a token that has expired', () => bearer(passing.secret), 401, /has expired/],
  ['a token of another unit', () => bearer(foreign.secret), 403, /belongs to another unit/],
  ['a token of a unit that nobody knows', () => bearer(formatToken('ghost', new Uint8Array(32))), 403, /another unit/],
  ['a word that is no token', () => bearer('letmein'), 401, /no token of this registry/],
  ['a user name alone', () => basic('ci:'), 401, /no token of this registry/],
  ['a valid token under a wrong scheme', () => [`Authorization: Token ${valid.secret}`], 401, /no token/],
  ['the token of an operator', () => bearer(operatorToken()), 401, /no token of this registry/],
  ['a valid token with more at its end', () => bearer(`${valid.secret}x`), 401, /no token of this registry/],
];
const accepted: readonly (readonly [string, () => readonly string[]])[] = [
  ['Bearer', () => bearer(valid.secret)],
  ['the password of Basic', () => basic(`anyone:${valid.secret}`)],
  ['the user of Basic', () => basic(`${valid.secret}:`)],
];

function operatorToken(): string {
  return readFileSync(ground.federation.hub.operatorTokenFile, 'utf8').trim();
}

function describeTokens(when: string): void {
  describe(`tokens ${when}`, () => {
    for (const [name, headers, status, sentence] of refused) {
      test(`${name}: ${status} in a sentence, and a row`, async () => {
        for (const target of [PLAIN, `/npm/${SAMPLES.plain}`, `/pypi/simple/${SAMPLES.plain}/`, '/npm/-/whoami']) {
          const upstream = ground.upstreamRequests();
          const answer = await get(target, headers());
          // Python clients say more about a 401 than about a 403.
          const expected = target.startsWith('/pypi') ? 401 : status;
          assert.deepEqual([answer.status, ground.upstreamRequests()], [expected, upstream], target);
          assert.match(answer.body.toString(), sentence);
          const row = (await spooledRows(ground.federation, 'payments')).findLast(
            ({ code }) => code !== '' && answer.body.includes(code),
          );
          assert.deepEqual(
            [row?.outcome, row?.status, row?.level, row?.actor.kind, row?.rules[0]?.rule],
            [status === 401 ? 'unauthenticated' : 'forbidden', expected, 'deny', 'unknown', 'WEIR-HOST-011'],
          );
        }
      });
    }

    for (const [name, headers] of accepted) {
      test(`a valid one is taken as ${name}`, async () => {
        assert.equal((await get(PLAIN, headers())).status, 200);
        const row = (await spooledRows(ground.federation, 'payments')).findLast(({ action }) => action === 'install');
        assert.deepEqual([row?.outcome, row?.actor.kind], ['served', 'token']);
        assert.match(row?.actor.id ?? '', /^h:[0-9a-f]{32}$/, 'a pseudonym, not a name');
      });
    }
  });
}

describeTokens('with the hub at hand');

describe('promise 9: with the certificate of another unit', () => {
  let channel: HubChannel;
  const aborted = new AbortController().signal;
  const bundles = grpcMethods(BundleService);
  const audit = grpcMethods(AuditService);

  before(() => {
    const { federation } = ground;
    const identity = createIdentityStore(federation.spokeHome('research')).read();
    channel = createHubChannel([`127.0.0.1:${federation.hub.addresses.federation.port}`], identity);
  });
  after(() => channel.close());

  test('neither the envelope nor a layer of a bundle can be had', async () => {
    const { digest, manifest } = await bundleOnDisk(ground.federation, 'payments');
    const own = await bundleOnDisk(ground.federation, 'research');
    const envelope = create(FetchEnvelopeRequestSchema, { bundle: { value: digest } });
    await assert.rejects(channel.unary(bundles.fetchEnvelope, envelope, aborted), { code: 'not_found' });
    const identities = manifest.layers.find(({ name }) => name === 'identities')?.digest ?? digest;
    for (const bundle of [digest, own.digest]) {
      const request = create(FetchLayerRequestSchema, { bundle: { value: bundle }, layer: { value: identities } });
      await assert.rejects(
        async () => {
          for await (const chunk of channel.serverStream(bundles.fetchLayer, request)) assert.fail(`${chunk.offset}`);
        },
        { code: 5 },
      );
    }
    const { offer } = await channel.unary(bundles.current, create(CurrentRequestSchema), aborted);
    assert.equal(offer?.bundle?.digest?.value, own.digest, 'what is offered is its own');
  });

  test('rows can neither be written into the log nor its end be asked for', async () => {
    const { log } = (await statusOf(ground.federation, 'payments')).log;
    const position = create(PositionRequestSchema, { log, instance: 'here' });
    await assert.rejects(channel.unary(audit.position, position, aborted), { code: 'forbidden' });
    const upload = channel.duplex(audit.upload);
    const [row] = await spooledRows(ground.federation, 'payments');
    const rows = [Buffer.from(JSON.stringify(row))];
    upload.write(create(UploadRequestSchema, { batch: { log, firstIndex: 0n, rows } }));
    for await (const { result } of upload) {
      assert.deepEqual([result.case, result.case === 'nack' && result.value.code], ['nack', 'wrong_identity']);
      break;
    }
    upload.cancel();
  });

  test('queries of one unit show no row, token, spoke, bundle or event of the other', async () => {
    const { console } = ground.federation;
    await ground.federation.rows('payments');
    const unit = 'payments';
    const { rows } = await console.audit.query({ filter: { unit }, page: PAGE });
    assert.ok(rows.length > 0 && rows.every(({ log }) => log.startsWith('payments.')));
    const { tokens } = await console.tokens.listTokens({ unit, page: PAGE });
    assert.deepEqual(new Set(tokens.map((token) => token.unit)), new Set([unit]));
    const { spokes } = await console.fleet.listSpokes({ unit, page: PAGE });
    assert.deepEqual(
      spokes.map((spoke) => spoke.name),
      ['payments-1'],
    );
    const listed = await console.policy.listBundles({ unit, page: PAGE });
    assert.deepEqual(new Set(listed.bundles.map((bundle) => bundle.unit)), new Set([unit]));
    const { events } = await console.events.listEvents({ unit, page: PAGE });
    assert.deepEqual(new Set(events.map((event) => event.unit)), new Set([unit]));
  });
});

const invite = async (spoke: string, ttlS = 60) => {
  const { joinToken, caPin, joinAddresses } = await ground.federation.console.spokes.invite({
    unit: 'payments',
    spoke,
    ttlS,
  });
  return { joinToken, caPin, address: joinAddresses[0] ?? '', spoke, site: 'test' };
};
const alarms = async (): Promise<readonly { kind: string; detail: string }[]> => {
  const { events } = await ground.federation.console.events.listEvents({ alarms: true, page: PAGE });
  return events.map(({ kind, detail }) => ({ kind, detail }));
};

describe('joining', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'weir-join-'));
  after(() => rmSync(scratch, { recursive: true, force: true }));

  const misuses: readonly (readonly [string, string, (n: number) => Promise<Parameters<typeof joinHub>[0]>])[] = [
    [
      'a token that has been used',
      'join_token_reused',
      async (n) => {
        const invitation = await invite(`once-${n}`);
        await joinHub(invitation);
        return invitation;
      },
    ],
    [
      'a token whose time is over',
      'join_token_expired',
      async (n) => {
        const invitation = await invite(`late-${n}`, 1);
        await new Promise((resolve) => setTimeout(resolve, 1_100));
        return invitation;
      },
    ],
    [
      "another spoke's token",
      'join_token_wrong_spoke',
      async (n) => ({ ...(await invite(`meant-${n}`)), spoke: `taker-${n}` }),
    ],
    [
      'a token that nobody issued',
      'join_token_unknown',
      async (n) => ({ ...(await invite(`guess-${n}`)), joinToken: `weirjoin_${'A'.repeat(43)}` }),
    ],
  ];
  for (const [i, [name, kind, prepare]] of misuses.entries()) {
    test(`with ${name} is refused and raises an alarm at the hub`, async () => {
      const request = await prepare(i);
      const earlier = (await alarms()).filter((alarm) => alarm.kind === kind).length;
      await assert.rejects(joinHub(request), { code: 'unauthenticated', message: /join token is not valid/ });
      const raised = (await alarms()).filter((alarm) => alarm.kind === kind);
      assert.equal(raised.length, earlier + 1);
      assert.ok(!JSON.stringify(raised).includes(request.joinToken), 'the alarm does not tell the token');
    });
  }

  test('at a hub that is not the pinned one sends no token', async () => {
    const invitation = await invite('careful');
    await assert.rejects(joinHub({ ...invitation, caPin: `sha256:${'0'.repeat(64)}` }), { code: 'untrusted' });
    await joinHub(invitation);
  });

  test('as a spoke that lives is refused already at the invitation', async () => {
    await assert.rejects(invite('payments-1'), /live identity/);
  });

  test('over an identity on disk is refused and leaves it as it is', async () => {
    const home = ground.federation.spokeHome('payments');
    const present = readFileSync(join(home, 'spoke.json'), 'utf8');
    const identity = createIdentityStore(home).read();
    const invitation = await invite('second');
    const { code, stderr } = await weir(
      ['spoke', 'init', '--home', home, '--name', 'second', '--hub', invitation.address, '--ca-pin', invitation.caPin],
      { WEIR_JOIN_TOKEN: invitation.joinToken },
    );
    assert.deepEqual([code, /already is spoke payments-1 of unit payments/.test(stderr)], [3, true], stderr);
    assert.deepEqual(createIdentityStore(home).read(), identity);
    assert.equal(readFileSync(join(home, 'spoke.json'), 'utf8'), present);
    await joinHub(invitation);
  });

  test('is the only way to begin: without an identity nothing enforces', async () => {
    const config = readSpokeConfig(readFileSync(join(ground.federation.spokeHome('payments'), 'spoke.json'), 'utf8'));
    const logStream = { write: () => undefined };
    await assert.rejects(startSpoke({ home: join(scratch, 'empty'), config, logStream, env: {} }), {
      code: 'not_found',
    });
    const { code, stderr } = await weir(['spoke', 'run', '--home', join(scratch, 'nowhere')], {});
    assert.deepEqual([code, /weir spoke init/.test(stderr)], [4, true], stderr);
  });
});

function weir(args: readonly string[], env: Record<string, string>): Promise<{ code: number; stderr: string }> {
  return new Promise((resolve) => {
    const options = { env: { PATH: process.env['PATH'], ...env }, timeout: 30_000 };
    execFile(process.execPath, [join(ROOT, 'weir.ts'), ...args], options, (error, _stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stderr }),
    );
  });
}

describe('with the hub closed', () => {
  before(() => ground.federation.stopHub());

  describeTokens('with the hub closed');

  test('a spoke that is started anew knows them as well', async () => {
    await ground.federation.restartSpoke('payments');
    assert.equal((await get(PLAIN, bearer(valid.secret))).status, 200);
    assert.equal((await get(PLAIN, bearer(revoked.secret))).status, 401);
    assert.equal((await get(PLAIN)).status, 401);
  });
});

describe('a spoke whose identity was revoked', () => {
  before(() => ground.federation.startHub());

  test('hears nothing from the hub any more and goes on refusing by what it has', async () => {
    const { federation } = ground;
    // The hub, started anew, may have something newer to say; what it says after the revocation is what counts.
    await federation.rows('payments');
    await until(isInStep, 'the spoke is in step');
    const active = federation.spoke('payments').activeBundle();
    await federation.console.spokes.revoke({ unit: 'payments', spoke: 'payments-1', reason: 'test' });
    await federation.console.units.updateSettings({ unit: 'payments', settings: JSON.stringify({ anonymous: true }) });
    await until(
      async () => (await statusOf(federation, 'payments')).log.upload.state !== 'shipping',
      'its upload ends',
    );
    assert.equal(federation.spoke('payments').activeBundle(), active);
    assert.equal((await get(PLAIN)).status, 401);
    const { spokes } = await federation.console.fleet.listSpokes({ unit: 'payments', page: PAGE });
    assert.equal(spokes.find(({ name }) => name === 'payments-1')?.connected ?? false, false);
  });
});
