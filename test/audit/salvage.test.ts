// What closed logs owe the hub arrives there: in their own log as far as the hub takes them, recorded again beyond that, each
// row exactly once, whenever the process dies.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import type { Ledger } from '@weir/spoke/audit/ledger.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { until } from './doubles.ts';
import { DONE, type Fate, failure, faultyLedgerDisk, memoryLedgerDisk } from './faulty-disk.ts';
import { hastyClock, ledgerOver, type MemoryHub, memoryHub, SMALL } from './ledger-ground.ts';
import { servedDraft } from './sample-rows.ts';

async function record(ledger: Ledger, count: number): Promise<readonly string[]> {
  const drafts = Array.from({ length: count }, () => servedDraft());
  await Promise.all(drafts.map((draft) => ledger.append(draft)));
  return drafts.map(({ id }) => id);
}

/** Runs the ledger while `work` lasts. */
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

test('closed epochs are shipped in their own logs, also those that a former run closed', async () => {
  const disk = memoryLedgerDisk();
  const first = await ledgerOver(disk);
  const told = [...(await record(first, 30))];
  await first.roll({ reason: 'operator', detail: 'wished' });
  told.push(...(await record(first, 20)));
  await first.close();

  const hub = memoryHub();
  const ledger = await ledgerOver(disk, { ship: hub.ship });
  await ledger.roll({ reason: 'operator', detail: 'wished again' });
  await running(ledger, async () => {
    told.push(...(await record(ledger, 10)));
    await until(() => isDrained(ledger, hub), 'the hub has everything', 5_000);
  });
  assert.deepEqual(requests(hub.rows()).toSorted(), told.toSorted());
  assert.equal(hub.logs.size, 3);
  await ledger.close();
});

test('a log that the hub closes is followed by another, and what the hub lacks is recorded again, once', async () => {
  const hub = memoryHub();
  const limits = { ...SMALL, totalBytes: 64 * SMALL.segmentBytes };
  const ledger = await ledgerOver(memoryLedgerDisk(), { ship: hub.ship, limits });
  const former = ledger.open().id;
  const told: string[] = [];
  await running(ledger, async () => {
    told.push(...(await record(ledger, 40)));
    await until(() => hub.logs.get(former)?.length === 41, 'the hub has the rows', 5_000);
    hub.closed.set(former, 'poisoned');
    told.push(...(await record(ledger, 1_000)));
    await until(() => ledger.open().id !== former, 'a new log', 5_000);
    told.push(...(await record(ledger, 5)));
    await until(() => isDrained(ledger, hub), 'the hub has everything', 5_000);
  });
  const rows = hub.rows();
  assert.deepEqual(requests(rows).toSorted(), told.toSorted());
  assert.equal(hub.logs.get(former)?.length, 41);
  const [salvaged, ...more] = events(rows, 'log_salvaged');
  assert.deepEqual(more, []);
  const facts = salvaged?.rules[0]?.facts;
  assert.deepEqual([facts?.['log'], facts?.['from'], facts?.['skipped']], [former, 41, 0]);
  assert.equal(Number(facts?.['until']) - 41, facts?.['recorded']);
  assert.equal(events(rows, 'epoch_opened').at(-1)?.rules[0]?.facts['reason'], 'poisoned');
  await ledger.close();
});

test('a hub that closes every log is followed ever more slowly', async () => {
  const pauses: number[] = [];
  const hub = memoryHub();
  const clock = {
    ...hastyClock,
    sleep(ms: number, signal?: AbortSignal) {
      if (ms > 1_000) pauses.push(ms);
      return hastyClock.sleep(ms, signal);
    },
  };
  const ledger = await ledgerOver(memoryLedgerDisk(), { ship: hub.ship, clock });
  await running(ledger, async () => {
    for (let n = 0; n < 6; n += 1) {
      const { id } = ledger.open();
      hub.closed.set(id, 'poisoned');
      // With a row to send the hub is asked again.
      await record(ledger, 1);
      await until(() => ledger.open().id !== id, 'another log', 5_000);
    }
  });
  const doubling = pauses.filter((ms) => Number.isInteger(Math.log2(ms / 1_000)));
  assert.deepEqual(doubling.slice(0, 4), [2_000, 4_000, 8_000, 16_000]);
  await ledger.close();
});

