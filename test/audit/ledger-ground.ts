// What the ledger's tests stand on: a ledger over any disk, its events as rows, a hub in memory, and all rows that a folder
// holds.

import { formatLogId } from '@weir/shared/audit/log-id.ts';
import { readRow } from '@weir/shared/audit/row-codec.ts';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { AuditLog } from '@weir/spoke/audit/audit-log.ts';
import { type EpochEntry, surveyEpochs } from '@weir/spoke/audit/epochs.ts';
import type { LedgerDisk } from '@weir/spoke/audit/ledger-disk.ts';
import { type Ledger, type LedgerOptions, openLedger } from '@weir/spoke/audit/ledger.ts';
import type { ShipHooks, ShipLog } from '@weir/spoke/audit/tend-epochs.ts';
import type { EndReason } from '@weir/spoke/audit/shipper.ts';
import { viewLog } from '@weir/spoke/audit/view-log.ts';
import { ledgerRow } from '@weir/spoke/pipeline/ledger-row.ts';
import { logParts, receiptFor, testRandom } from './log-parts.ts';

const KIB = 1024;
export const SMALL = { segmentBytes: 64 * KIB, totalBytes: 16 * 64 * KIB, keepBytes: 0, pendingBytes: 1 << 20 };

const IDENTITY = { unit: 'payments', spoke: 'edge-1', worker: 'w0' };
export const logOf = (epoch: string): string => formatLogId({ ...IDENTITY, epoch });

/** Real time, but nobody sleeps longer than a few milliseconds. */
export const hastyClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const abort = (): void => {
        clearTimeout(timer);
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(
        () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        },
        Math.min(ms, 3),
      );
      signal?.addEventListener('abort', abort, { once: true });
    }),
};

export function ledgerOver(disk: LedgerDisk, change: Partial<LedgerOptions> = {}): Promise<Ledger> {
  const clock = change.clock ?? hastyClock;
  return openLedger({
    ...logParts,
    disk,
    clock,
    limits: SMALL,
    event: (event) => ledgerRow({ clock, random: testRandom, policy: () => undefined }, event),
    ship: nowhere,
    ...change,
  });
}

/** A hub that is away. */
const nowhere: ShipLog = () => ({
  run: (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true })),
  stats: () => ({ state: 'waiting', acknowledged: 0, inFlight: 0, trouble: '' }),
});

export interface MemoryHub {
  readonly ship: ShipLog;
  /** Rows by log. */
  readonly logs: Map<string, Buffer[]>;
  /** Logs that it takes no more rows of, and why. */
  readonly closed: Map<string, EndReason>;
  rows(): readonly AuditRow[];
}

/** Takes what it is given, receipts it, and closes logs on command. */
export function memoryHub(): MemoryHub {
  const logs = new Map<string, Buffer[]>();
  const closed = new Map<string, EndReason>();

  async function upload(log: AuditLog, { onEnded }: ShipHooks, signal: AbortSignal): Promise<void> {
    const stored = logs.get(log.id) ?? [];
    logs.set(log.id, stored);
    for (;;) {
      const reason = closed.get(log.id) ?? (stored.length > log.stats().durableIndex ? 'rollback' : undefined);
      if (reason !== undefined) {
        const { durableIndex } = log.stats();
        const end = { reason, detail: 'as the test wants it' };
        onEnded(
          reason === 'rollback'
            ? { ...end, salvageFrom: durableIndex, held: stored.length }
            : { ...end, salvageFrom: stored.length },
        );
        return;
      }
      if (stored.length > 0) await log.acknowledge(await receiptFor(log, stored.length));
      await log.waitFor(stored.length, signal);
      if (closed.has(log.id)) continue;
      const { rows } = await log.read(stored.length, 50, 1 << 20);
      signal.throwIfAborted();
      stored.push(...rows);
    }
  }

  return {
    logs,
    closed,
    rows: () => [...logs.values()].flatMap((rows) => rows.map((bytes) => readRow(bytes))),
    ship: (log, hooks) => ({
      async run(signal) {
        while (!signal.aborted) {
          await upload(log, hooks, signal).catch(() => undefined);
          await hastyClock.sleep(2, signal).catch(() => undefined);
        }
      },
      stats: () => ({ state: 'shipping', acknowledged: logs.get(log.id)?.length ?? 0, inFlight: 0, trouble: '' }),
    }),
  };
}

export interface EpochRows extends EpochEntry {
  readonly rows: readonly AuditRow[];
}

/** Every row that counts, epoch by epoch. */
export async function rowsOnDisk(disk: LedgerDisk): Promise<readonly EpochRows[]> {
  const { entries } = await surveyEpochs(disk, logOf);
  const epochs: EpochRows[] = [];
  for (const entry of entries) {
    const view = await viewLog(await disk.epoch(entry.name));
    const rows: AuditRow[] = [];
    const end = Math.min(view.nextIndex, entry.closure?.size ?? Number.POSITIVE_INFINITY);
    for (let next = view.firstIndex; next < end; next = view.firstIndex + rows.length) {
      const slice = await view.read(next, end - next, 1 << 20);
      rows.push(...slice.rows.map((bytes) => readRow(bytes)));
    }
    epochs.push({ ...entry, rows });
  }
  return epochs;
}
