import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CoverageCheck } from '@weir/shared/audit/coverage.ts';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import { rowFaults } from '@weir/shared/audit/row-schema.ts';
import { countRows, createCounters } from './counters.ts';
import { eventRow } from './event-row.ts';
import type { AuditPort } from './ports.ts';

const PORTS = { policy: () => undefined, random: { bytes: () => new Uint8Array(), unit: () => 0, uuid } };
let uuids = 0;
function uuid(): string {
  uuids += 1;
  return `01a20260-0000-7000-8000-${String(uuids).padStart(12, '0')}`;
}

function clockAt(startMs: number): {
  nowMs: () => number;
  monotonicMs: () => number;
  sleep: () => Promise<void>;
  ms: number;
} {
  return {
    ms: startMs,
    nowMs() {
      return this.ms;
    },
    monotonicMs() {
      return this.ms;
    },
    sleep: () => Promise.resolve(),
  };
}

/** A log in memory; rows that `refuse` picks are refused. */
function memoryLog(refuse: (row: RowDraft) => boolean = () => false): AuditPort & { readonly rows: RowDraft[] } {
  const rows: RowDraft[] = [];
  return {
    rows,
    append(row) {
      if (refuse(row)) return Promise.reject(new Error('full'));
      rows.push(row);
      return Promise.resolve({ id: row.id, log: 'a.b.w0.0', index: rows.length - 1, leaf: Buffer.alloc(32) });
    },
    template: () => ({ log: '', pieces: [], maxBytes: 0 }),
    appendTo: () => Promise.reject(new Error('full')),
    damaged: () => false,
  };
}

function install(clock: { nowMs(): number; monotonicMs(): number; sleep(): Promise<void> }): RowDraft {
  return { ...eventRow({ ...PORTS, clock }, EVENT), action: 'install', outcome: 'served' };
}
const EVENT = { outcome: 'spoke_started', level: 'allow', status: 0, detail: '', bundle: '' } as const;

test('counter rows are rows, cover the period without a gap, and add up', async () => {
  const clock = clockAt(Date.UTC(2026, 0, 1));
  const inner = memoryLog();
  const log = countRows(inner);
  const traffic = { requests: 0, refused: 0, servedBytes: 0, failed: 0 };
  const counters = createCounters(
    { ...PORTS, clock },
    () => ({ ...traffic }),
    () => log.rows,
  );
  for (const count of [3, 0, 5]) {
    clock.ms += 60_000;
    for (let i = 0; i < count; i += 1) {
      traffic.requests += 1;
      traffic.servedBytes += 10;
      await log.append(install(clock));
    }
    await log.append(counters.next());
  }
  const told = inner.rows.filter(({ outcome }) => outcome === 'counters');
  assert.deepEqual(
    told.map(({ rules }) => rules[0]?.facts),
    [
      facts('00:00', '01:00', [3, 30], [3, 30]),
      facts('01:00', '02:00', [0, 0], [3, 30]),
      facts('02:00', '03:00', [5, 50], [8, 80]),
    ],
  );
  for (const row of told) {
    const whole = {
      ...row,
      v: 1,
      log: 'payments.payments-1.w0.01a2026a4c7e1246ec63',
      index: 0,
      unit: 'payments',
      spoke: 'p',
      site: '',
    };
    assert.deepEqual(rowFaults(whole), []);
  }
  assert.deepEqual(coverageOf(inner.rows), []);
});

function facts(
  from: string,
  until: string,
  [requests, bytes]: readonly [number, number],
  [all, allBytes]: readonly [number, number],
) {
  return {
    from: `2026-01-01T00:${from}.000Z`,
    until: `2026-01-01T00:${until}.000Z`,
    requests,
    refused: 0,
    served_bytes: bytes,
    failed: 0,
    rows: requests,
    total_requests: all,
    total_refused: 0,
    total_served_bytes: allBytes,
    total_rows: all,
  };
}

function coverageOf(rows: readonly RowDraft[]): readonly string[] {
  const check = new CoverageCheck();
  for (const [index, row] of rows.entries()) {
    if (row.outcome === 'counters') check.counters({ index, rules: row.rules });
    else check.row(row.action);
  }
  return check.report().faults.map(({ what }) => what);
}

test('a row that is left out shows', async () => {
  const clock = clockAt(Date.UTC(2026, 0, 1));
  const inner = memoryLog();
  const log = countRows(inner);
  const counters = createCounters(
    { ...PORTS, clock },
    () => ({ requests: 0, refused: 0, servedBytes: 0, failed: 0 }),
    () => log.rows,
  );
  await log.append(counters.next());
  for (let i = 0; i < 4; i += 1) await log.append(install(clock));
  clock.ms += 60_000;
  await log.append(counters.next());
  assert.deepEqual(coverageOf(inner.rows), []);
  assert.deepEqual(coverageOf(inner.rows.toSpliced(2, 1)), [
    '4 rows of requests were counted since the last counters, the log has 3',
  ]);
});

test('a row counts from when it takes its place, and not at all when it is refused', async () => {
  const clock = clockAt(0);
  const log = countRows(memoryLog(({ outcome }) => outcome === 'refused'));
  const first = log.append(install(clock));
  assert.equal(log.rows, 1);
  await first;
  await log.append(eventRow({ ...PORTS, clock }, EVENT));
  await assert.rejects(log.append({ ...install(clock), outcome: 'refused' }));
  assert.equal(log.rows, 1);
});
