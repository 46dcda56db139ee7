// The policies that ship with the product pass their own gates, and become bundles that decide.

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { selectFloorFiles, selectOverlayFiles } from '@weir/hub/floor/source-tree.ts';
import { readSourceFolder } from '@weir/hub/io/source-folder.ts';
import { loose } from './forge.ts';
import { memoryHub, type MemoryHub } from './memory-hub.ts';
import { POLICIES } from './opa-for-tests.ts';
import { settingsOf } from './small-policy.ts';
import { looseSource, startSpoke, temporaryFolder } from './spoke-side.ts';

let hub: MemoryHub;
let overlays: readonly string[];

before(async () => {
  overlays = (await readdir(join(POLICIES, 'overlay'), { withFileTypes: true }))
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  hub = await memoryHub();
  for (const unit of overlays) hub.addUnit(settingsOf(unit));
  const all = await readSourceFolder(POLICIES);
  const tree = [...selectFloorFiles(all), ...all.filter(({ path }) => path === 'intel/intel.json')];
  const floor = await hub.publisher.publishFloor({ files: tree, note: '', by: 'test', dryRun: false });
  assert.deepEqual(floor.findings, []);
  assert.equal(floor.bundles.length, overlays.length);
});

test('there are overlays to look at', () => assert.ok(overlays.includes('payments') && overlays.includes('research')));

describe('each overlay', () => {
  for (const unit of ['payments', 'research', 'example']) {
    test(`${unit} publishes, activates and lets versions with equal evidence share a verdict`, async () => {
      const files = selectOverlayFiles(await readSourceFolder(join(POLICIES, 'overlay', unit)));
      const outcome = await hub.publisher.publishOverlay(unit, { files, note: '', by: 'test', dryRun: false });
      assert.deepEqual(outcome.findings, []);
      const bundle = loose(await hub.current(unit), hub.bundles.layers);
      assert.equal(bundle.manifest.reads_version, false);
      await using folder = await temporaryFolder();
      const source = looseSource(1 << 20);
      source.give(bundle);
      const spoke = await startSpoke({ folder: folder.path, source, trustRoot: hub.trustRoot, clock: hub.clock, unit });
      const activated = await spoke.offer(bundle);
      assert.equal(activated.nack, '', activated.detail);
      const rules = spoke.holder.current()?.rules.rules ?? [];
      assert.ok(rules.filter(({ layer }) => layer === 'floor').length >= 12);
      assert.ok(rules.some(({ layer }) => layer === 'overlay'));
    });
  }
});

test('a publisher that starts anew after key loss raises the epoch and begins at version 1', async () => {
  const first = await hub.current('payments');
  await hub.publisherAt(2).refresh('payments');
  const second = await hub.current('payments');
  assert.deepEqual([second.epoch, second.version, second.prev], [first.epoch + 1, 1, first.digest]);
});
