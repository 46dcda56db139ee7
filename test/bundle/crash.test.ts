// The process dies at any disk operation of an activation, before it or after it. The next start must come up with a whole
// bundle, old or new, never with none and never with an older one; and the same offer must then go through.

import assert from 'node:assert/strict';
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { hexOf } from '@weir/shared/domain/digest.ts';
import type { BundleDisk } from '@weir/spoke/bundle/bundle-disk.ts';
import { forge, loose, type LooseBundle } from './forge.ts';
import { memoryHub, type MemoryHub } from './memory-hub.ts';
import { FLOOR, INTEL, files, settingsOf } from './small-policy.ts';
import { looseSource, startSpoke, temporaryFolder, type LooseSource, type Spoke } from './spoke-side.ts';

let hub: MemoryHub;
let source: LooseSource;
/** In order of version. */
let one: LooseBundle;
let two: LooseBundle;
let three: LooseBundle;

before(async () => {
  hub = await memoryHub();
  source = looseSource(1 << 20);
  hub.addUnit(settingsOf('payments'));
  await hub.publisher.publishIntel(Buffer.from(JSON.stringify(INTEL)), 'test');
  await hub.publisher.publishFloor({ files: files(FLOOR), note: '', by: 'test', dryRun: false });
  const next = async (environment: string): Promise<LooseBundle> => {
    hub.setSettings(settingsOf('payments', { environment }));
    await hub.publisher.refresh('payments');
    const bundle = loose(await hub.current('payments'), hub.bundles.layers);
    source.give(bundle);
    return bundle;
  };
  one = await next('one');
  two = await next('two');
  three = await next('three');
});

function spokeOn(folder: string, wrapDisk?: (disk: BundleDisk) => BundleDisk): Promise<Spoke> {
  const common = { folder, source, trustRoot: hub.trustRoot, clock: hub.clock };
  return startSpoke(wrapDisk === undefined ? common : { ...common, wrapDisk });
}

/** Dies at the nth operation: `lost` before it happens, `done` after. From then on nothing works any more. */
function dyingDisk(
  at: number,
  ending: 'lost' | 'done',
): { readonly wrap: (disk: BundleDisk) => BundleDisk; readonly reached: () => boolean } {
  let operations = 0;
  return {
    reached: () => operations >= at,
    wrap: (disk) =>
      new Proxy(disk, {
        get(target, name) {
          const call = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
          return async (...args: unknown[]): Promise<unknown> => {
            operations += 1;
            if (operations > at || (operations === at && ending === 'lost')) throw new Error('the process died');
            const answer = await call.apply(target, args);
            if (operations === at) throw new Error('the process died');
            return answer;
          };
        },
      }),
  };
}

for (const ending of ['lost', 'done'] as const) {
  test(`dying at each disk operation of an activation (${ending}) leaves a whole bundle`, async () => {
    let survived = 0;
    for (let at = 1; ; at += 1) {
      await using folder = await temporaryFolder();
      const first = await spokeOn(folder.path);
      await first.offer(one);
      await first.offer(two);

      const disk = dyingDisk(at, ending);
      const dying = await spokeOn(folder.path, disk.wrap);
      await dying.activator.boot();
      await dying.offer(three);
      if (!disk.reached()) break;

      const restarted = await spokeOn(folder.path);
      const boot = await restarted.activator.boot();
      assert.equal(boot.from, 'current', `operation ${at}: ${JSON.stringify(boot.refusals)}`);
      const digest = restarted.holder.current()?.digest;
      assert.ok(digest === two.digest || digest === three.digest, `operation ${at}`);
      assert.equal((await restarted.offer(one)).nack, 'rollback', `operation ${at}`);
      assert.equal((await restarted.offer(three)).nack, '', `operation ${at}`);
      assert.equal(restarted.holder.current()?.digest, three.digest);
      survived += 1;
    }
    assert.ok(survived > 15, `only ${survived} operations`);
  });
}

async function twoActivated(folder: string): Promise<void> {
  const spoke = await spokeOn(folder);
  await spoke.offer(one);
  await spoke.offer(two);
}

/** File name of a layer that only the first of two bundles has. */
function ownLayer(bundle: LooseBundle, name: string, other: LooseBundle): string {
  const ref = bundle.manifest.layers.find((layer) => layer.name === name);
  assert.ok(ref !== undefined && !other.manifest.layers.some(({ digest }) => digest === ref.digest));
  return hexOf(ref.digest);
}

