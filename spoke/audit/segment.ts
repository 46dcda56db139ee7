// One segment as bytes: a header that says which log and which rows, then records, then zeros. Scanning says how far the
// rows reach and whether what follows is unwritten space, a torn last batch (never acknowledged) or damage.

import { crc32 } from 'node:zlib';
import { ROW_BYTES_MAX } from '@weir/shared/audit/row.ts';
import { RECORD_HEADER_BYTES, readRecord } from './record.ts';

/** 'WEIRSEG1', u32 CRC-32 of the rest, u32 spare, u64 first index, u64 size of the file, 32 bytes: SHA-256 of the log id. */
export const SEGMENT_HEADER_BYTES = 64;
/** One offset is kept for every so many rows, so that a reader can start near any index. */
export const OFFSET_EVERY = 256;

const MAGIC = Buffer.from('WEIRSEG1', 'latin1');

export interface SegmentScan {
  /**
   * clean: rows, then zeros. torn: a last batch that did not finish; nothing acknowledged is missing.
   * corrupt: rows that were durable are damaged. blank: nothing was ever written. foreign: not a segment of this log.
   */
  readonly state: 'clean' | 'torn' | 'corrupt' | 'blank' | 'foreign';
  readonly firstIndex: number;
  /** Index after the last good row. */
  readonly nextIndex: number;
  /** Offset after the last good row. */
  readonly end: number;
  /** Offset of the row `firstIndex + k · OFFSET_EVERY`, for every k that has one. */
  readonly offsets: readonly number[];
}

/** @param size bytes of the whole file, so that a later look can tell whether all of it is there; 0 says nothing */
export function segmentHeader(firstIndex: number, logDigest: Uint8Array, size = 0): Buffer {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  MAGIC.copy(header);
  header.writeBigUInt64LE(BigInt(firstIndex), 16);
  header.writeBigUInt64LE(BigInt(size), 24);
  header.set(logDigest.subarray(0, 32), 32);
  header.writeUInt32LE(crc32(header.subarray(12)), 8);
  return header;
}

/** First index of a segment whose header is whole and of this log, undefined otherwise. */
export function readSegmentHeader(segment: Buffer, logDigest: Uint8Array): number | undefined {
  if (segment.length < SEGMENT_HEADER_BYTES || !segment.subarray(0, 8).equals(MAGIC)) return undefined;
  if (crc32(segment.subarray(12, SEGMENT_HEADER_BYTES)) !== segment.readUInt32LE(8)) return undefined;
  if (!segment.subarray(32, SEGMENT_HEADER_BYTES).equals(logDigest.subarray(0, 32))) return undefined;
  return Number(segment.readBigUInt64LE(16));
}

/** Size that the file had when it was made, 0 when its header does not say. The header must have been read. */
export function segmentSize(segment: Buffer): number {
  return Number(segment.readBigUInt64LE(24));
}

/**
 * @param expected index that the segment must begin with; undefined accepts what its header says
 * @param until rows from here on are not looked at
 */
export function scanSegment(
  segment: Buffer,
  logDigest: Uint8Array,
  expected: number | undefined,
  until = Number.POSITIVE_INFINITY,
): SegmentScan {
  const nothing = { firstIndex: expected ?? 0, nextIndex: expected ?? 0, end: 0, offsets: [] };
  const firstIndex = readSegmentHeader(segment, logDigest);
  if (firstIndex === undefined) {
    if (isZero(segment, 0)) return { state: 'blank', ...nothing };
    // A header is written with the segment's first batch: without it nothing in here was acknowledged, unless a record
    // shows that a later batch was begun.
    return { state: judgeRest(segment, 0, expected ?? 0) === 'corrupt' ? 'corrupt' : headless(segment), ...nothing };
  }
  if (expected !== undefined && firstIndex !== expected) return { state: 'foreign', ...nothing };

  const offsets: number[] = [];
  let end = SEGMENT_HEADER_BYTES;
  let nextIndex = firstIndex;
  for (;;) {
    if (nextIndex >= until) return { state: 'clean', firstIndex, nextIndex, end, offsets };
    const record = readRecord(segment, end);
    if (record === undefined || record.index !== nextIndex) break;
    if ((nextIndex - firstIndex) % OFFSET_EVERY === 0) offsets.push(end);
    nextIndex += 1;
    end = record.bytesEnd;
  }
  return { state: judgeRest(segment, end, nextIndex), firstIndex, nextIndex, end, offsets };
}

/** A segment without a readable header holds a torn first batch, or is no segment at all. */
function headless(segment: Buffer): 'torn' | 'foreign' {
  const magic = segment.subarray(0, 8);
  return magic.equals(MAGIC) || isZero(magic, 0) ? 'torn' : 'foreign';
}

/**
 * What follows the last good row. A later record that was written when row `nextIndex` was already durable proves that an
 * acknowledged row is damaged; without such a record the rest can only be the batch that was being written.
 */
function judgeRest(segment: Buffer, from: number, nextIndex: number): 'clean' | 'torn' | 'corrupt' {
  if (isZero(segment, from)) return 'clean';
  for (let at = from; at + RECORD_HEADER_BYTES < segment.length; at += 1) {
    const length = segment.readUInt32LE(at + 4);
    if (length === 0 || length > ROW_BYTES_MAX) continue;
    const record = readRecord(segment, at);
    if (record !== undefined && record.index - record.batchPosition > nextIndex) return 'corrupt';
  }
  return 'torn';
}

export function isZero(bytes: Buffer, from: number): boolean {
  if (from >= bytes.length) return true;
  // All equal to their neighbour, and the first is zero: one native comparison over the whole rest.
  return bytes[from] === 0 && bytes.subarray(from, -1).equals(bytes.subarray(from + 1));
}
