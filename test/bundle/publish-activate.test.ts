// From Rego to a decision: gates, compiler, signature, transfer, verification, engine. Then everything that must keep a
// bundle out, each with its code and with the running bundle still running.

import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import type { NackCode } from '@weir/shared/bundle/refusal.ts';
import { hexOf } from '@weir/shared/domain/digest.ts';
import type { PolicyInput } from '@weir/shared/policy/input.ts';
import { forge, loose, type LooseBundle } from './forge.ts';
import { memoryHub, newSigner, type MemoryHub } from './memory-hub.ts';
import { FLOOR, INTEL, OLD, OVERLAY, YOUNG, files, inputOf, settingsOf, type Tree } from './small-policy.ts';
import { looseSource, realBuilder, startSpoke, temporaryFolder, type Spoke } from './spoke-side.ts';

const BY = { note: '', by: 'test', dryRun: false };
const INTEL_BYTES = new TextEncoder().encode(JSON.stringify(INTEL));
const held = (names: string[]): ReturnType<typeof settingsOf> => {
  const settings = settingsOf('payments');
  return { ...settings, policy: { ...settings.policy, overlay: { held: names } } };
};

/** A hub with two units, a floor, and an overlay for one of them. */
async function publishedHub(): Promise<MemoryHub> {
  const hub = await memoryHub();
  hub.addUnit(held(['left-pad']));
  hub.addUnit(settingsOf('research'));
  await hub.publisher.publishIntel(INTEL_BYTES, 'test');
  const floor = await hub.publisher.publishFloor({ files: files(FLOOR), ...BY });
  assert.deepEqual(floor.findings, []);
  const overlay = await hub.publisher.publishOverlay('payments', { files: files(OVERLAY), ...BY });
  assert.deepEqual(overlay.findings, []);
  return hub;
}

async function currentOf(hub: MemoryHub, unit: string): Promise<LooseBundle> {
  return loose(await hub.current(unit), hub.bundles.layers);
}

function levels(spoke: Spoke, input: PolicyInput): readonly string[] {
  const active = spoke.holder.current();
  assert.ok(active !== null, 'nothing is active');
  return active.prepared.engine.decide(input).map(({ level }) => level);
}

/** A JSON layer of the genuine bundle, to be spoilt. */
function layerJson(name: string): Record<string, unknown> {
  const ref = genuine.manifest.layers.find((layer) => layer.name === name);
  const bytes = ref === undefined ? undefined : genuine.layers.get(ref.digest);
  return JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
}

let hub: MemoryHub;
let genuine: LooseBundle;
before(async () => {
  hub = await publishedHub();
  genuine = await currentOf(hub, 'payments');
});

