// Bundles that must not run, offered over the real federation port by a hub in the wrong hands: the spoke keeps what it
// has, goes on judging by it, says why to the hub and in its own log, and is in step again when the true hub is back.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileSigner, loadOrCreateSigningKey } from '@weir/hub/io/signing-key.ts';
import { readEnvelope } from '@weir/shared/bundle/envelope.ts';
import type { NackCode } from '@weir/shared/bundle/refusal.ts';
import { digestOf, type Digest } from '@weir/shared/domain/digest.ts';
import { overlayEntrypoint } from '@weir/shared/policy/input.ts';
import type { Signer } from '@weir/hub/bundle/signer.ts';
import { generateKeyPairSync } from 'node:crypto';
import { forge, signAnything, withPayload, type LooseBundle } from '../bundle/forge.ts';
import { startHostileHub, type HostileHub, type Offering } from '../federation/hostile-hub.ts';
import { until } from '../federation/local-federation.ts';
import { buildPolicy } from '../policy/engine/opa.ts';
import { MALICIOUS_VERSION, SAMPLES } from '../upstreams/sample-packages.ts';
import {
  bundleOnDisk,
  getRaw,
  prepareGround,
  spooledRows,
  statusOf,
  told,
  type Ground,
  type RawAnswer,
  type Row,
} from './ground.ts';

/** Judges whatever bundles do to it. */
const VICTIM = 'payments';
/** Runs properly signed policies that misbehave. */
const HOST = 'research';
const MALWARE = `/npm/${SAMPLES.malware}/-/${SAMPLES.malware}-${MALICIOUS_VERSION}.tgz`;
const PLAIN = `/npm/${SAMPLES.plain}/-/${SAMPLES.plain}-1.0.0.tgz`;
const FAR = 1000;

let ground: Ground;
let hostile: HostileHub;
let signer: Signer;
let genuine: LooseBundle;
let older: LooseBundle;
let foreignUnit: LooseBundle;
let withOverlay: LooseBundle;

before(async () => {
  ground = await prepareGround({
    units: [{ name: VICTIM }, { name: HOST }],
    malicious: [{ ecosystem: 'npm', name: SAMPLES.malware, versions: [MALICIOUS_VERSION] }],
  });
  const { federation } = ground;
  older = await bundleOnDisk(federation, VICTIM);
  // A second bundle, so that there is an older one.
  await federation.console.tokens.createToken({ unit: VICTIM, principal: 'somebody' });
  const isNewer = (): boolean => federation.spoke(VICTIM).activeBundle() !== older.digest;
  await until(isNewer, 'the spoke activates the second bundle');
  genuine = await bundleOnDisk(federation, VICTIM);
  foreignUnit = await bundleOnDisk(federation, HOST);
  withOverlay = openToOverlays(foreignUnit);
  signer = await loadOrCreateSigningKey(join(federation.hubHome, 'signing-key.pem'));
  const { port } = federation.hub.addresses.federation;
  await federation.stopHub();
  hostile = await startHostileHub({ hubHome: federation.hubHome, workspace: 'weir', port });
});
after(async () => {
  await hostile?.[Symbol.asyncDispose]();
  await ground?.[Symbol.asyncDispose]();
});

const get = (unit: string, target: string): Promise<RawAnswer> => getRaw(ground.federation.origin(unit), target);

async function rowOfCode(unit: string, code: string): Promise<Row> {
  const row = (await spooledRows(ground.federation, unit)).find((each) => each.code === code);
  assert.ok(row !== undefined, `the log has the row of ${code}`);
  return row;
}

function stranger(): Signer {
  return fileSigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
}

const now = (): number => Math.floor(Date.now() / 1000);
let version = FAR;
/** A version that has not been offered yet: what was refused once is not looked at again. */
function next(): { version: number } {
  version += 1;
  return { version };
}

function layerJson(name: string): Record<string, unknown> {
  const ref = genuine.manifest.layers.find((layer) => layer.name === name);
  return JSON.parse(Buffer.from((ref && genuine.layers.get(ref.digest)) ?? '{}').toString()) as Record<string, unknown>;
}

const forged = async (changes: Parameters<typeof forge>[2], by = signer): Promise<Offering> => ({
  bundle: await forge(genuine, by, changes),
});

