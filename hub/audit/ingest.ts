// Takes what spokes upload: every row is checked against its sender, the schema, its one spelling, its place in the log and
// its own explanation before anything is stored. One bad row refuses its whole batch, and nothing of it is stored.

import { parseLogId } from '@weir/shared/audit/log-id.ts';
import { recheckRow } from '@weir/shared/audit/recheck-row.ts';
import { readRow } from '@weir/shared/audit/row-codec.ts';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import {
  BATCH_BYTES_MAX,
  BATCH_ROWS_MAX,
  type NackCode,
  type RowBatch,
  type UploadAnswer,
} from '@weir/shared/wire/audit.ts';
import type { AuditStore, NewRow } from '../store/audit-store.ts';

export interface IngestLimits {
  /** Batches being stored at once, over all spokes. */
  readonly storing: number;
  /** Batches waiting for their turn; beyond it a spoke is told to come back. */
  readonly waiting: number;
  /** What an overloaded or troubled hub asks a spoke to wait, milliseconds; the spoke adds its jitter. */
  readonly retryAfterMs: number;
}

export const INGEST_LIMITS: IngestLimits = { storing: 4, waiting: 64, retryAfterMs: 1_000 };

/** Event times for which partitions are made when rows arrive; anything further off goes to the default partition. */
const PARTITION_BACK_MS = 400 * 86_400_000;
const PARTITION_AHEAD_MS = 40 * 86_400_000;

/** Whose session a batch came over. */
export interface Uploader {
  readonly unit: string;
  readonly spoke: string;
}

export interface Ingest {
  /** Stores a batch and says so, or refuses it whole. Never throws for what a spoke can send or for a troubled store. */
  take(from: Uploader, batch: RowBatch): Promise<UploadAnswer>;
  /** Where the hub's copy of the uploader's log ends. Throws `forbidden` for a log of another spoke. */
  position(from: Uploader, log: string): Promise<number>;
  /** Calls back after rows were committed through this hub; returns the way to stop. */
  onStored(heard: () => void): () => void;
}

export function createIngest(parts: {
  readonly store: Pick<AuditStore, 'append' | 'position' | 'ensurePartitions'>;
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly limits?: Partial<IngestLimits>;
}): Ingest {
  const { store, clock, logger, metrics } = parts;
  const limits = { ...INGEST_LIMITS, ...parts.limits };
  const listeners = new Set<() => void>();
  const queue: (() => void)[] = [];
  const months = new Set<string>();
  let storing = 0;

  /** True once it is this batch's turn, false when too many wait. */
  async function enter(): Promise<boolean> {
    if (storing < limits.storing) {
      storing += 1;
      return true;
    }
    if (queue.length >= limits.waiting) return false;
    await new Promise<void>((resolve) => queue.push(resolve));
    return true;
  }

  function leave(): void {
    const next = queue.shift();
    // The turn is handed over, not given back: nobody can slip in between.
    if (next === undefined) storing -= 1;
    else next();
  }

  async function ensureMonthsOf(rows: readonly NewRow[]): Promise<void> {
    const now = clock.nowMs();
    for (const { eventTimeMs } of rows) {
      const month = new Date(eventTimeMs).toISOString().slice(0, 7);
      if (months.has(month) || eventTimeMs < now - PARTITION_BACK_MS || eventTimeMs > now + PARTITION_AHEAD_MS)
        continue;
      await store.ensurePartitions(eventTimeMs, eventTimeMs);
      months.add(month);
    }
  }

  async function storeBatch(from: Uploader, batch: RowBatch, rows: readonly NewRow[]): Promise<UploadAnswer> {
    if (!(await enter())) return nack(batch, 'overloaded', 'the hub has too many batches waiting', limits.retryAfterMs);
    const started = clock.monotonicMs();
    try {
      await ensureMonthsOf(rows);
      const outcome = await store.append({ log: batch.log, unit: from.unit, spoke: from.spoke, rows });
      if (outcome.kind === 'gap') {
        return { ...nack(batch, 'gap', `expected row ${outcome.nextIndex}`, 0), nextIndex: outcome.nextIndex };
      }
      if (outcome.kind === 'fork') {
        logger.error({ log: batch.log, index: outcome.index, ...from }, 'a spoke sent other bytes for a stored row');
        const detail = `row ${outcome.index} is stored with other bytes`;
        return { ...nack(batch, 'fork', detail, 0), nextIndex: outcome.nextIndex };
      }
      const { unit } = from;
      metrics.count('weir_hub_audit_rows_total', { unit }, outcome.added);
      metrics.count('weir_hub_audit_repeated_total', { unit }, rows.length - outcome.added);
      if (outcome.added > 0) for (const heard of listeners) heard();
      return { kind: 'ack', log: batch.log, nextIndex: outcome.nextIndex, receipt: new Uint8Array() };
    } catch (thrown) {
      if (thrown instanceof WeirError && thrown.code === 'forbidden')
        return nack(batch, 'wrong_identity', thrown.message, 0);
      logger.error({ log: batch.log, error: describeThrown(thrown) }, 'a batch of audit rows could not be stored');
      return nack(batch, 'unavailable', 'the hub could not store the batch', limits.retryAfterMs);
    } finally {
      leave();
      metrics.observe('weir_hub_audit_store_seconds', (clock.monotonicMs() - started) / 1000);
    }
  }

  return {
    async take(from, batch) {
      const checked = checkBatch(from, batch);
      const answer = checked.kind === 'nack' ? checked : await storeBatch(from, batch, checked.rows);
      if (answer.kind === 'nack') {
        metrics.count('weir_hub_audit_nacks_total', { code: answer.code });
        logger.warn(
          { log: batch.log, code: answer.code, detail: answer.detail, ...from },
          'refused a batch of audit rows',
        );
      }
      return answer;
    },
    async position(from, log) {
      if (!isOwn(from, log)) throw new WeirError('forbidden', 'the log belongs to another spoke');
      return store.position(log);
    },
    onStored(heard) {
      listeners.add(heard);
      return () => listeners.delete(heard);
    },
  };
}