describe('publishing', () => {
  test('bundles are numbered without gaps and point at the one before', async () => {
    const { bundles } = await hub.bundles.listBundles('payments', { size: 100, cursor: '' });
    assert.deepEqual(
      bundles.map(({ version }) => version),
      bundles.map((_, index) => index + 1),
    );
    assert.deepEqual(
      bundles.map(({ prev }) => prev),
      [null, ...bundles.slice(0, -1).map(({ digest }) => digest)],
    );
  });

  test('a change ships only the layer that changed', async () => {
    const other = await publishedHub();
    const first = await other.current('payments');
    other.setTokens('payments', [
      {
        id: 't1',
        unit: 'payments',
        sha256: 'a'.repeat(64),
        principal: 'ci',
        kind: 'token',
        groups: [],
        createdAtMs: 0,
        expiresAtMs: null,
        revokedAtMs: null,
      },
    ]);
    assert.equal((await other.publisher.refresh('payments'))?.version, first.version + 1);
    const second = await other.current('payments');
    const changed = second.layers.filter(({ digest }) => !first.layers.some((layer) => layer.digest === digest));
    assert.deepEqual(
      changed.map(({ name }) => name),
      ['identities'],
    );
    assert.equal(await other.publisher.refresh('payments'), undefined, 'nothing changed, nothing published');
  });

  test('an exception reaches the units that it names and no other', async () => {
    const other = await publishedHub();
    const [payments, research] = [await other.current('payments'), await other.current('research')];
    const exception = {
      id: 'x1',
      rule: 'WEIR-AGE-001',
      rule_major: 1,
      subject: 'pkg:npm/left-pad',
      digest: '',
      to: 'allow',
      scope: { units: ['payments'] },
      not_before: 0,
      expires: 1_900_000_000,
      authority: 'hub',
      category: 'waiver',
      reason: 'needed',
      ticket: 'T-1',
      approvers: ['ann'],
    };
    const document = { schema: 'weir.exceptions/v1', exceptions: [exception] };
    await other.publisher.publishExceptions(Buffer.from(JSON.stringify(document)), 'test');
    assert.equal((await other.current('payments')).version, payments.version + 1);
    assert.equal((await other.current('research')).version, research.version);
  });

  test('a refused floor changes nothing', async () => {
    const other = await publishedHub();
    const untouched = await other.current('payments');
    const bad: Tree = {
      ...FLOOR,
      'floor/age/age_test.rego': (FLOOR['floor/age/age_test.rego'] ?? '').replace('== 0', '== 7'),
    };
    const outcome = await other.publisher.publishFloor({ files: files(bad), ...BY });
    assert.equal(outcome.published, false);
    assert.equal(outcome.findings[0]?.gate, 'tests');
    assert.deepEqual(await other.current('payments'), untouched);
    assert.equal((await other.policies.latest({ kind: 'floor' }))?.version, 1);
  });

  test('a dry run runs the gates and stores nothing', async () => {
    const outcome = await hub.publisher.publishFloor({ files: files(FLOOR), ...BY, dryRun: true });
    assert.deepEqual(outcome, { published: false, findings: [], version: 0, bundles: [] });
    assert.equal((await hub.policies.latest({ kind: 'floor' }))?.version, 1);
  });

  test('intel that is malformed is refused with the place', async () => {
    const bytes = Buffer.from(JSON.stringify({ ...INTEL, licences: {} }));
    await assert.rejects(hub.publisher.publishIntel(bytes, 'test'), { code: 'invalid_argument', message: /licences/ });
  });

  test('what will expire soon is issued again', async () => {
    const other = await publishedHub();
    const first = await other.current('research');
    assert.deepEqual(await other.publisher.renewExpiring(), []);
    other.clock.setS(first.expires - 86_400);
    const renewed = await other.publisher.renewExpiring();
    assert.deepEqual(renewed.map(({ unit }) => unit).toSorted(), ['payments', 'research']);
    const second = await other.current('research');
    assert.deepEqual([second.version, second.layers], [first.version + 1, first.layers]);
    assert.ok(second.expires > first.expires);
  });

  test('what a publisher that was cut short had stored becomes a bundle, and only that', async () => {
    const other = await publishedHub();
    const [payments, research] = [await other.current('payments'), await other.current('research')];
    const { signal } = new AbortController();
    await other.publisher.catchUp(signal);
    assert.equal(await other.current('payments'), payments);
    other.setSettings(held(['left-pad', 'is-odd']));
    await other.publisher.catchUp(AbortSignal.abort());
    assert.equal(await other.current('payments'), payments);
    await other.publisher.catchUp(signal);
    assert.equal((await other.current('payments')).version, payments.version + 1);
    assert.equal(await other.current('research'), research);
    other.clock.setS(research.expires - 86_400);
    await other.publisher.catchUp(signal);
    assert.equal((await other.current('research')).version, research.version + 1);
  });

  test('settings that change while every unit is gone through are not undone', async () => {
    const other = await publishedHub();
    const [payments, research] = [await other.current('payments'), await other.current('research')];
    const currentBundle = other.bundles.currentBundle.bind(other.bundles);
    const strict = { ...settingsOf('research'), environment: 'changed meanwhile' };
    Object.assign(other.bundles, {
      // In the middle of the first unit's turn somebody changes and publishes the second one's settings.
      async currentBundle(unit: string) {
        Object.assign(other.bundles, { currentBundle });
        other.setSettings(strict);
        await other.publisher.refresh('research');
        return currentBundle(unit);
      },
    });
    await other.publisher.catchUp(new AbortController().signal);
    assert.equal(await other.current('payments'), payments);
    const now = await other.current('research');
    assert.equal(now.version, research.version + 1);
    const settings = now.layers.find(({ name }) => name === 'settings');
    const bytes = settings === undefined ? undefined : other.bundles.layers.get(settings.digest);
    assert.match(new TextDecoder().decode(bytes), /changed meanwhile/);
  });
});

