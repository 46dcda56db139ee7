// Disks that fail under the ledger, and files that are not what was written: rows are refused while nothing can be promised,
// recording goes on by itself as soon as it can, and damage is named, kept and told.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { acceptDamage } from '@weir/spoke/audit/damage-note.ts';
import type { Ledger } from '@weir/spoke/audit/ledger.ts';
import { until } from './doubles.ts';
import { DONE, failure, faultyLedgerDisk, type MemoryLedgerDisk, memoryLedgerDisk } from './faulty-disk.ts';
import { ledgerOver, memoryHub, type MemoryHub, rowsOnDisk } from './ledger-ground.ts';
import type { MemoryDisk } from './memory-disk.ts';
import { servedDraft } from './sample-rows.ts';

async function record(ledger: Ledger, count: number): Promise<readonly string[]> {
  const drafts = Array.from({ length: count }, () => servedDraft());
  await Promise.all(drafts.map((draft) => ledger.append(draft)));
  return drafts.map(({ id }) => id);
}

async function running(ledger: Ledger, work: () => Promise<void>): Promise<void> {
  const stopping = new AbortController();
  const run = ledger.run(stopping.signal);
  try {
    await work();
  } finally {
    stopping.abort(new WeirError('cancelled', 'the test has seen enough'));
    await run;
  }
}

const requests = (rows: readonly AuditRow[]): readonly string[] =>
  rows.filter(({ action }) => action !== 'event').map(({ id }) => id);
const events = (rows: readonly AuditRow[], outcome: string): readonly AuditRow[] =>
  rows.filter((row) => row.outcome === outcome);
const isDrained = (ledger: Ledger, hub: MemoryHub): boolean =>
  ledger.stats().owing.length === 0 && (hub.logs.get(ledger.open().id)?.length ?? 0) === ledger.stats().nextIndex;

function folderOf(disk: MemoryLedgerDisk, ledger: Ledger): MemoryDisk {
  const folder = disk.folders.get(ledger.open().id.split('.').at(-1) ?? '');
  assert.ok(folder !== undefined);
  return folder;
}

for (const kind of ['lost', 'done_but_reported_lost', 'torn'] as const) {
  test(`a write that fails (${kind}) refuses rows; when the disk works again recording goes on in a new log, without restart`, async () => {
    const disk = memoryLedgerDisk();
    let broken = false;
    const faulty = faultyLedgerDisk(disk, () => (broken ? { kind, error: failure('EIO') } : DONE));
    const hub = memoryHub();
    const ledger = await ledgerOver(faulty, { ship: hub.ship });
    const failed = ledger.open().id;
    await running(ledger, async () => {
      const told = [...(await record(ledger, 20))];
      broken = true;
      await assert.rejects(record(ledger, 3), { code: 'spool_failed' });
      await until(() => ledger.stats().state === 'failed', 'failed', 5_000);
      await assert.rejects(ledger.append(servedDraft()), { code: 'spool_failed' });
      broken = false;
      await until(() => ledger.stats().state === 'open', 'open again', 5_000);
      told.push(...(await record(ledger, 20)));
      await until(() => isDrained(ledger, hub), 'the hub has everything', 5_000);
      assert.deepEqual(requests(hub.rows()).toSorted(), told.toSorted());
      const [reopened, ...more] = events(hub.rows(), 'log_reopened');
      assert.deepEqual(more, []);
      assert.equal(reopened?.rules[0]?.facts['log'], failed);
      assert.ok(Number(reopened?.rules[0]?.facts['attempts']) >= 1);
    });
    await ledger.close();
    // What a failed write may have left behind does not come back with a restart.
    const again = await ledgerOver(disk.copy(), { ship: hub.ship });
    await running(again, () => until(() => isDrained(again, hub), 'the hub has everything', 5_000));
    assert.equal(new Set(requests(hub.rows())).size, 40);
    await again.close();
  });
}

test('a full disk refuses rows and passes without a new log', async () => {
  const disk = memoryLedgerDisk();
  let full = false;
  const fates = (step: string) =>
    full && step.startsWith('allocate')
      ? ({ kind: 'lost', error: new WeirError('resource_exhausted', 'the disk is full') } as const)
      : DONE;
  const ledger = await ledgerOver(faultyLedgerDisk(disk, fates));
  const { id } = ledger.open();
  await running(ledger, async () => {
    full = true;
    await assert.rejects(
      async () => {
        for (;;) await record(ledger, 50);
      },
      { code: 'resource_exhausted' },
    );
    full = false;
    await until(
      () =>
        ledger.append(servedDraft()).then(
          () => true,
          () => false,
        ),
      'room again',
      5_000,
    );
  });
  assert.equal(ledger.open().id, id);
  await ledger.close();
});

