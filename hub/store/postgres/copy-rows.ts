// Audit rows in Postgres' binary COPY format, written straight into protocol messages: no text to quote here and to parse
// there, and each row's bytes are copied once.

import { rank } from '@weir/shared/domain/level.ts';
import type { LogAppend, NewRow, PreparedRows } from '../audit-store.ts';
import { COPY_DATA, COPY_DATA_HEAD_BYTES } from './copy-in.ts';

/** `stored_at` is the default: the moment of the transaction. */
export const COPY_ROWS =
  'COPY audit_rows (log, unit, spoke, index, event_time, actor, purl, level, rules, code, action, outcome, row, leaf, flags) FROM STDIN (FORMAT binary)';
const COLUMNS = 15;

/** Signature, no flags, no extension. */
const HEADER = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
const TRAILER = Buffer.from([0xff, 0xff]);

/** Lengths of all columns, the numbers, flags, level and leaf: what is the same for every row beside its owner. */
const FIXED_BYTES = (COLUMNS - 3) * 4 + 8 + 8 + 2 + 32 + 2;
/** What an array of texts is more than its elements. */
const ARRAY_BYTES = 12;
const DIMENSION_BYTES = 8;

const TEXT_OID = 25;
/** Unix milliseconds of 2000-01-01, where Postgres counts from. */
const POSTGRES_EPOCH_MS = 946_684_800_000;
const TWO_32 = 2 ** 32;

/** Rows of one log, encoded. */
export function packRows(
  { log, unit, spoke }: Pick<LogAppend, 'log' | 'unit' | 'spoke'>,
  rows: readonly NewRow[],
): PreparedRows {
  const owner = ownerOf(log, unit, spoke);
  const bytes = Buffer.allocUnsafe(rows.reduce((sum, row) => sum + owner.length + sizeOf(row), 0));
  // One more start than rows: the end of the last.
  const starts = new Uint32Array(rows.length + 1);
  const rowStarts = new Uint32Array(rows.length);
  let at = 0;
  for (const [place, row] of rows.entries()) {
    starts[place] = at;
    const columns = writeColumns(bytes, at, owner, row);
    rowStarts[place] = columns + 4;
    at = writeBytes(bytes, writeBytes(bytes, columns, row.bytes), row.leaf);
    at = bytes.writeInt16BE(row.flags, bytes.writeInt32BE(2, at));
  }
  starts[rows.length] = at;
  return new PackedRows(bytes, starts, rowStarts);
}

/** CopyData messages with all of these rows, as buffers to be written one after the other. */
export function copyMessages(runs: readonly PreparedRows[]): readonly Buffer[] {
  return [framed(HEADER), ...runs.map((run) => framed(packed(run).encoded())), framed(TRAILER)].flat();
}

/** The same for rows that are at hand as they are. */
export function encodeRows(
  appends: readonly (Pick<LogAppend, 'log' | 'unit' | 'spoke'> & { readonly rows: readonly NewRow[] })[],
): readonly Buffer[] {
  return copyMessages(appends.map((append) => packRows(append, append.rows)));
}

class PackedRows implements PreparedRows {
  readonly count: number;
  readonly #bytes: Buffer;
  readonly #starts: Uint32Array;
  readonly #rowStarts: Uint32Array;

  constructor(bytes: Buffer, starts: Uint32Array, rowStarts: Uint32Array) {
    this.#bytes = bytes;
    this.#starts = starts;
    this.#rowStarts = rowStarts;
    this.count = rowStarts.length;
  }

  row(place: number): Buffer {
    const start = this.#rowStarts[place];
    if (start === undefined) throw new RangeError('there is no such row');
    return this.#bytes.subarray(start, start + this.#bytes.readInt32BE(start - 4));
  }

