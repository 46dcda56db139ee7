// What the ledger's tests stand on: a ledger over any disk, its events as rows, and all rows that a folder holds.

import { readRow } from '@weir/shared/audit/row-codec.ts';
import type { AuditRow, RowDraft } from '@weir/shared/audit/row.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import { formatLogId } from '@weir/shared/audit/log-id.ts';
import { type EpochEntry, surveyEpochs } from '@weir/spoke/audit/epochs.ts';
import type { LedgerDisk } from '@weir/spoke/audit/ledger-disk.ts';
import { type Ledger, type LedgerOptions, openLedger } from '@weir/spoke/audit/ledger.ts';
import { viewLog } from '@weir/spoke/audit/view-log.ts';
import { ledgerRow } from '@weir/spoke/pipeline/ledger-row.ts';
import { quiet } from '../hub/database.ts';
import { instantClock, uncounted } from './doubles.ts';
import { uuid } from './sample-rows.ts';

const KIB = 1024;
export const SMALL = { segmentBytes: 64 * KIB, totalBytes: 16 * 64 * KIB, keepBytes: 0, pendingBytes: 1 << 20 };
export const random = { uuid, unit: () => 0.5, bytes: (size: number) => new Uint8Array(size) };

const IDENTITY = { unit: 'payments', spoke: 'edge-1', site: '', worker: 'w0' };
export const logOf = (epoch: string): string => formatLogId({ ...IDENTITY, epoch });

export function ledgerOptions(
  disk: LedgerDisk,
  change: Partial<LedgerOptions> & { readonly clock?: Clock } = {},
): LedgerOptions {
  const clock = change.clock ?? instantClock();
  return {
    ...IDENTITY,
    disk,
    clock,
    random,
    limits: SMALL,
    logger: quiet,
    metrics: uncounted,
    event: (event): RowDraft =>
      ledgerRow({ clock: { ...clock, nowMs: () => Date.now() }, random, policy: () => undefined }, event),
    ...change,
  };
}

export function ledgerOver(disk: LedgerDisk, change: Partial<LedgerOptions> = {}): Promise<Ledger> {
  return openLedger(ledgerOptions(disk, change));
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