test('all epochs together keep to the limit: rows that the hub has go, and what closed logs leave over still comes through', async () => {
  const disk = memoryLedgerDisk();
  const hub = memoryHub();
  const ledger = await ledgerOver(disk, { ship: hub.ship });
  const bytes = (): number =>
    disk.folders
      .values()
      .flatMap(({ files }) => [...files].map(([name, content]) => (name.endsWith('.seg') ? content.length : 0)))
      .reduce((sum, size) => sum + size, 0);
  const told: string[] = [];
  await running(ledger, async () => {
    for (let n = 0; n < 5; n += 1) {
      for (let part = 0; part < 8; part += 1) {
        const wanted = servedDraft();
        const isIn = (): Promise<boolean> =>
          ledger.append(wanted).then(
            () => true,
            () => false,
          );
        await until(isIn, 'room for a row', 5_000);
        told.push(wanted.id, ...(await record(ledger, 40)));
      }
      const { id } = ledger.open();
      hub.closed.set(id, 'poisoned');
      const last = servedDraft();
      await until(
        () =>
          ledger.append(last).then(
            () => true,
            () => false,
          ),
        'room for a row',
        5_000,
      );
      told.push(last.id);
      await until(() => ledger.open().id !== id, 'a new log', 5_000);
      assert.ok(bytes() <= SMALL.totalBytes + 3 * SMALL.segmentBytes, `${bytes()} bytes`);
    }
    await until(() => isDrained(ledger, hub), 'the hub has everything', 10_000);
  });
  assert.deepEqual(requests(hub.rows()).toSorted(), told.toSorted());
  await ledger.close();
  assert.ok(bytes() <= 3 * SMALL.segmentBytes, `${bytes()} bytes are kept, though all is at the hub`);
});

for (const kind of ['lost', 'done_but_reported_lost', 'torn'] as const) {
  test(`a crash at any step of a salvage, the step ${kind}: every told row reaches the hub exactly once`, async () => {
    for (let step = 0; ; step += step < 40 ? 1 : 3) {
      const disk = memoryLedgerDisk();
      const hub = memoryHub();
      const before = await ledgerOver(disk);
      const told = [...(await record(before, 300))];
      await before.roll({ reason: 'fork', detail: 'the hub holds other rows', salvageFrom: 100, settled: true });
      await before.close();
      // The hub has the first hundred; the rest has to come by another way.
      const dead: Fate = { kind: 'lost', error: failure('EIO') };
      let done = 0;
      const faulty = faultyLedgerDisk(disk, () => {
        done += 1;
        return done <= step ? DONE : done === step + 1 ? { kind, error: failure('EIO') } : dead;
      });
      let survived = false;
      const victim = await ledgerOver(faulty, { ship: hub.ship }).catch(() => undefined);
      if (victim !== undefined) {
        await running(victim, async () => {
          const more = record(victim, 5).then(
            (ids) => told.push(...ids),
            () => undefined,
          );
          await until(() => done > step || isDrained(victim, hub), 'the end, one or the other', 5_000);
          await more;
          survived = done <= step;
        });
      }
      const after = disk.copy();
      await victim?.close().catch(() => undefined);
      const again = await ledgerOver(after, { ship: hub.ship });
      await running(again, () => until(() => isDrained(again, hub), `step ${step}: the hub has everything`, 5_000));
      await again.close();

      const missing = told.slice(0, 99);
      const arrived = requests(hub.rows());
      for (const id of told) {
        const expected = missing.includes(id) ? 0 : 1;
        assert.equal(arrived.filter((each) => each === id).length, expected, `step ${step}: ${told.indexOf(id)}`);
      }
      assert.equal(events(hub.rows(), 'log_salvaged').length, 1, `step ${step}: told once`);
      if (survived) {
        assert.ok(step > 10, String(step));
        break;
      }
    }
  });
}