describe('promise 3: only verified bundles run, so of a spoke that is offered one', () => {
  type Case = readonly [name: string, make: () => Promise<Offering> | Offering, nack: NackCode];
  const cases: readonly Case[] = [
    [
      'whose statement was tampered with',
      () => {
        const text = Buffer.from(readEnvelope(genuine.envelope).payload).toString();
        const { version: newer } = next();
        const changed = Buffer.from(text.replace(/"version":\d+/, `"version":${newer}`));
        const envelope = withPayload(genuine.envelope, changed);
        return {
          bundle: {
            ...genuine,
            envelope,
            digest: digestOf(changed),
            manifest: { ...genuine.manifest, version: newer },
          },
        };
      },
      'bad_signature',
    ],
    [
      'one of whose layers was tampered with',
      async () => {
        const { bundle } = await forged({ manifest: next(), layers: { intel: { ...layerJson('intel'), spare: 1 } } });
        const ref = bundle.manifest.layers.find(({ name }) => name === 'intel');
        assert.ok(ref !== undefined);
        const bytes = bundle.layers.get(ref.digest) ?? new Uint8Array();
        return { bundle: { ...bundle, layers: new Map(bundle.layers).set(ref.digest, bytes.with(20, 0x21)) } };
      },
      'bad_layer_digest',
    ],
    ['that ran before this one', () => ({ bundle: older }), 'rollback'],
    [
      'of the running version with other content',
      () => forged({ manifest: { issued_at: genuine.manifest.issued_at - 1 } }),
      'rollback',
    ],
    ['signed by a stranger', () => forged({ manifest: next() }, stranger()), 'unknown_key'],
    [
      'signed by a stranger in the name of the true key',
      () => forged({ manifest: next() }, { ...stranger(), keyId: signer.keyId }),
      'bad_signature',
    ],
    ['for another unit', () => ({ bundle: foreignUnit }), 'wrong_audience'],
    ['of another workspace', () => forged({ manifest: { ...next(), workspace: 'elsewhere' } }), 'wrong_workspace'],
    [
      'that has expired',
      () => forged({ manifest: { ...next(), issued_at: now() - 7200, expires: now() - 3600 } }),
      'expired',
    ],
    [
      'from the future',
      () => forged({ manifest: { ...next(), issued_at: now() + 3600, expires: now() + 7200 } }),
      'not_yet_valid',
    ],
    ['for an engine of the future', () => forged({ manifest: { ...next(), min_engine: 'weir/9' } }), 'engine_too_old'],
    [
      'whose self-test does not come true',
      () => {
        const selftest = layerJson('selftest') as { vectors: { output: { findings: unknown[] } }[] };
        selftest.vectors[0]?.output.findings.push({ candidate: 0 });
        return forged({ manifest: next(), layers: { selftest } });
      },
      'selftest_failed',
    ],
    [
      'that proves nothing of itself',
      () => forged({ manifest: next(), layers: { selftest: { schema: 'weir.selftest/v1', vectors: [] } } }),
      'selftest_failed',
    ],
    [
      'with a layer that says it is too large',
      () => {
        const layers = genuine.manifest.layers.map((ref) => (ref.name === 'floor' ? { ...ref, size: 5 << 20 } : ref));
        return forged({ manifest: { ...next(), layers } });
      },
      'oversized_layer',
    ],
    [
      'with a layer that is longer than it says',
      async () => {
        const { bundle } = await forged({ manifest: next(), layers: { intel: { ...layerJson('intel'), more: 2 } } });
        const ref = bundle.manifest.layers.find(({ name }) => name === 'intel');
        assert.ok(ref !== undefined);
        const bytes = Buffer.concat([bundle.layers.get(ref.digest) ?? Buffer.alloc(0), Buffer.alloc(1 << 20)]);
        return { bundle: { ...bundle, layers: new Map(bundle.layers).set(ref.digest, bytes) } };
      },
      'bad_layer_digest',
    ],
    [
      'with a floor that is no program',
      () => forged({ manifest: next(), layers: { floor: Buffer.from('nothing of the kind') } }),
      'compile_failed',
    ],
    [
      'with settings that nobody knows',
      () => forged({ manifest: next(), layers: { settings: { ...layerJson('settings'), trust_everything: true } } }),
      'bad_layer',
    ],
    [
      'under a digest that is not its own',
      async () => ({ ...(await forged({ manifest: next() })), digest: digestOf(`another ${version}`) }),
      'wrong_bundle',
    ],
    [
      'that is no statement at all',
      async () => {
        const bytes = Buffer.from('{"all":"allowed"}');
        const bundle = { ...genuine, manifest: { ...genuine.manifest, ...next() }, digest: digestOf(bytes) };
        return { bundle: { ...bundle, envelope: await signAnything(bytes, signer) } };
      },
      'bad_manifest',
    ],
    [
      'that is rubbish',
      () => {
        const envelope = Buffer.from('\u0000rubbish');
        const manifest = { ...genuine.manifest, ...next() };
        return { bundle: { ...genuine, manifest, envelope, digest: digestOf(envelope) } };
      },
      'bad_envelope',
    ],
  ];

  for (const [name, make, nack] of cases) {
    test(`${name}: kept out as ${nack}, and the last-known-good one goes on judging`, async () => {
      const offering = await make();
      const digest: Digest = offering.digest ?? offering.bundle.digest;
      hostile.offer(VICTIM, offering);
      await until(() => hostile.words.some((word) => word.digest === digest), 'the spoke answers the offer');
      const word = hostile.words.find((each) => each.digest === digest);
      assert.deepEqual([word?.unit, word?.nack, word?.active], [VICTIM, nack, genuine.digest], word?.detail ?? '');
      assert.notEqual(word?.detail, '');
      assert.equal(ground.federation.spoke(VICTIM).activeBundle(), genuine.digest);
      const status = await statusOf(ground.federation, VICTIM);
      assert.deepEqual([status.ready, status.nack?.code], [true, nack]);
      const event = (await spooledRows(ground.federation, VICTIM)).findLast((row) => row.action === 'event');
      assert.deepEqual([event?.outcome, event?.bundle], ['bundle_refused', digest]);
      assert.ok(event?.request.target.startsWith(`${nack}: `), event?.request.target ?? '');
      assert.equal((await get(VICTIM, PLAIN)).status, 200);
      const refusal = await get(VICTIM, MALWARE);
      assert.equal(refusal.status, 403);
      assert.equal((await rowOfCode(VICTIM, told(refusal.body).weir.code)).bundle, genuine.digest);
    });
  }

  test('and started anew beside the hostile hub it runs the last-known-good one from disk', async () => {
    await ground.federation.restartSpoke(VICTIM);
    assert.equal(ground.federation.spoke(VICTIM).activeBundle(), genuine.digest);
    assert.equal((await get(VICTIM, MALWARE)).status, 403);
    assert.equal((await get(VICTIM, PLAIN)).status, 200);
  });
});

