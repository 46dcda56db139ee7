// The ledger of one worker in memory: epochs begin and end under the requests' feet, and whatever a crash leaves is put in
// order at the next start.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requestCodeOf } from '@weir/shared/domain/request-code.ts';
import { CLOSURE_FILE } from '@weir/spoke/audit/closure.ts';
import { CURRENT_FILE, nextEpochName } from '@weir/spoke/audit/epochs.ts';
import type { Ledger } from '@weir/spoke/audit/ledger.ts';
import { LONGEST_VALUES } from '@weir/spoke/audit/row-template.ts';
import { DONE, type Fate, failure, faultyLedgerDisk, memoryLedgerDisk } from './faulty-disk.ts';
import { ledgerOver, rowsOnDisk } from './ledger-ground.ts';
import { refusedDraft, servedDraft, uuid } from './sample-rows.ts';

const HUB_SAYS = { reason: 'fork', detail: 'the hub holds other rows' };

test('a new folder begins with one epoch whose first row says that it is the first', async () => {
  const disk = memoryLedgerDisk();
  const ledger = await ledgerOver(disk);
  const recorded = await ledger.append(servedDraft());
  assert.equal(recorded.index, 1);
  await ledger.close();
  const [epoch, ...others] = await rowsOnDisk(disk);
  assert.deepEqual(others, []);
  assert.equal(disk.small.get(CURRENT_FILE)?.toString(), `${epoch?.name}\n`);
  assert.equal(epoch?.rows[0]?.outcome, 'epoch_opened');
  assert.deepEqual(epoch.rows[0].rules[0]?.facts, { before: '', size: 0, root: '', reason: 'first' });
  assert.equal(epoch.log, `payments.edge-1.w0.${epoch.name}`);
});

test('a roll under load loses, doubles and refuses no row, and the templates of the pipeline survive it', async () => {
  const disk = memoryLedgerDisk();
  const ledger = await ledgerOver(disk);
  const template = ledger.template(servedDraft());
  const told: string[] = [];
  let rolled = 0;
  const stop = new AbortController();
  async function writer(): Promise<void> {
    for (let n = 0; !stop.signal.aborted; n += 1) {
      const draft = n % 5 === 0 ? refusedDraft() : servedDraft();
      const recorded =
        n % 2 === 0
          ? await ledger.append(draft)
          : await ledger.appendTo(template, { ...LONGEST_VALUES, id: draft.id, time: draft.time, trace: '', code: '' });
      assert.equal(recorded.id, draft.id);
      told.push(draft.id);
    }
  }
  const writers = Array.from({ length: 16 }, writer);
  for (; rolled < 5; rolled += 1) {
    const before = told.length;
    while (told.length < before + 100) await new Promise((resolve) => setImmediate(resolve));
    await ledger.roll(HUB_SAYS);
  }
  stop.abort();
  await Promise.all(writers);
  const newest = refusedDraft();
  await ledger.append(newest);
  told.push(newest.id);
  assert.equal((await ledger.findByCode(requestCodeOf(newest.id)))?.bytes.includes(newest.id), true);
  assert.equal(ledger.stats().owing.length, 5);
  await ledger.close();

  const epochs = await rowsOnDisk(disk);
  assert.equal(epochs.length, 6);
  for (const [at, { rows, log, closure }] of epochs.entries()) {
    assert.deepEqual(
      rows.map(({ index }) => index),
      rows.map((_, n) => n),
    );
    assert.ok(rows.every((row) => row.log === log));
    assert.equal(closure?.size, at === 5 ? undefined : rows.length);
    const before = epochs[at - 1];
    assert.equal(rows[0]?.outcome, 'epoch_opened');
    assert.equal(rows[0].rules[0]?.facts['before'], before?.log ?? '');
    assert.equal(rows[0].rules[0]?.facts['size'], before?.rows.length ?? 0);
    assert.equal(String(rows[0].rules[0]?.facts['root']).length, at === 0 ? 0 : 44);
  }
  const stored = epochs.flatMap(({ rows }) =>
    rows.filter(({ action }) => action !== 'event').map(({ id: row }) => row),
  );
  assert.deepEqual(stored.toSorted(), told.toSorted());
});