describe('boot order', () => {
  const damages: readonly [string, (folder: string) => Promise<void>][] = [
    [
      'a layer of the current bundle has rotted',
      (folder) => writeFile(join(folder, 'layers', ownLayer(two, 'settings', one)), '{}'),
    ],
    ['a layer of the current bundle is gone', (folder) => rm(join(folder, 'layers', ownLayer(two, 'settings', one)))],
    [
      'the current signature file is cut',
      (folder) => truncate(join(folder, 'envelopes', `${hexOf(two.digest)}.sigstore.json`), 100),
    ],
    [
      'the current signature file is gone',
      (folder) => rm(join(folder, 'envelopes', `${hexOf(two.digest)}.sigstore.json`)),
    ],
    ['the current pointer is damaged', (folder) => writeFile(join(folder, 'current'), 'sha256:12')],
  ];
  for (const [name, damage] of damages) {
    test(`previous runs when ${name}, and the hub's offer repairs it`, async () => {
      await using folder = await temporaryFolder();
      await twoActivated(folder.path);
      await damage(folder.path);
      const spoke = await spokeOn(folder.path);
      const boot = await spoke.activator.boot();
      assert.equal(boot.from, 'previous');
      assert.equal(boot.refusals[0]?.pointer, 'current');
      assert.equal(spoke.holder.current()?.digest, one.digest);
      const outcome = await spoke.offer(two);
      assert.equal(outcome.nack, '', outcome.detail);
      const again = await spokeOn(folder.path);
      assert.equal((await again.activator.boot()).from, 'current');
      assert.equal(again.holder.current()?.digest, two.digest);
    });
  }

  test('an older bundle put in the place of the current one is a rollback', async () => {
    await using folder = await temporaryFolder();
    const spoke = await spokeOn(folder.path);
    for (const bundle of [one, two, three]) await spoke.offer(bundle);
    // Everything of the oldest is genuine and on the disk, and both pointers lead to it.
    await writeFile(join(folder.path, 'envelopes', `${hexOf(one.digest)}.sigstore.json`), one.envelope);
    for (const [digest, bytes] of one.layers) await writeFile(join(folder.path, 'layers', hexOf(digest)), bytes);
    for (const pointer of ['current', 'previous']) await writeFile(join(folder.path, pointer), `${one.digest}\n`);
    const restarted = await spokeOn(folder.path);
    const boot = await restarted.activator.boot();
    assert.deepEqual([boot.from, boot.refusals.map(({ nack }) => nack)], [null, ['rollback', 'rollback']]);
    assert.equal(restarted.holder.current(), null);
    assert.equal((await restarted.offer(three)).nack, '', 'the hub heals it');
  });

  test('without a readable mark nothing runs', async () => {
    await using folder = await temporaryFolder();
    await twoActivated(folder.path);
    await writeFile(join(folder.path, 'high-water'), '{"epoch":1');
    const spoke = await spokeOn(folder.path);
    const boot = await spoke.activator.boot();
    assert.deepEqual([boot.from, boot.refusals[0]?.nack], [null, 'disk_failed']);
    assert.equal((await spoke.offer(two)).nack, 'disk_failed');
  });

  test('an expired bundle does not start again', async () => {
    await using folder = await temporaryFolder();
    const spoke = await spokeOn(folder.path);
    const brief = await forge(three, hub.signer, { manifest: { version: 50, expires: three.manifest.issued_at + 10 } });
    source.give(brief);
    await spoke.offer(brief);
    const clock = { ...hub.clock, nowMs: () => (three.manifest.issued_at + 11) * 1000 };
    const later = await startSpoke({ folder: folder.path, source, trustRoot: hub.trustRoot, clock });
    const boot = await later.activator.boot();
    assert.deepEqual([boot.from, boot.refusals[0]?.nack], [null, 'expired']);
  });

  test('the bundle that came with the installation runs on an empty disk, and is replaced', async () => {
    await using folder = await temporaryFolder();
    const maker = await spokeOn(folder.path);
    await maker.offer(one);
    await writeFile(join(folder.path, 'bootstrap'), await readFile(join(folder.path, 'current')));
    for (const name of ['current', 'high-water']) await rm(join(folder.path, name));
    const spoke = await spokeOn(folder.path);
    assert.equal((await spoke.activator.boot()).from, 'bootstrap');
    assert.equal((await spoke.offer(two)).nack, '');
    assert.equal((await (await spokeOn(folder.path)).activator.boot()).from, 'current');
  });

  test('leftovers of interrupted writes are swept', async () => {
    await using folder = await temporaryFolder();
    await twoActivated(folder.path);
    await writeFile(join(folder.path, 'current.1234.tmp'), 'x');
    await writeFile(join(folder.path, 'envelopes', 'y.tmp'), 'x');
    await spokeOn(folder.path);
    const names = [...(await readdir(folder.path)), ...(await readdir(join(folder.path, 'envelopes')))];
    assert.deepEqual(
      names.filter((name) => name.endsWith('.tmp')),
      [],
    );
  });
});