/** What an overlay does when it meets the package of that name; it is well-behaved towards every other one. */
const MISBEHAVIOURS = {
  throws: { rego: 'count(numbers.range(1, 2)) == 2; clash(1) == 3', failure: /^threw$/ },
  loops: {
    rego: 'count([1 | some a in numbers.range(1, 5000); some b in numbers.range(1, 5000); some c in numbers.range(1, 5000); a + b + c == 7]) > 0',
    failure: /^(timeout|memory)$/,
  },
  allocates: {
    rego: 'count([x | some a in numbers.range(1, 100000); x := numbers.range(1, 100000)]) > 0',
    failure: /^(memory|timeout)$/,
  },
  rubbish: { rego: '', result: '{"schema": input.schema, "findings": "none at all"}', failure: /^bad_output$/ },
  nothing: { rego: 'false', failure: /^no_result$/ },
  unechoed: { rego: '', result: '{"findings": []}', failure: /^no_echo$/ },
} as const;
type Misbehaviour = keyof typeof MISBEHAVIOURS;

/** Rego that does its harm to one name only, so that the bundle's self-test comes true. */
function misbehaving(pkg: string, kind: Misbehaviour): string {
  const { rego, ...rest } = MISBEHAVIOURS[kind];
  const result = 'result' in rest ? rest.result : '{"schema": input.schema, "findings": []}';
  return `package ${pkg}

met if input.candidates[_].subject.name == "weir-hostile-${kind}"

result := {"schema": input.schema, "findings": []} if not met

result := ${result} if {
	met
	${rego === '' ? 'true' : rego}
}

clash(x) := 1 if x > 0

clash(x) := 2 if x < 10
`;
}

