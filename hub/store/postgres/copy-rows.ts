// Audit rows in Postgres' binary COPY format, written straight into protocol messages: no text to quote here and to parse
// there, and each row's bytes are copied once.

import { rank } from '@weir/shared/domain/level.ts';
import type { LogAppend, NewRow } from '../audit-store.ts';
import { COPY_DATA, COPY_DATA_HEAD_BYTES } from './copy-in.ts';

/** `stored_at` is the default: the moment of the transaction. */
export const COPY_ROWS =
  'COPY audit_rows (log, unit, spoke, index, event_time, actor, purl, level, rules, code, action, outcome, row, leaf, flags) FROM STDIN (FORMAT binary)';
const COLUMNS = 15;

/** Signature, no flags, no extension. */
const HEADER = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
const TRAILER = Buffer.from([0xff, 0xff]);

const MESSAGE_BYTES = 256 << 10;
/** More than all columns of a row but `row` itself can take: names, a purl, a hundred rule ids, numbers and lengths. */
const COLUMNS_BYTES_MAX = 16 << 10;

const TEXT_OID = 25;
/** Unix milliseconds of 2000-01-01, where Postgres counts from. */
const POSTGRES_EPOCH_MS = 946_684_800_000;
const TWO_32 = 2 ** 32;

/** CopyData messages with every row of these logs. */
export function encodeRows(appends: readonly LogAppend[]): readonly Buffer[] {
  const messages: Buffer[] = [];
  let message = Buffer.allocUnsafeSlow(MESSAGE_BYTES);
  let end = HEADER.copy(message, COPY_DATA_HEAD_BYTES) + COPY_DATA_HEAD_BYTES;
  for (const { log, unit, spoke, rows } of appends) {
    const owner = ownerOf(log, unit, spoke);
    for (const row of rows) {
      const room = row.bytes.length + COLUMNS_BYTES_MAX;
      if (end + room > message.length) {
        messages.push(framed(message, end));
        message = Buffer.allocUnsafeSlow(Math.max(MESSAGE_BYTES, room + COPY_DATA_HEAD_BYTES));
        end = COPY_DATA_HEAD_BYTES;
      }
      end = writeRow(message, end, owner, row);
    }
  }
  end += TRAILER.copy(message, end);
  messages.push(framed(message, end));
  return messages;
}

/** Column count and the three columns that all rows of a log share. */
function ownerOf(log: string, unit: string, spoke: string): Buffer {
  const owner = Buffer.allocUnsafe(2 + 3 * 4 + log.length + unit.length + spoke.length);
  let at = owner.writeInt16BE(COLUMNS, 0);
  for (const text of [log, unit, spoke]) at = writeText(owner, at, text);
  return owner;
}

function writeRow(to: Buffer, start: number, owner: Buffer, row: NewRow): number {
  let at = start + owner.copy(to, start);
  at = writeInt64(to, to.writeInt32BE(8, at), row.index);
  at = writeInt64(to, to.writeInt32BE(8, at), row.eventTimeMs - POSTGRES_EPOCH_MS, 1000);
  at = writeText(to, at, row.actor);
  at = writeText(to, at, row.purl);
  at = to.writeInt16BE(rank(row.level), to.writeInt32BE(2, at));
  at = writeTexts(to, at, row.rules);
  at = writeText(to, at, row.code);
  at = writeText(to, at, row.action);
  at = writeText(to, at, row.outcome);
  at = writeBytes(to, at, row.bytes);
  at = writeBytes(to, at, row.leaf);
  return to.writeInt16BE(row.flags, to.writeInt32BE(2, at));
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

function framed(message: Buffer, end: number): Buffer {
  message[0] = COPY_DATA;
  message.writeInt32BE(end - 1, 1);
  return message.subarray(0, end);
}
