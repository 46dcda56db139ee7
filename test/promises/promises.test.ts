// The promises that take a whole spoke to keep, each by its number. The others have their named tests where their subject
// is tested; `index.test.ts` sees to it that none is without.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { canonicalJson } from '@weir/shared/crypto/canonical-json.ts';
import { readLayers } from '@weir/shared/bundle/read-layers.ts';
import type { Json } from '@weir/shared/domain/json.ts';
import { createEngine, type PolicyEngine } from '@weir/shared/policy/engine.ts';
import type { PolicyInput } from '@weir/shared/policy/input.ts';
import { readSpokeConfig } from '@weir/spoke/config.ts';
import { createIdentityStore } from '@weir/spoke/io/identity-store.ts';
import { startSpoke, type Spoke } from '@weir/spoke/main.ts';
import { until } from '../federation/local-federation.ts';
import {
  bundleOnDisk,
  exchangeRaw,
  getRaw,
  holdConnections,
  prepareGround,
  readMetric,
  spooledRows,
  told,
  type Ground,
  type RawAnswer,
  type Row,
} from '../trouble/ground.ts';
import { DENIED_LICENCE, MALICIOUS_VERSION, SAMPLES } from '../upstreams/sample-packages.ts';
import { createGate, type Gate } from './gated-disk.ts';
import { opaAnswers } from './opa-answers.ts';

const BLOCK = 'payments';
const WARN = 'research';
const OBSERVE = 'lab';
const PLAIN = `/npm/${SAMPLES.plain}/-/${SAMPLES.plain}-1.0.0.tgz`;
const MALWARE = `/npm/${SAMPLES.malware}/-/${SAMPLES.malware}-${MALICIOUS_VERSION}.tgz`;
const OLD = '2021-03-01T09:00:00.000Z';
/** What the spoke shows its upstream; it must show it to nobody else. */
const CREDENTIAL = `upstream-${createHash('sha256').update(`${process.pid}`).digest('hex')}`;

let ground: Ground;
before(async () => {
  const malicious = [{ ecosystem: 'npm', name: SAMPLES.malware, versions: [MALICIOUS_VERSION] }] as const;
  ground = await prepareGround({
    units: [
      { name: BLOCK },
      { name: WARN, settings: { mode: 'warn' } },
      { name: OBSERVE, settings: { mode: 'observe' } },
    ],
    malicious,
  });
});
after(() => ground?.[Symbol.asyncDispose]());

const get = (unit: string, target: string, headers: readonly string[] = []): Promise<RawAnswer> =>
  getRaw(ground.federation.origin(unit), target, headers);