test('a template of another ledger is refused', async () => {
  const [one, two] = await Promise.all([ledgerOver(memoryLedgerDisk()), ledgerOver(memoryLedgerDisk())]);
  const foreign = two.template(servedDraft());
  assert.throws(() => void one.appendTo(foreign, { ...LONGEST_VALUES, trace: '', code: '' }), {
    code: 'invalid_argument',
  });
  await Promise.all([one.close(), two.close()]);
});

test('a folder with rows that stand in no epoch is refused and left as it is', async () => {
  const disk = memoryLedgerDisk(new Map([['0000000001.seg', Buffer.alloc(8)]]));
  await assert.rejects(ledgerOver(disk), { code: 'unsupported' });
  assert.deepEqual([[...disk.small.keys()], disk.folders.size], [['0000000001.seg'], 0]);
});

test('names of epochs sort by age whatever the clock does', () => {
  const names: string[] = [];
  for (const atMs of [5_000_000, 1_000, 5_000_000, 0, 9_000_000]) {
    names.push(nextEpochName({ uuid: () => uuid(atMs) }, names));
  }
  assert.deepEqual(names, names.toSorted());
  assert.equal(new Set(names).size, names.length);
});

for (const kind of ['lost', 'done_but_reported_lost', 'torn'] as const) {
  test(`a crash at any step of a start or a roll, the step ${kind}: every told row stays, and the next start goes on`, async () => {
    for (let step = 0; ; step += 1) {
      const disk = memoryLedgerDisk();
      const dead: Fate = { kind: 'lost', error: failure('EIO') };
      let done = 0;
      const faulty = faultyLedgerDisk(disk, () => {
        done += 1;
        return done <= step ? DONE : done === step + 1 ? { kind, error: failure('EIO') } : dead;
      });
      const told: string[] = [];
      const tell = async (alive: Ledger): Promise<void> => {
        const draft = servedDraft();
        await alive.append(draft);
        told.push(draft.id);
      };
      let survived = true;
      let ledger: Ledger | undefined;
      try {
        ledger = await ledgerOver(faulty);
        await tell(ledger);
        await ledger.roll(HUB_SAYS);
        await tell(ledger);
        await ledger.roll(HUB_SAYS);
        await tell(ledger);
      } catch {
        survived = false;
      }
      const after = disk.copy();
      await ledger?.close().catch(() => undefined);
      const again = await ledgerOver(after);
      await tell(again);
      await again.close();
      const epochs = await rowsOnDisk(after);
      const stored = epochs.flatMap(({ rows }) => rows.filter(({ action }) => action !== 'event').map(({ id }) => id));
      for (const id of told) assert.equal(stored.filter((each) => each === id).length, 1, `step ${step}: a told row`);
      assert.equal(epochs.filter(({ closure }) => closure === undefined).length, 1, `step ${step}: one open`);
      assert.equal(epochs.at(-1)?.closure, undefined, `step ${step}: the youngest is open`);
      for (const { rows } of epochs) assert.equal(rows[0]?.outcome, 'epoch_opened', `step ${step}: first row`);
      if (survived) {
        assert.ok(step > 15, String(step));
        break;
      }
    }
  });
}

test('leftovers: an empty folder goes, a lost or garbled `current` is found again, two open epochs become one', async () => {
  const disk = memoryLedgerDisk();
  const ledger = await ledgerOver(disk);
  await ledger.append(servedDraft());
  await ledger.close();
  const name = disk.small.get(CURRENT_FILE)?.toString().trim() ?? '';

  await disk.epoch('ffffffffffff00000000');
  disk.small.set(CURRENT_FILE, Buffer.from('\0\0\0\0'));
  const again = await ledgerOver(disk);
  assert.equal(again.open().id.endsWith(name), true);
  assert.equal((await again.append(servedDraft())).index > 1, true);
  await again.roll(HUB_SAYS);
  await again.close();
  assert.equal(disk.folders.has('ffffffffffff00000000'), false);

  // The file of the closed epoch is lost: two without one, both with rows.
  disk.folders.get(name)?.files.delete(CLOSURE_FILE);
  const third = await ledgerOver(disk);
  await third.append(servedDraft());
  await third.close();
  const epochs = await rowsOnDisk(disk);
  assert.deepEqual(
    epochs.map(({ closure }) => closure?.reason),
    ['interrupted', undefined],
  );
});