type Checked = { readonly kind: 'checked'; readonly rows: readonly NewRow[] } | Nack;
type Nack = Extract<UploadAnswer, { kind: 'nack' }>;

function checkBatch(from: Uploader, batch: RowBatch): Checked {
  if (!isOwn(from, batch.log)) return nack(batch, 'wrong_identity', 'the log belongs to another spoke', 0);
  if (batch.rows.length === 0) return nack(batch, 'malformed', 'a batch has at least one row', 0);
  const size = batch.rows.reduce((sum, row) => sum + row.length, 0);
  if (batch.rows.length > BATCH_ROWS_MAX || size > BATCH_BYTES_MAX) {
    return nack(batch, 'too_large', `a batch has at most ${BATCH_ROWS_MAX} rows and ${BATCH_BYTES_MAX} bytes`, 0);
  }
  const rows: NewRow[] = [];
  for (const [offset, bytes] of batch.rows.entries()) {
    const index = batch.firstIndex + offset;
    let row: AuditRow;
    try {
      row = readRow(bytes);
    } catch (thrown) {
      const error = thrown instanceof WeirError ? thrown : undefined;
      const code: NackCode =
        error?.code === 'too_large'
          ? 'too_large'
          : error?.detail['fault'] === 'not_canonical'
            ? 'not_canonical'
            : 'malformed';
      return nack(batch, code, `row ${index}: ${error?.message ?? 'unreadable'}`, 0);
    }
    if (row.log !== batch.log || row.unit !== from.unit || row.spoke !== from.spoke) {
      return nack(batch, 'wrong_identity', `row ${index} names another log, unit or spoke`, 0);
    }
    if (row.index !== index) return nack(batch, 'malformed', `row ${row.index} stands where ${index} belongs`, 0);
    const faults = recheckRow(row);
    if (faults.length > 0) return nack(batch, 'unsound', `row ${index}: ${faults.join('; ')}`, 0);
    rows.push(columnsOf(row, bytes));
  }
  return { kind: 'checked', rows };
}

function isOwn(from: Uploader, log: string): boolean {
  const parts = parseLogId(log);
  return parts !== undefined && parts.unit === from.unit && parts.spoke === from.spoke;
}

function columnsOf(row: AuditRow, bytes: Uint8Array): NewRow {
  return {
    index: row.index,
    bytes,
    eventTimeMs: Date.parse(row.time),
    actor: row.actor.id,
    purl: row.subject.purl,
    level: row.level,
    rules: [...new Set(row.rules.map((rule) => rule.rule))],
    code: row.code,
    action: row.action,
    outcome: row.outcome,
  };
}

const DETAIL_CHARS_MAX = 500;

function nack(batch: RowBatch, code: NackCode, detail: string, retryAfterMs: number): Nack {
  return { kind: 'nack', log: batch.log, nextIndex: 0, code, detail: detail.slice(0, DETAIL_CHARS_MAX), retryAfterMs };
}