const ECHO = { schema: 'weir.input/v1', findings: [] };
const vector = (layer: 'floor' | 'overlay') => ({
  name: layer,
  layer,
  input: { schema: 'weir.input/v1', candidates: [] },
  output: ECHO,
});

/** The same bundle with a place for an overlay, which a forgery then fills. */
function openToOverlays(bundle: LooseBundle): LooseBundle {
  const [floor, ...others] = bundle.manifest.layers;
  assert.equal(floor?.name, 'floor');
  const overlay = { ...floor, name: 'overlay' } as const;
  return { ...bundle, manifest: { ...bundle.manifest, layers: [floor, overlay, ...others] } };
}

async function activate(changes: Parameters<typeof forge>[2]['layers']): Promise<void> {
  const genuineHost = changes?.overlay === undefined ? foreignUnit : withOverlay;
  const bundle = await forge(genuineHost, signer, { manifest: next(), ...(changes && { layers: changes }) });
  hostile.offer(HOST, { bundle });
  await until(() => hostile.words.some((word) => word.digest === bundle.digest), 'the spoke answers the offer');
  const word = hostile.words.find((each) => each.digest === bundle.digest);
  assert.equal(word?.nack, '', word?.detail ?? '');
}

async function publishPackage(kind: string): Promise<string> {
  const name = `weir-hostile-${kind}`;
  if (ground.npm.builds(name).length === 0) {
    await ground.npm.publish({ name, version: '1.0.0', publishedAt: '2021-03-01T09:00:00.000Z', license: 'MIT' });
  }
  return `/npm/${name}/-/${name}-1.0.0.tgz`;
}

function overlaySelftest(): Record<string, unknown> {
  const { vectors } = layerJson('selftest') as { vectors: { layer: string }[] };
  const floor = vectors.filter(({ layer }) => layer === 'floor');
  return { schema: 'weir.selftest/v1', vectors: [...floor, vector('overlay')] };
}

describe('promise 2: the floor dominates a properly signed overlay', () => {
  for (const [kind, { failure }] of Object.entries(MISBEHAVIOURS) as [Misbehaviour, { failure: RegExp }][]) {
    test(`that ${kind} (${failure.source}) is a deny row naming the overlay; the floor is unaffected`, async () => {
      const overlay = buildPolicy({
        entrypoint: overlayEntrypoint(HOST),
        sources: { 'overlay.rego': misbehaving(`weir.overlay.${HOST}`, kind) },
      });
      const target = await publishPackage(kind);
      await activate({ overlay, selftest: overlaySelftest() });
      const refusal = await get(HOST, target);
      assert.equal(refusal.status, 403, refusal.reason);
      const row = await rowOfCode(HOST, told(refusal.body).weir.code);
      const [reason] = row.rules;
      assert.deepEqual(
        [row.level, row['floor_level'], row['overlay_level'], reason?.rule, reason?.code],
        ['deny', 'allow', 'deny', 'WEIR-HOST-003', 'overlay_failed'],
      );
      assert.match(String(reason?.facts['failure']), failure);
      assert.equal((await get(HOST, PLAIN)).status, 200, 'what the overlay answers for is served');
      const malware = await get(HOST, MALWARE);
      assert.deepEqual([malware.status, told(malware.body).weir.rules], [403, ['WEIR-MAL-001']]);
    });
  }

  test('that keeps failing is quarantined: nothing passes it any more, the floor still speaks, and a good one ends it', async () => {
    const overlay = buildPolicy({
      entrypoint: overlayEntrypoint(HOST),
      sources: { 'overlay.rego': misbehaving(`weir.overlay.${HOST}`, 'rubbish').replace('none at all', 'or other') },
    });
    const target = await publishPackage('rubbish');
    await activate({ overlay, selftest: overlaySelftest() });
    let failure: unknown;
    for (let round = 0; failure !== 'quarantined' && round < 10; round += 1) {
      const refusal = await get(HOST, target);
      assert.equal(refusal.status, 403);
      failure = (await rowOfCode(HOST, told(refusal.body).weir.code)).rules[0]?.facts['failure'];
    }
    assert.equal(failure, 'quarantined');
    const innocent = await get(HOST, PLAIN);
    assert.equal(innocent.status, 403, 'an overlay that is not asked has not agreed');
    const row = await rowOfCode(HOST, told(innocent.body).weir.code);
    assert.deepEqual([row['floor_level'], row.rules[0]?.code], ['allow', 'overlay_failed']);
    const malware = await get(HOST, MALWARE);
    assert.ok(told(malware.body).weir.rules.includes('WEIR-MAL-001'));
    assert.ok((await ground.metric(HOST, 'weir_spoke_engine_events_total')) > 0);
    assert.ok(ground.federation.log.some((line) => line.includes('"kind":"quarantined"')));
    const good = buildPolicy({
      entrypoint: overlayEntrypoint(HOST),
      sources: {
        'overlay.rego': `package weir.overlay.${HOST}\n\nresult := {"schema": input.schema, "findings": []}\n`,
      },
    });
    await activate({ overlay: good, selftest: overlaySelftest() });
    assert.equal((await get(HOST, PLAIN)).status, 200);
  });
});

