// One batch by itself: is it what its sender may say, signed, and made of sound rows? What depends on the stored log (does it
// continue it?) is asked later, under the log's lock. Hashing and reading rows, the costly part, is done here.

import { parseLogId } from '@weir/shared/audit/log-id.ts';
import { recheckRow } from '@weir/shared/audit/recheck-row.ts';
import { readRow } from '@weir/shared/audit/row-codec.ts';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import { type ScannedRow, scanRow } from '@weir/shared/audit/scan-row.ts';
import { openCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { HASH_BYTES, leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { splitNote, type Verifier } from '@weir/shared/audit/tlog/note.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { BATCH_BYTES_MAX, BATCH_ROWS_MAX, type NackCode, type RowBatch } from '@weir/shared/wire/audit.ts';
import { type AuditStore, type NewRow, type PreparedRows, ROW_FLAGS } from '../store/audit-store.ts';
import { membersOf } from './sound-row.ts';

/** A row may claim to be this much younger than its arrival, milliseconds, before it is flagged. */
export const AHEAD_MS = 5 * 60_000;
/** Requests end in another order than they began in: so much earlier than the row before it is nothing odd. */
export const BACKWARDS_MS = 60_000;
/** A signed tree head of one log: three lines and one signature. */
export const CHECKPOINT_BYTES_MAX = 2_048;
/** More hashes than any tree of 2^53 leaves needs. */
const PROOF_HASHES_MAX = 64;
const DETAIL_CHARS_MAX = 500;

/** Whose session a batch came over. */
export interface Uploader {
  readonly unit: string;
  readonly spoke: string;
}

export interface SoundBatch extends Pick<RowBatch, 'log' | 'firstIndex' | 'checkpoint' | 'proof'> {
  readonly kind: 'sound';
  /** At least one, from `firstIndex` on. */
  readonly rows: PreparedRows;
  /** Their leaf hashes, one after the other. */
  readonly leaves: Buffer;
  /** Event times of the first and the last row. */
  readonly firstEventMs: number;
  readonly lastEventMs: number;
  /** Rows in the log after this batch, as signed. */
  readonly size: number;
  readonly root: Buffer;
}

/** A batch that no second sending cures: its log is closed for it. */
export interface BadBatch extends Pick<RowBatch, 'log' | 'firstIndex' | 'rows' | 'checkpoint'> {
  readonly kind: 'bad';
  readonly code: NackCode;
  readonly detail: string;
}

/** Row bytes of a batch. */
export function batchBytes(batch: RowBatch): number {
  return batch.rows.reduce((sum, row) => sum + row.length, 0);
}

/** Whether a log id is well-formed and names this spoke. */
export function isOwn(from: Uploader, log: string): boolean {
  const parts = parseLogId(log);
  return parts !== undefined && parts.unit === from.unit && parts.spoke === from.spoke;
}

/** Checks a batch of the sender's own log. Never throws for what a spoke can send. */
export function checkBatch(
  from: Uploader,
  batch: RowBatch,
  options: {
    readonly key: Verifier;
    readonly receivedAtMs: number;
    readonly prepare: AuditStore['prepare'];
  },
): SoundBatch | BadBatch {
  const bad = (code: NackCode, detail: string): BadBatch => ({
    kind: 'bad',
    log: batch.log,
    firstIndex: batch.firstIndex,
    rows: batch.rows,
    checkpoint: batch.checkpoint,
    code,
    detail: detail.slice(0, DETAIL_CHARS_MAX),
  });
  if (batch.rows.length === 0) return bad('malformed', 'a batch has at least one row');
  if (batch.rows.length > BATCH_ROWS_MAX || batchBytes(batch) > BATCH_BYTES_MAX) {
    return bad('too_large', `a batch has at most ${BATCH_ROWS_MAX} rows and ${BATCH_BYTES_MAX} bytes`);
  }
  const size = batch.firstIndex + batch.rows.length;
  if (!Number.isSafeInteger(size)) return bad('malformed', 'the row indexes are too large');
  if (batch.proof.length > PROOF_HASHES_MAX || batch.proof.some(({ length }) => length !== HASH_BYTES)) {
    return bad('malformed', `a consistency proof is at most ${PROOF_HASHES_MAX} hashes of ${HASH_BYTES} bytes`);
  }
  const signed = openSigned(batch.checkpoint, options.key);
  if (typeof signed === 'string') return bad('bad_signature', signed);
  if (signed.size !== size) {
    return bad('malformed', `the checkpoint is for ${signed.size} rows, the batch ends at ${size}`);
  }

  const rows: NewRow[] = [];
  let before = Number.NEGATIVE_INFINITY;
  for (const [offset, bytes] of batch.rows.entries()) {
    const index = batch.firstIndex + offset;
    const row = scanRow(bytes) ?? readCarefully(bytes);
    if (isFault(row)) return bad(row.fault, `row ${index}: ${row.detail}`);
    if (row.log !== batch.log || row.unit !== from.unit || row.spoke !== from.spoke) {
      return bad('wrong_identity', `row ${index} names another log, unit or spoke`);
    }
    if (row.index !== index) return bad('malformed', `row ${row.index} stands where ${index} belongs`);
    const { eventTimeMs } = row;
    rows.push({
      index,
      bytes,
      leaf: leafHash(bytes),
      flags:
        (eventTimeMs > options.receivedAtMs + AHEAD_MS ? ROW_FLAGS.ahead : 0) +
        (eventTimeMs < before - BACKWARDS_MS ? ROW_FLAGS.backwards : 0),
      eventTimeMs,
      actor: row.actor,
      purl: row.purl,
      level: row.level,
      rules: row.rules,
      code: row.code,
      action: row.action,
      outcome: row.outcome,
    });
    before = eventTimeMs;
  }
  const { log, firstIndex, checkpoint, proof } = batch;
  return {
    kind: 'sound',
    log,
    firstIndex,
    checkpoint,
    proof,
    rows: options.prepare({ log, unit: from.unit, spoke: from.spoke }, rows),
    leaves: Buffer.concat(rows.map(({ leaf }) => leaf)),
    firstEventMs: rows[0]?.eventTimeMs ?? before,
    lastEventMs: before,
    size,
    root: signed.root,
  };
}

/** Size and root of a log's signed tree head, or why it is refused. It carries the log's signature and no other. */
export function openSigned(note: Uint8Array, key: Verifier): { readonly size: number; readonly root: Buffer } | string {
  if (note.length > CHECKPOINT_BYTES_MAX) return `a checkpoint is at most ${CHECKPOINT_BYTES_MAX} bytes`;
  try {
    const checkpoint = openCheckpoint(note, key);
    return splitNote(note).signatures.length === 1 ? checkpoint : 'the checkpoint carries more than one signature';
  } catch (thrown) {
    return thrown instanceof WeirError ? thrown.message : 'the checkpoint cannot be read';
  }
}

interface Fault {
  readonly fault: NackCode;
  readonly detail: string;
}

function isFault(row: ScannedRow | Fault): row is Fault {
  return 'fault' in row;
}

/** Rows with reasons, and rows that are wrong: parsed, held to the schema, spelled again and explained again. */
function readCarefully(bytes: Uint8Array): ScannedRow | Fault {
  let row: AuditRow;
  try {
    row = readRow(bytes);
  } catch (thrown) {
    const error = thrown instanceof WeirError ? thrown : undefined;
    const detail = error?.message ?? 'unreadable';
    if (error?.code === 'too_large') return { fault: 'too_large', detail };
    return { fault: error?.detail['fault'] === 'not_canonical' ? 'not_canonical' : 'malformed', detail };
  }
  const faults = recheckRow(row);
  if (faults.length > 0) return { fault: 'unsound', detail: faults.join('; ') };
  return membersOf(row);
}