  slice(from: number, until: number = this.count): PreparedRows {
    return new PackedRows(this.#bytes, this.#starts.subarray(from, until + 1), this.#rowStarts.subarray(from, until));
  }

  flagFirst(bit: number): void {
    const end = this.#starts[1];
    if (end === undefined) throw new RangeError('there is no first row');
    this.#bytes.writeInt16BE(this.#bytes.readInt16BE(end - 2) | bit, end - 2);
  }

  encoded(): Buffer {
    return this.#bytes.subarray(this.#starts[0], this.#starts.at(-1));
  }
}

function packed(run: PreparedRows): PackedRows {
  if (run instanceof PackedRows) return run;
  throw new TypeError('rows were prepared by another store');
}

/** Column count and the three columns that all rows of a log share. */
function ownerOf(log: string, unit: string, spoke: string): Buffer {
  const owner = Buffer.allocUnsafe(2 + 3 * 4 + log.length + unit.length + spoke.length);
  let at = owner.writeInt16BE(COLUMNS, 0);
  for (const text of [log, unit, spoke]) at = writeText(owner, at, text);
  return owner;
}

/** Everything before the row's bytes. */
function writeColumns(to: Buffer, start: number, owner: Buffer, row: NewRow): number {
  let at = start + owner.copy(to, start);
  at = writeInt64(to, to.writeInt32BE(8, at), row.index);
  at = writeInt64(to, to.writeInt32BE(8, at), row.eventTimeMs - POSTGRES_EPOCH_MS, 1000);
  at = writeText(to, at, row.actor);
  at = writeText(to, at, row.purl);
  at = to.writeInt16BE(rank(row.level), to.writeInt32BE(2, at));
  at = writeTexts(to, at, row.rules);
  at = writeText(to, at, row.code);
  at = writeText(to, at, row.action);
  return writeText(to, at, row.outcome);
}

/** Bytes that a row takes beside its owner's columns. */
function sizeOf({ actor, purl, rules, code, action, outcome, bytes }: NewRow): number {
  const texts = actor.length + purl.length + code.length + action.length + outcome.length;
  const dimension = rules.length === 0 ? 0 : DIMENSION_BYTES;
  const elements = rules.reduce((sum, rule) => sum + 4 + rule.length, 0);
  return FIXED_BYTES + texts + ARRAY_BYTES + dimension + elements + bytes.length;
}

/** Every text column is ASCII by the row's schema. */
function writeText(to: Buffer, at: number, text: string): number {
  to.writeInt32BE(text.length, at);
  return at + 4 + (text.length === 0 ? 0 : to.write(text, at + 4, 'latin1'));
}

function writeBytes(to: Buffer, at: number, bytes: Uint8Array): number {
  to.writeInt32BE(bytes.length, at);
  to.set(bytes, at + 4);
  return at + 4 + bytes.length;
}

/** A `text[]`: dimensions, no nulls, element type, then for one dimension its length, its first index and the elements. */
function writeTexts(to: Buffer, start: number, texts: readonly string[]): number {
  let at = to.writeInt32BE(texts.length === 0 ? 0 : 1, start + 4);
  at = to.writeInt32BE(0, at);
  at = to.writeInt32BE(TEXT_OID, at);
  if (texts.length > 0) {
    at = to.writeInt32BE(texts.length, at);
    at = to.writeInt32BE(1, at);
    for (const text of texts) at = writeText(to, at, text);
  }
  to.writeInt32BE(at - start - 4, start);
  return at;
}

/** `value · factor` as eight bytes; the product may pass 2^53, the value and the factor's share of it may not. */
function writeInt64(to: Buffer, at: number, value: number, factor = 1): number {
  const high = Math.floor(value / TWO_32);
  const low = (value - high * TWO_32) * factor;
  const carry = Math.floor(low / TWO_32);
  return to.writeUInt32BE(low - carry * TWO_32, to.writeInt32BE(high * factor + carry, at));
}

/** A CopyData message: its head, and its bytes where they are. */
function framed(bytes: Buffer): readonly Buffer[] {
  const head = Buffer.allocUnsafe(COPY_DATA_HEAD_BYTES);
  head[0] = COPY_DATA;
  head.writeInt32BE(bytes.length + 4, 1);
  return [head, bytes];
}
