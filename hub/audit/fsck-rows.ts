// Judges one run of raw rows by itself: each leaf derived again from the row's bytes, each column compared with what the
// bytes say. It needs nothing but the run, so that runs can be judged in other threads; what only the tree knows (which of
// two is the true one) is for the caller.

import type { AuditRow } from '@weir/shared/audit/row.ts';
import { type ScannedRow, scanRow } from '@weir/shared/audit/scan-row.ts';
import { HASH_BYTES, leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { rank } from '@weir/shared/domain/level.ts';
import { describeThrown } from '@weir/shared/errors/weir-error.ts';
import { RAW_COLUMNS, type RawRow, type RawRows, readRawRows } from '../store/row-scan.ts';
import { membersOf } from './sound-row.ts';

/** What is wrong with one row. */
export interface RowFault {
  readonly index: number;
  /** A sentence. */
  readonly what: string;
}

export interface RunReport {
  /** Leaf of each row of [from, until) derived from its bytes, 32 bytes each; zeros where there is none. */
  readonly leaves: Uint8Array<ArrayBuffer>;
  readonly rows: number;
  /** Indexes without a row. */
  readonly missing: readonly number[];
  /** Rows whose leaf column is not the hash of their bytes, with what the column says. */
  readonly unequal: readonly { readonly index: number; readonly stored: Uint8Array<ArrayBuffer> }[];
  /** Everything else, by index; at most `FAULTS_MAX`. */
  readonly faults: readonly RowFault[];
}

/** Faults told of one run, and of one log. */
export const FAULTS_MAX = 20;

export type RunCheck = (run: RawRows) => Promise<RunReport>;

export function checkRun(run: RawRows): RunReport {
  const { log, from, until } = run;
  const leaves = Buffer.alloc((until - from) * HASH_BYTES);
  const missing: number[] = [];
  const unequal: RunReport['unequal'][number][] = [];
  const faults: RowFault[] = [];
  const tell = (index: number, what: string): void => {
    if (faults.length < FAULTS_MAX) faults.push({ index, what });
  };
  const lack = (index: number): void => {
    if (missing.length < FAULTS_MAX) missing.push(index);
  };
  let rows = 0;
  let next = from;
  let last: Buffer | undefined;
  for (const row of readRawRows(run)) {
    if (row.index < next) {
      const same = last?.equals(row.bytes) === true;
      tell(row.index, `the row is stored twice, ${same ? 'with the same bytes' : 'with different bytes'}`);
      continue;
    }
    for (; next < row.index; next += 1) lack(next);
    next = row.index + 1;
    rows += 1;
    last = row.bytes;
    const leaf = leafHash(row.bytes);
    leaf.copy(leaves, (row.index - from) * HASH_BYTES);
    // A row whose bytes are in doubt tells nothing about its columns.
    if (leaf.equals(row.leaf)) for (const what of columnFaults(log, row)) tell(row.index, what);
    else if (unequal.length < FAULTS_MAX) unequal.push({ index: row.index, stored: Uint8Array.from(row.leaf) });
  }
  for (; next < until; next += 1) lack(next);
  return { leaves: new Uint8Array(leaves.buffer, leaves.byteOffset, leaves.length), rows, missing, unequal, faults };
}

/** Sentences about columns that do not say what the row's bytes say. */
function columnFaults(log: string, raw: RawRow): readonly string[] {
  let row: ScannedRow;
  try {
    row = scanRow(raw.bytes) ?? readMembers(raw.bytes);
  } catch (thrown) {
    return [`the bytes are no row: ${describeThrown(thrown)}`];
  }
  const said = [
    row.unit,
    row.spoke,
    row.actor,
    row.purl,
    String(rank(row.level)),
    row.rules.join(' '),
    row.code,
    row.action,
    row.outcome,
  ];
  const wrong = RAW_COLUMNS.filter((_, at) => raw.columns[at] !== said[at]).map(String);
  if (raw.columns.length !== said.length && wrong.length === 0) wrong.push('outcome');
  if (row.log !== log) wrong.push('log');
  if (row.index !== raw.index) wrong.push('index');
  if (row.eventTimeMs !== raw.eventTimeMs) wrong.push('time');
  return wrong.map((column) => `the column ${column} is not what the row says`);
}

/**
 * The members of a row that gives reasons. Its schema and spelling are not asked again: its leaf leads to a root that was
 * receipted, or another fault is told.
 */
function readMembers(bytes: Buffer): ScannedRow {
  return membersOf(JSON.parse(bytes.toString('utf8')) as AuditRow);
}
