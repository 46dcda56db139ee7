// Rows that are recorded again stand between counter rows like any other: who compares them finds no fault.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CoverageCheck } from '@weir/shared/audit/coverage.ts';
import { countRows, createCounters } from '@weir/spoke/pipeline/counters.ts';
import { until } from './doubles.ts';
import { memoryLedgerDisk } from './faulty-disk.ts';
import { hastyClock, ledgerOver, memoryHub, rowsOnDisk, SMALL } from './ledger-ground.ts';
import { testRandom } from './log-parts.ts';
import { servedDraft } from './sample-rows.ts';

test('rows that are recorded again between two counter rows are counted', async () => {
  const disk = memoryLedgerDisk();
  const limits = { ...SMALL, totalBytes: 64 * SMALL.segmentBytes };
  const ledger = await ledgerOver(disk, { ship: memoryHub().ship, limits });
  const log = countRows({ ...ledger, damaged: () => false });
  const counters = createCounters(
    { clock: hastyClock, random: testRandom, policy: () => undefined },
    () => ({ requests: 0, refused: 0, servedBytes: 0, failed: 0 }),
    () => log.rows + ledger.recordedAgain(),
  );
  const record = (count: number) => Promise.all(Array.from({ length: count }, () => log.append(servedDraft())));
  await record(30);
  await ledger.roll({ reason: 'gap', detail: 'as the test wants it', salvageFrom: 5, settled: true });
  await record(3);
  await log.append(counters.next());
  await record(4);
  const stopping = new AbortController();
  const run = ledger.run(stopping.signal);
  await until(() => ledger.stats().owing.length === 0, 'the rows stand here again', 5_000);
  stopping.abort();
  await run;
  await log.append(counters.next());

  const open = (await rowsOnDisk(disk)).find((epoch) => epoch.log === ledger.open().id);
  const check = new CoverageCheck();
  let requests = 0;
  for (const row of open?.rows ?? []) {
    if (row.action !== 'event') requests += 1;
    if (row.outcome === 'counters') check.counters(row);
    else check.row(row.action);
  }
  assert.equal(requests, 3 + 4 + 26);
  const { faults, counters: counted } = check.report();
  assert.deepEqual([counted, faults], [2, []]);
  await ledger.close();
});
