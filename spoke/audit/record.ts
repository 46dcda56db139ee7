// One record of a segment: checksum, length, index, position in its batch, bytes. The position tells a reader which rows
// were already durable when this one was written, and so a torn last batch apart from damage to acknowledged rows.

import { crc32 } from 'node:zlib';
import { ROW_BYTES_MAX } from '@weir/shared/audit/row.ts';
import { leafHashAt } from '@weir/shared/audit/tlog/hash.ts';

/**
 * Little-endian: u32 CRC-32 of everything after it, u32 length of the bytes, u32 position in the batch, u64 index.
 * A length of 0 marks unwritten space. The last byte is 0, as no index has 56 bits: a row's leaf is hashed in place.
 */
export const RECORD_HEADER_BYTES = 20;
export const RECORD_BYTES_MAX = RECORD_HEADER_BYTES + ROW_BYTES_MAX;

const HIGH = 2 ** 32;

export interface RecordHead {
  readonly index: number;
  /** Rows of the same batch before this one: every row below `index - batchPosition` was durable when this was written. */
  readonly batchPosition: number;
  readonly bytesStart: number;
  readonly bytesEnd: number;
}

/** Completes the record whose `length` row bytes already stand at `start + RECORD_HEADER_BYTES`. */
export function sealRecord(
  buffer: Buffer,
  start: number,
  record: { readonly length: number; readonly index: number; readonly batchPosition: number },
): void {
  buffer.writeUInt32LE(record.length, start + 4);
  buffer.writeUInt32LE(record.batchPosition, start + 8);
  buffer.writeUInt32LE(record.index % HIGH, start + 12);
  buffer.writeUInt32LE(Math.floor(record.index / HIGH), start + 16);
  buffer.writeUInt32LE(crc32(buffer.subarray(start + 4, start + RECORD_HEADER_BYTES + record.length)), start);
}

/** The record at `start` if its checksum holds; undefined for unwritten space, a torn or a damaged record. */
export function readRecord(buffer: Buffer, start: number): RecordHead | undefined {
  if (start + RECORD_HEADER_BYTES > buffer.length) return undefined;
  const length = buffer.readUInt32LE(start + 4);
  const bytesStart = start + RECORD_HEADER_BYTES;
  const bytesEnd = bytesStart + length;
  if (length === 0 || length > ROW_BYTES_MAX || bytesEnd > buffer.length) return undefined;
  const high = buffer.readUInt32LE(start + 16);
  if (high >= 2 ** 21) return undefined;
  if (crc32(buffer.subarray(start + 4, bytesEnd)) !== buffer.readUInt32LE(start)) return undefined;
  return {
    index: high * HIGH + buffer.readUInt32LE(start + 12),
    batchPosition: buffer.readUInt32LE(start + 8),
    bytesStart,
    bytesEnd,
  };
}

/** Leaf hashes of the records that fill [start, end). */
export function leavesOf(buffer: Buffer, start: number, end: number): readonly Buffer[] {
  const leaves: Buffer[] = [];
  for (let at = start; at < end; ) {
    const bytesStart = at + RECORD_HEADER_BYTES;
    at = bytesStart + buffer.readUInt32LE(at + 4);
    leaves.push(leafHashAt(buffer, bytesStart, at));
  }
  return leaves;
}