const harms: readonly {
  readonly name: string;
  readonly what: string;
  readonly harm: (folder: MemoryDisk) => void;
  /** Rows of requests (0 to 199) that cannot be had any more. */
  readonly lost: number;
}[] = [
  {
    name: 'a flipped bit',
    what: 'flipped_bits',
    harm(folder) {
      const segment = folder.files.get('0000000002.seg');
      assert.ok(segment !== undefined);
      segment[20_000]! ^= 1;
    },
    lost: 1,
  },
  {
    name: 'a missing segment',
    what: 'missing_segment',
    harm: (folder) => void folder.files.delete('0000000002.seg'),
    lost: 80,
  },
  { name: 'a missing key', what: 'missing_file', harm: (folder) => void folder.files.delete('log-key.pem'), lost: 0 },
  {
    name: 'a garbled name',
    what: 'damaged_file',
    harm: (folder) => void folder.files.set('log.json', Buffer.from('{')),
    lost: 0,
  },
];

for (const shippedBefore of [false, true]) {
  for (const { name, what, harm, lost } of harms) {
    test(`${name} found at the start${shippedBefore ? ', with half at the hub' : ''}: named, told, kept, the rest saved`, async () => {
      const disk = memoryLedgerDisk();
      const hub = memoryHub();
      const before = await ledgerOver(disk, { ship: hub.ship });
      const told: string[] = [];
      if (shippedBefore) {
        await running(before, async () => {
          told.push(...(await record(before, 100)));
          await until(
            () => before.open().receipt()?.size === before.stats().nextIndex,
            'the first half is there',
            5_000,
          );
        });
      }
      while (told.length < 200) told.push(...(await record(before, 10)));
      const damaged = before.open().id;
      await before.close();
      harm(folderOf(disk, before));
      const evidence = folderOf(disk, before).copy().files;

      const ledger = await ledgerOver(disk, { ship: hub.ship });
      assert.notEqual(ledger.open().id, damaged);
      const [standing, ...others] = ledger.damage();
      assert.deepEqual(others, []);
      assert.deepEqual([standing?.what, standing?.log], [what, damaged]);
      await running(ledger, async () => {
        told.push(...(await record(ledger, 10)));
        await until(() => isDrained(ledger, hub), 'the hub has what can be had', 5_000);
        const arrived = requests(hub.rows());
        assert.equal(new Set(arrived).size, arrived.length, 'nothing doubled');
        const missing = told.filter((id) => !arrived.includes(id)).length;
        assert.ok(missing <= lost, `${missing} rows missing`);
        assert.deepEqual(
          events(hub.rows(), 'log_damaged').map(({ rules }) => [rules[0]?.facts['log'], rules[0]?.facts['what']]),
          [[damaged, what]],
        );
        const files = disk.folders.get(damaged.split('.').at(-1) ?? '')?.files;
        for (const [path, bytes] of evidence) {
          if (path.endsWith('.seg')) assert.ok(files?.get(path)?.equals(bytes), `${path} is left as it was`);
        }
        assert.equal(ledger.damage().length, 1);
        await acceptDamage(disk, 'ada', '2026-11-22T09:00:00.000Z');
        await until(() => ledger.damage().length === 0, 'accepted', 5_000);
        await until(() => isDrained(ledger, hub), 'the acceptance is at the hub', 5_000);
      });
      const [accepted] = events(hub.rows(), 'damage_accepted');
      assert.equal(accepted?.rules[0]?.facts['who'], 'ada');
      await ledger.close();
      const again = await ledgerOver(disk, { ship: hub.ship });
      assert.deepEqual(again.damage(), []);
      await again.close();
    });
  }
}

test('damage found while reading for the hub ends the log at once, and what is behind it is saved', async () => {
  const disk = memoryLedgerDisk();
  const hub = memoryHub();
  const ledger = await ledgerOver(disk, { ship: hub.ship });
  const damaged = ledger.open().id;
  const told = [...(await record(ledger, 100))];
  const segment = folderOf(disk, ledger).files.get('0000000001.seg');
  assert.ok(segment !== undefined);
  segment[30_000]! ^= 16;
  await running(ledger, async () => {
    await until(() => ledger.open().id !== damaged, 'a new log', 5_000);
    told.push(...(await record(ledger, 10)));
    await until(() => isDrained(ledger, hub), 'the hub has what can be had', 5_000);
  });
  const arrived = requests(hub.rows());
  assert.equal(new Set(arrived).size, arrived.length);
  assert.equal(told.filter((id) => !arrived.includes(id)).length, 1);
  assert.equal(ledger.damage()[0]?.what, 'flipped_bits');
  await ledger.close();
});

test('an acceptance counts only for exactly the damage that was seen', async () => {
  const disk = memoryLedgerDisk();
  await assert.rejects(acceptDamage(disk, 'ada', '2026-11-22T09:00:00.000Z'), { code: 'not_found' });
  const first = await ledgerOver(disk);
  await record(first, 10);
  await first.close();
  folderOf(disk, first).files.delete('log-key.pem');
  const second = await ledgerOver(disk);
  await record(second, 10);
  await second.close();
  await acceptDamage(disk, 'ada', '2026-11-22T09:00:00.000Z');
  folderOf(disk, second).files.delete('log-key.pem');
  const third = await ledgerOver(disk);
  assert.equal(third.damage().length, 2);
  await third.close();
  const epochs = await rowsOnDisk(disk);
  assert.deepEqual(
    epochs.map(({ closure }) => closure?.reason),
    ['damaged', 'damaged', undefined],
  );
});