function changeConfig(unit: string, change: (config: Record<string, unknown>) => void): void {
  const file = join(ground.federation.spokeHome(unit), 'spoke.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  change(config);
  writeFileSync(file, JSON.stringify(config));
}

const request = (target: string, method = 'GET', headers: readonly string[] = []): string =>
  [`${method} ${target} HTTP/1.1`, 'Host: a.test', 'Connection: close', ...headers, '', ''].join('\r\n');

describe('promise 1: nothing leaves before its row is durable', () => {
  const happened: ('durable' | 'byte')[] = [];
  let gate: Gate;
  let spoke: Spoke;
  const large = 'weir-promise-large';

  before(async () => {
    const noise = Array.from({ length: 40_000 }, (_, i) => createHash('sha512').update(`${i}`).digest('base64'));
    const files = { 'noise.txt': noise.join('\n') };
    await ground.npm.publish({ name: large, version: '1.0.0', publishedAt: OLD, license: 'MIT', files });
    await ground.federation.stopSpoke(BLOCK);
    gate = createGate(() => happened.push('durable'));
    const home = ground.federation.spokeHome(BLOCK);
    spoke = await startSpoke({
      home,
      config: readSpokeConfig(readFileSync(join(home, 'spoke.json'), 'utf8')),
      logStream: { write: () => undefined },
      env: {},
      openDisk: (folder) => gate.openDisk(folder),
    });
  });
  after(async () => {
    gate.open();
    await spoke.close();
    await ground.federation.restartSpoke(BLOCK);
  });

  const cases: readonly (readonly [string, string, number])[] = [
    ['an index', request(`/npm/${SAMPLES.plain}`), 200],
    ['an artifact from upstream', request(PLAIN), 200],
    ['an artifact from memory', request(PLAIN), 200],
    ['an artifact asked for again in the same words', request(PLAIN), 200],
    ['the head of an artifact', request(PLAIN, 'HEAD'), 200],
    ['a part of an artifact', request(PLAIN, 'GET', ['Range: bytes=0-9']), 206],
    ['a large artifact', request(`/npm/${large}/-/${large}-1.0.0.tgz`), 200],
    ['a Python index', request(`/pypi/simple/${SAMPLES.plain}/`), 200],
    ['a refusal', request(MALWARE), 403],
    ['a path that cannot be read', request('/npm/%2e%2e'), 400],
    ['a package that is not there', request('/npm/weir-nowhere'), 404],
    ['a publication', request('/npm/x', 'PUT'), 403],
    ['a ping', request('/npm/-/ping'), 200],
    ['what is no HTTP', 'no http\r\n\r\n', 400],
  ];
  for (const [name, bytes, status] of cases) {
    test(name, async () => {
      const begun = gate.begun;
      gate.shut();
      happened.splice(0);
      const answer = exchangeRaw(`http://127.0.0.1:${spoke.registryPort}`, bytes, () => happened.push('byte'));
      await until(() => gate.begun > begun, 'the row is being written');
      // Whoever else asks is answered meanwhile: the loop turns, and still not a byte of this answer.
      for (const _ of [1, 2, 3]) assert.equal((await fetch(`http://127.0.0.1:${spoke.adminPort}/healthz`)).status, 200);
      assert.equal(happened.length, 0, 'no byte has left');
      gate.open();
      assert.equal((await answer).status, status);
      assert.ok(happened.includes('byte'));
      assert.equal(happened[0], 'durable', happened.join());
    });
  }
});

describe('promise 6: the same bundle and the same input give the same bytes everywhere', () => {
  test('on one spoke, on another, and the same findings in OPA itself', async () => {
    const { manifest, digest, layers } = await bundleOnDisk(ground.federation, BLOCK);
    const parsed = readLayers(manifest, (ref) => layers.get(ref.digest));
    const engineOf = (): Promise<PolicyEngine> =>
      createEngine({
        floor: parsed.floor,
        overlay: parsed.overlay,
        rules: parsed.rules,
        exceptions: parsed.exceptions,
        settings: parsed.settings,
        unit: BLOCK,
        bundle: digest,
        readsVersion: manifest.reads_version,
        clock: { monotonicMs: () => performance.now() },
      });
    const [one, other] = await Promise.all([engineOf(), engineOf()]);
    const inputs = parsed.selftest.vectors.filter(({ layer }) => layer === 'floor').map(({ input }) => input as Json);
    assert.ok(inputs.length >= 20, `${inputs.length} inputs`);
    const opa = opaAnswers(inputs, parsed.settings);
    for (const [i, input] of inputs.entries()) {
      const verdicts = (engine: PolicyEngine): string => canonicalJson(engine.decide(input as unknown as PolicyInput));
      const bytes = verdicts(one);
      assert.equal(verdicts(other), bytes);
      assert.equal(verdicts(one), bytes, 'asked again');
      const answer = one.evaluateLayer('floor', input);
      assert.ok(answer.ok);
      assert.equal(canonicalJson(answer.output), canonicalJson(opa[i] ?? null), `input ${i}`);
    }
    one.close();
    other.close();
  });
});

function ask(method: string, target: string, headers: readonly string[]): Promise<RawAnswer> {
  const lines = [`${method} ${target} HTTP/1.1`, 'Host: a.test', 'Connection: close', ...headers, '', ''];
  return exchangeRaw(ground.federation.origin(BLOCK), lines.join('\r\n'));
}

const routes = (etag: string): readonly (readonly [string, readonly string[], string])[] => [
  ['GET', [], 'whole'],
  ['HEAD', [], 'its head'],
  ['GET', ['Range: bytes=0-9'], 'a part'],
  ['GET', ['Range: bytes=0-9', `If-Range: ${etag}`], 'a part of what is known'],
  ['GET', [`If-None-Match: ${etag}`], 'only if it changed'],
  ['GET', ['If-None-Match: *'], 'only if there is none'],
  ['GET', [`If-Modified-Since: ${new Date().toUTCString()}`], 'only if it is newer'],
  ['HEAD', [`If-None-Match: ${etag}`], 'its head only if it changed'],
];
describe('promise 7: one decision, by whatever route it is asked for', () => {
  test('an artifact that was served, and cached, is refused by every route once policy says so', async () => {
    const { copyleft } = SAMPLES;
    const target = `/npm/${copyleft}/-/${copyleft}-1.0.0.tgz`;
    const served = await ask('GET', target, []);
    const etag = served.headers['etag'] ?? '';
    assert.deepEqual([served.status, etag === ''], [200, false]);
    for (const [method, headers, what] of routes(etag)) {
      const { status } = await ask(method, target, headers);
      assert.ok([200, 206, 304].includes(status), `${method} ${what}: ${status}`);
    }
    const settings = { anonymous: true, policy: { licences_denied: [DENIED_LICENCE] } };
    const active = ground.federation.spoke(BLOCK).activeBundle();
    await ground.federation.console.units.updateSettings({ unit: BLOCK, settings: JSON.stringify(settings) });
    await until(() => ground.federation.spoke(BLOCK).activeBundle() !== active, 'the new settings are active');
    const rows = await ground.rowsOf(BLOCK, async () => {
      for (const [method, headers, what] of routes(etag)) {
        const answer = await ask(method, target, headers);
        assert.equal(answer.status, 403, `${method} ${what}`);
        assert.equal(answer.headers['x-weir-rule'], 'WEIR-LIC-001', `${method} ${what}`);
        assert.equal(answer.body.includes('package.json'), false);
      }
    });
    // The spoke's own row about its new bundle may come in between.
    const asked = rows.filter(({ action }) => action !== 'event');
    assert.equal(asked.length, routes(etag).length);
    assert.equal(new Set(asked.map(({ level, rules }) => JSON.stringify([level, rules]))).size, 1);
  });

  test('a version hidden in a view is refused at its artifact and by itself, and all name the same rule', async () => {
    const { fresh } = SAMPLES;
    for (const accept of ['application/json', 'application/vnd.npm.install-v1+json']) {
      const view = await ask('GET', `/npm/${fresh}`, [`Accept: ${accept}`]);
      const { versions } = JSON.parse(view.body.toString()) as { versions: Record<string, unknown> };
      assert.deepEqual(Object.keys(versions), ['1.0.0', '1.1.0'], accept);
    }
    const [row] = await ground.rowsOf(BLOCK, () => ask('GET', `/npm/${fresh}`, []));
    assert.deepEqual(row?.['hidden'], ['1.2.0']);
    for (const target of [`/npm/${fresh}/-/${fresh}-1.2.0.tgz`, `/npm/${fresh}/1.2.0`]) {
      const refusal = await ask('GET', target, []);
      assert.deepEqual([refusal.status, refusal.headers['x-weir-rule']], [403, row?.rules[0]?.rule], target);
    }
  });
});

describe('promise 8: nothing fails open silently', () => {
  for (const [unit, mode] of [
    [WARN, 'warn'],
    [OBSERVE, 'observe'],
  ] as const) {
    test(`what ${mode} lets through leaves a row that says so`, async () => {
      let answer: RawAnswer | undefined;
      const rows = await ground.rowsOf(unit, async () => {
        answer = await get(unit, MALWARE);
      });
      assert.equal(answer?.status, 200);
      const [row] = rows;
      assert.deepEqual(
        [rows.length, row?.outcome, row?.level, row?.enforced, row?.mode, row?.rules[0]?.rule],
        [1, 'served_unenforced', 'deny', false, mode, 'WEIR-MAL-001'],
      );
    });
  }

  test('without any policy everything is refused, with a row', async () => {
    const { federation } = ground;
    const home = federation.spokeHome(OBSERVE);
    await federation.stopSpoke(OBSERVE);
    await federation.stopHub();
    const hidden = ['current', 'previous'].map((name) => join(home, 'bundles', name));
    const kept = hidden.map((file) => ({ file, text: readText(file) }));
    for (const { file } of kept) writeFileSync(file, `sha256:${'0'.repeat(64)}\n`);
    await federation.restartSpoke(OBSERVE);
    for (const target of [PLAIN, `/npm/${SAMPLES.plain}`, '/npm/-/ping']) {
      const answer = await get(OBSERVE, target);
      assert.deepEqual([answer.status, /no verified policy/.test(answer.body.toString())], [503, true], target);
    }
    const row = (await spooledRows(federation, OBSERVE)).at(-1);
    assert.deepEqual([row?.outcome, row?.level, row?.mode], ['no_policy', 'deny', 'block']);
    await federation.stopSpoke(OBSERVE);
    for (const { file, text } of kept) if (text !== undefined) writeFileSync(file, text);
    await federation.startHub();
    await federation.restartSpoke(OBSERVE);
    assert.equal((await get(OBSERVE, PLAIN)).status, 200);
  });
});

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

describe('promise 10: secrets land nowhere, and no client learns where upstream is', () => {
  test('after traffic with every kind of secret none is in an answer, a row, a log line or a metric', async () => {
    const { federation } = ground;
    const credentials = join(federation.folder, 'upstream-credential');
    writeFileSync(credentials, CREDENTIAL, { mode: 0o600 });
    changeConfig(BLOCK, (config) => {
      const { npm } = config['upstreams'] as { npm: Record<string, unknown> };
      npm['credentials_file'] = credentials;
    });
    await federation.restartSpoke(BLOCK);
    const { secret: unitToken } = await federation.console.tokens.createToken({
      unit: BLOCK,
      principal: 'ann.example',
    });
    const isKnown = async (): Promise<boolean> =>
      (await get(BLOCK, PLAIN, [`Authorization: Bearer ${unitToken}`])).status === 200;
    await until(isKnown, 'the token reaches the spoke');
    const { joinToken } = await federation.console.spokes.invite({ unit: BLOCK, spoke: 'another', ttlS: 60 });
    const operator = readFileSync(federation.hub.operatorTokenFile, 'utf8').trim();
    const basic = Buffer.from(`someone:${unitToken}`).toString('base64');
    const presented: readonly string[][] = [
      [`Authorization: Bearer ${unitToken}`],
      [`Authorization: Basic ${basic}`],
      [`Authorization: Bearer ${operator}`],
      [`Authorization: Bearer ${joinToken}`],
      [`Authorization: Bearer ${unitToken}`, `Authorization: Bearer ${operator}`],
      [`X-Note: ${unitToken}`, `Referer: http://a.test/?token=${unitToken}`],
    ];
    const answers: RawAnswer[] = [];
    for (const headers of presented) {
      for (const target of [
        PLAIN,
        MALWARE,
        `/npm/${SAMPLES.plain}`,
        `/pypi/simple/${SAMPLES.plain}/`,
        '/npm/-/whoami',
        '/npm/weir-not-there',
        `/npm/${SAMPLES.plain}?token=${unitToken}`,
        `/npm/%2e%2e?_authToken=${operator}`,
        `/npm/weir-${'x'.repeat(20)}%00${unitToken}`,
      ]) {
        answers.push(await get(BLOCK, target, headers));
      }
    }
    ground.npm.trouble.set(/./, { kind: 'status', status: 500, body: `failed for ${CREDENTIAL}` });
    answers.push(await get(BLOCK, '/npm/weir-failing'));
    ground.npm.trouble.set(/./, { kind: 'redirect', location: `http://${CREDENTIAL}@10.0.0.1/${CREDENTIAL}` });
    answers.push(await get(BLOCK, '/npm/weir-led-astray'));
    ground.npm.trouble.clear();
    assert.ok(ground.npm.requests.some(({ headers }) => headers['authorization'] === `Bearer ${CREDENTIAL}`));
    assert.ok(!ground.pypi.requests.some(({ headers }) => JSON.stringify(headers).includes(CREDENTIAL)));

    const { unit_salt: salt } = createIdentityStore(federation.spokeHome(BLOCK)).read();
    const rows = JSON.stringify(await federation.rows(BLOCK));
    const metrics = await Promise.all(
      [federation.spoke(BLOCK).adminPort, federation.hub.addresses.admin.port].map(async (port) =>
        (await fetch(`http://127.0.0.1:${port}/metrics`)).text(),
      ),
    );
    const status = await (await fetch(`http://127.0.0.1:${federation.spoke(BLOCK).adminPort}/status`)).text();
    const shown = answers.map(({ reason, headers, body }) => `${reason} ${JSON.stringify(headers)} ${body.toString()}`);
    const places = {
      rows,
      logs: federation.log.join(''),
      metrics: metrics.join(''),
      status,
      answers: shown.join('\n'),
    };
    const secrets = {
      'the token of a unit': unitToken,
      'the token of a unit as Basic': basic,
      'the token of an operator': operator,
      'a join token': joinToken,
      "upstream's credential": CREDENTIAL,
      'the salt of a unit': salt,
    };
    for (const [place, text] of Object.entries(places)) {
      assert.ok(text.length > 100, `there is something in ${place}`);
      for (const [name, secret] of Object.entries(secrets)) {
        assert.ok(secret.length > 20, name);
        assert.ok(!text.includes(secret), `${name} is in the ${place}`);
      }
    }
    for (const place of ['rows', 'metrics', 'status', 'answers'] as const) {
      for (const { origin } of [ground.npm, ground.pypi]) {
        assert.ok(!places[place].includes(new URL(origin).host), `upstream's address is in the ${place}`);
      }
    }
    assert.ok(!rows.includes('ann.example'), 'a person is a pseudonym in rows');
  });
});

describe('promise 11: what comes in has a bound, a number and an answer', () => {
  test('an index document over its bound is refused and counted', async () => {
    ground.npm.trouble.set('/weir-boundless', { kind: 'endless', bytes: 128 << 20 });
    const failures = await ground.metric(BLOCK, 'weir_spoke_upstream_failures_total');
    const answer = await get(BLOCK, '/npm/weir-boundless');
    ground.npm.trouble.clear();
    assert.deepEqual([answer.status, told(answer.body).title], [403, 'Too large']);
    assert.equal(await ground.metric(BLOCK, 'weir_spoke_upstream_failures_total'), failures + 1);
  });

  test('a request body over its bound is refused with a row', async () => {
    const head = `POST /npm/-/npm/v1/security/advisories/bulk HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n`;
    let answer: RawAnswer | undefined;
    const rows: readonly Row[] = await ground.rowsOf(BLOCK, async () => {
      answer = await exchangeRaw(ground.federation.origin(BLOCK), `${head}Content-Length: ${64 << 20}\r\n\r\n`);
    });
    assert.deepEqual([answer?.status, rows[0]?.outcome, rows.length], [403, 'too_large', 1]);
  });

  test('headers over their bound are turned away, recorded and counted', async () => {
    const turned = (): Promise<number> => metricOrZero(BLOCK, 'weir_spoke_http_turned_away_total');
    const earlier = await turned();
    const answer = await get(BLOCK, PLAIN, [`X-Long: ${'a'.repeat(60_000)}`]);
    assert.equal(answer.status, 431);
    assert.equal(await turned(), earlier + 1);
  });

  test('connections over their bound are closed and counted, and a freed place is taken', async () => {
    changeConfig(BLOCK, (config) => {
      config['limits'] = { ...(config['limits'] as object), connections: 4 };
    });
    await ground.federation.restartSpoke(BLOCK);
    const held = await holdConnections(ground.federation.origin(BLOCK), 4);
    assert.equal((await get(BLOCK, PLAIN)).status, 0, 'closed without an answer');
    await until(async () => (await metricOrZero(BLOCK, 'weir_spoke_http_dropped_total')) >= 1, 'it is counted');
    held.close();
    await until(async () => (await get(BLOCK, PLAIN)).status === 200, 'the freed place is taken');
  });
});

async function metricOrZero(unit: string, name: string): Promise<number> {
  return readMetric(ground.federation.spoke(unit).adminPort, name).catch(() => 0);
}