describe('activation', () => {
  test('a published bundle decides: floor, overlay, settings', async () => {
    await using folder = await temporaryFolder();
    const source = looseSource();
    source.give(genuine);
    const spoke = await startSpoke({ folder: folder.path, source, trustRoot: hub.trustRoot, clock: hub.clock });
    assert.deepEqual(await spoke.activator.boot(), { from: null, refusals: [] });
    assert.equal(spoke.holder.current(), null);

    const outcome = await spoke.offer(genuine);
    assert.deepEqual([outcome.stage, outcome.nack], ['active', '']);
    assert.deepEqual(levels(spoke, inputOf('payments', YOUNG)), ['deny']);
    assert.deepEqual(levels(spoke, inputOf('payments', OLD)), ['pending']);
    assert.deepEqual(levels(spoke, inputOf('payments', OLD, { name: 'other' })), ['allow']);
    for (const stage of ['offered', 'fetched', 'verified', 'compiled', 'tested', 'prepared', 'active']) {
      assert.equal(spoke.metrics.counts.get(`weir_bundle_stages_total{stage=${stage}}`), 1, stage);
    }
  });

  test('the unit without an overlay gets the floor alone', async () => {
    await using folder = await temporaryFolder();
    const source = looseSource();
    const bundle = await currentOf(hub, 'research');
    source.give(bundle);
    const spoke = await startSpoke({
      folder: folder.path,
      source,
      trustRoot: hub.trustRoot,
      clock: hub.clock,
      unit: 'research',
    });
    assert.equal((await spoke.offer(bundle)).nack, '');
    assert.deepEqual(levels(spoke, inputOf('research', OLD)), ['allow']);
    assert.deepEqual(levels(spoke, inputOf('research', YOUNG)), ['deny']);
  });

  test('an offer of what runs already does nothing', async () => {
    await using folder = await temporaryFolder();
    const source = looseSource();
    source.give(genuine);
    const spoke = await startSpoke({ folder: folder.path, source, trustRoot: hub.trustRoot, clock: hub.clock });
    await spoke.offer(genuine);
    const active = spoke.holder.current();
    await spoke.offer(genuine);
    assert.equal(spoke.holder.current(), active);
    assert.deepEqual([source.envelopes, spoke.outcomes.length], [1, 1]);
  });

  test('only layers that are missing are fetched, and old ones are removed', async () => {
    await using folder = await temporaryFolder();
    const other = await publishedHub();
    const source = looseSource();
    const spoke = await startSpoke({ folder: folder.path, source, trustRoot: other.trustRoot, clock: other.clock });
    const first = await currentOf(other, 'payments');
    source.give(first);
    await spoke.offer(first);
    source.asked.length = 0;

    other.setSettings({ ...held(['left-pad', 'x']), mode: 'warn' });
    await other.publisher.refresh('payments');
    const second = await currentOf(other, 'payments');
    source.give(second);
    await spoke.offer(second);
    const names = source.asked.map(({ layer }) => second.manifest.layers.find(({ digest }) => digest === layer)?.name);
    assert.deepEqual(names, ['settings']);
    assert.equal(spoke.holder.current()?.settings.mode, 'warn');

    other.setSettings(held(['x']));
    await other.publisher.refresh('payments');
    const third = await currentOf(other, 'payments');
    source.give(third);
    await spoke.offer(third);
    const kept = await readdir(join(folder.path, 'layers'));
    const wanted = new Set([...second.manifest.layers, ...third.manifest.layers].map(({ digest }) => hexOf(digest)));
    assert.deepEqual(new Set(kept), wanted);
  });

  test('requests in flight finish on the bundle that they began with', async () => {
    await using folder = await temporaryFolder();
    const other = await publishedHub();
    const source = looseSource();
    const spoke = await startSpoke({ folder: folder.path, source, trustRoot: other.trustRoot, clock: other.clock });
    const first = await currentOf(other, 'payments');
    source.give(first);
    await spoke.offer(first);
    const begun = spoke.holder.current();
    other.setSettings(held([]));
    await other.publisher.refresh('payments');
    const second = await currentOf(other, 'payments');
    source.give(second);
    await spoke.offer(second);
    assert.deepEqual(levels(spoke, inputOf('payments', OLD)), ['allow']);
    assert.deepEqual(
      begun?.prepared.engine.decide(inputOf('payments', OLD)).map(({ level, bundle }) => [level, bundle]),
      [['pending', first.digest]],
    );
  });

  test('a broken transfer is taken up where it ended', async () => {
    await using folder = await temporaryFolder();
    const source = looseSource(10_000);
    source.give(genuine);
    const spoke = await startSpoke({ folder: folder.path, source, trustRoot: hub.trustRoot, clock: hub.clock });
    source.breakAfter = 50_000;
    const outcome = await spoke.offer(genuine);
    assert.deepEqual([outcome.nack, outcome.retry], ['fetch_failed', true]);
    assert.equal(spoke.holder.current(), null);
    source.breakAfter = Number.POSITIVE_INFINITY;
    const restarted = await startSpoke({ folder: folder.path, source, trustRoot: hub.trustRoot, clock: hub.clock });
    assert.equal((await restarted.offer(genuine)).nack, '');
    assert.ok(
      source.asked.some(({ offset }) => offset > 0 && offset % 10_000 === 0),
      'resumed',
    );
  });

  test('a beginning that rotted on disk is fetched again from the first byte', async () => {
    await using folder = await temporaryFolder();
    const source = looseSource();
    source.give(genuine);
    const floor = genuine.manifest.layers[0];
    assert.ok(floor !== undefined);
    const spoke = await startSpoke({ folder: folder.path, source, trustRoot: hub.trustRoot, clock: hub.clock });
    await writeFile(join(folder.path, 'partial', hexOf(floor.digest)), 'rubbish');
    assert.equal((await spoke.offer(genuine)).nack, '');
  });
});