describe('promise 8: a failure of a properly signed floor', () => {
  for (const [kind, { failure }] of Object.entries(MISBEHAVIOURS) as [Misbehaviour, { failure: RegExp }][]) {
    test(`that ${kind} (${failure.source}) denies, and no exception lifts that`, async () => {
      const floor = buildPolicy({
        entrypoint: 'weir/floor/main/result',
        sources: { 'floor.rego': misbehaving('weir.floor.main', kind) },
      });
      const target = await publishPackage(kind);
      const exception = {
        id: `x-${kind}`,
        rule: 'WEIR-HOST-002',
        rule_major: 1,
        subject: `pkg:npm/weir-hostile-${kind}`,
        digest: '',
        to: 'allow',
        scope: { units: [HOST] },
        not_before: 0,
        expires: now() + 3600,
        authority: 'hub',
        category: 'waiver',
        reason: 'try it',
        ticket: 'T-1',
        approvers: ['ann'],
      };
      await activate({
        floor,
        selftest: { schema: 'weir.selftest/v1', vectors: [vector('floor')] },
        exceptions: { schema: 'weir.exceptions/v1', exceptions: [exception] },
      });
      const refusal = await get(HOST, target);
      assert.equal(refusal.status, 403, refusal.reason);
      const row = await rowOfCode(HOST, told(refusal.body).weir.code);
      const [reason] = row.rules;
      assert.deepEqual(
        [row.level, row['floor_level'], reason?.rule, reason?.code, row['exceptions']],
        ['deny', 'deny', 'WEIR-HOST-002', 'floor_failed', []],
      );
      assert.match(String(reason?.facts['failure']), failure);
    });
  }
});

test('with the true hub back the spoke is in step, the fleet view says so, and every refusal is in the ledger', async () => {
  await hostile[Symbol.asyncDispose]();
  const { federation } = ground;
  await federation.startHub();
  const fleet = async () => {
    const { spokes } = await federation.console.fleet.listSpokes({ unit: VICTIM, page: { size: 10, cursor: '' } });
    return spokes[0];
  };
  await until(async () => {
    const spoke = await fleet();
    return spoke?.connected === true && spoke.nack === '' && (await statusOf(federation, VICTIM)).nack === null;
  }, 'the fleet view shows the spoke connected and without trouble');
  const spoke = await fleet();
  assert.equal(spoke?.active?.digest?.value, genuine.digest);
  assert.equal(spoke?.wanted?.digest?.value, genuine.digest);
  const rows = (await federation.rows(VICTIM)) as unknown as Row[];
  assert.deepEqual(
    rows.map(({ index }) => index),
    rows.map((_, i) => i),
  );
  assert.ok(rows.filter(({ outcome }) => outcome === 'bundle_refused').length >= 20);
  assert.equal(
    rows.filter(({ bundle, action }) => action !== 'event' && bundle !== genuine.digest && bundle !== older.digest)
      .length,
    0,
  );
});