describe('a bundle is kept out, and what runs keeps running', () => {
  type Case = readonly [name: string, make: () => Promise<LooseBundle> | LooseBundle, nack: NackCode];
  const stranger = newSigner();
  const next = { version: 100 };
  const cases: readonly Case[] = [
    ['signed by a stranger', () => forge(genuine, stranger, { manifest: next }), 'unknown_key'],
    [
      'with a tampered envelope',
      async () => {
        const forged = await forge(genuine, hub.signer, { manifest: next });
        const envelope = forged.envelope.slice();
        const at = Buffer.from(envelope).indexOf('"payload":"') + 40;
        envelope[at] = envelope[at] === 0x41 ? 0x42 : 0x41;
        return { ...forged, envelope };
      },
      'bad_signature',
    ],
    ['that is older', () => forge(genuine, hub.signer, { manifest: { version: 1 } }), 'rollback'],
    [
      'of the same version with other content',
      () => forge(genuine, hub.signer, { manifest: { issued_at: genuine.manifest.issued_at - 1 } }),
      'rollback',
    ],
    ['for another unit', () => currentOf(hub, 'research'), 'wrong_audience'],
    [
      'of another workspace',
      () => forge(genuine, hub.signer, { manifest: { ...next, workspace: 'x' } }),
      'wrong_workspace',
    ],
    [
      'that has expired',
      () => forge(genuine, hub.signer, { manifest: { ...next, issued_at: 1000, expires: 2000 } }),
      'expired',
    ],
    [
      'from the future',
      () => forge(genuine, hub.signer, { manifest: { ...next, issued_at: 1_900_000_000, expires: 2_000_000_000 } }),
      'not_yet_valid',
    ],
    [
      'for a newer engine',
      () => forge(genuine, hub.signer, { manifest: { ...next, min_engine: 'weir/9' } }),
      'engine_too_old',
    ],
    [
      'under another bundle’s digest',
      async () => ({
        ...(await forge(genuine, hub.signer, { manifest: next })),
        digest: genuine.manifest.prev ?? genuine.digest,
      }),
      'wrong_bundle',
    ],
    [
      'with a floor that is no module',
      () => forge(genuine, hub.signer, { manifest: next, layers: { floor: Buffer.from('nothing of the kind') } }),
      'compile_failed',
    ],
    [
      'with an overlay as its floor',
      () => {
        const overlay = genuine.manifest.layers.find(({ name }) => name === 'overlay');
        return forge(genuine, hub.signer, {
          manifest: next,
          layers: { floor: genuine.layers.get(overlay?.digest ?? genuine.digest) },
        });
      },
      'compile_failed',
    ],
    [
      'whose self-test does not come true',
      () => {
        const selftest = layerJson('selftest') as { vectors: { output: { findings: unknown[] } }[] };
        const [first] = selftest.vectors;
        first?.output.findings.push({ candidate: 0 });
        return forge(genuine, hub.signer, { manifest: next, layers: { selftest } });
      },
      'selftest_failed',
    ],
    [
      'that proves nothing of itself',
      () =>
        forge(genuine, hub.signer, {
          manifest: next,
          layers: { selftest: { schema: 'weir.selftest/v1', vectors: [] } },
        }),
      'selftest_failed',
    ],
    [
      'whose settings have an unknown key',
      () =>
        forge(genuine, hub.signer, { manifest: next, layers: { settings: { ...layerJson('settings'), extra: 1 } } }),
      'bad_layer',
    ],
    [
      'whose settings are of another unit',
      () => forge(genuine, hub.signer, { manifest: next, layers: { settings: settingsOf('research') } }),
      'bad_layer',
    ],
    [
      'whose staleness thresholds are out of order',
      () =>
        forge(genuine, hub.signer, {
          manifest: next,
          layers: { settings: { ...layerJson('settings'), staleness: { warn_s: 9, restrict_s: 8, deny_s: 7 } } },
        }),
      'bad_layer',
    ],
    [
      'with rules that are not JSON',
      () => forge(genuine, hub.signer, { manifest: next, layers: { rules: Buffer.from('{') } }),
      'bad_layer',
    ],
    [
      'with an oversized layer',
      () =>
        forge(genuine, hub.signer, {
          manifest: {
            ...next,
            layers: genuine.manifest.layers.map((ref) => (ref.name === 'floor' ? { ...ref, size: 5 << 20 } : ref)),
          },
        }),
      'oversized_layer',
    ],
  ];
  for (const [name, make, nack] of cases) {
    test(`${name}: ${nack}`, async () => {
      await using folder = await temporaryFolder();
      const source = looseSource(100_000);
      source.give(genuine);
      const spoke = await startSpoke({ folder: folder.path, source, trustRoot: hub.trustRoot, clock: hub.clock });
      await spoke.offer(genuine);
      const untouched = spoke.holder.current();
      const bad = await make();
      source.give(bad);
      const outcome = await spoke.offer(bad);
      assert.equal(outcome.nack, nack, outcome.detail);
      assert.equal(spoke.holder.current(), untouched);
      assert.deepEqual(spoke.outcomes.at(-1), outcome, 'reported');
      assert.deepEqual(levels(spoke, inputOf('payments', YOUNG)), ['deny']);
      assert.equal(await readFile(join(folder.path, 'current'), 'utf8'), `${genuine.digest}\n`);
      // Nor after a restart.
      const restarted = await startSpoke({ folder: folder.path, source, trustRoot: hub.trustRoot, clock: hub.clock });
      assert.equal((await restarted.activator.boot()).from, 'current');
      assert.equal(restarted.holder.current()?.digest, genuine.digest);
    });
  }

  const lies: readonly [string, (bytes: Uint8Array) => Uint8Array, NackCode][] = [
    ['another byte', (bytes) => bytes.with(5, (bytes[5] ?? 0) ^ 1), 'bad_layer_digest'],
    ['more bytes', (bytes) => Buffer.concat([bytes, Buffer.from('x')]), 'bad_layer_digest'],
    ['fewer bytes', (bytes) => bytes.slice(0, -1), 'fetch_failed'],
  ];
  for (const [name, lie, nack] of lies) {
    test(`a source that serves ${name} of a layer: ${nack}`, async () => {
      await using folder = await temporaryFolder();
      const source = looseSource(100_000);
      source.give(genuine);
      const spoke = await startSpoke({ folder: folder.path, source, trustRoot: hub.trustRoot, clock: hub.clock });
      for (const [digest, bytes] of genuine.layers) source.lies.set(digest, lie(bytes));
      assert.equal((await spoke.offer(genuine)).nack, nack);
      assert.equal(spoke.holder.current(), null);
      source.lies.clear();
      const restarted = await startSpoke({ folder: folder.path, source, trustRoot: hub.trustRoot, clock: hub.clock });
      assert.equal((await restarted.offer(genuine)).nack, '');
    });
  }

  test('a preparation that fails: prepare_failed', async () => {
    await using folder = await temporaryFolder();
    const source = looseSource();
    source.give(genuine);
    let discarded = 0;
    const builder = {
      ...realBuilder,
      prepare: () => {
        throw new Error('no memory');
      },
      discard: () => void (discarded += 1),
    };
    const spoke = await startSpoke({
      folder: folder.path,
      source,
      trustRoot: hub.trustRoot,
      clock: hub.clock,
      builder,
    });
    const outcome = await spoke.offer(genuine);
    assert.deepEqual([outcome.stage, outcome.nack, discarded], ['tested', 'prepare_failed', 1]);
  });

  test('what cannot succeed is not tried at every offer', async () => {
    await using folder = await temporaryFolder();
    const source = looseSource();
    const bad = await forge(genuine, stranger, {});
    source.give(bad);
    const spoke = await startSpoke({ folder: folder.path, source, trustRoot: hub.trustRoot, clock: hub.clock });
    const first = await spoke.offer(bad);
    assert.deepEqual(await spoke.offer(bad), first);
    assert.deepEqual([source.envelopes, spoke.outcomes.length], [1, 1]);
  });
});
