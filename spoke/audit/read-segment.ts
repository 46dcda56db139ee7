// A segment read in pieces: a spoke has many megabytes of rows to look through at every start, and must neither hold them all
// nor keep everything else waiting meanwhile. Only a segment with something wrong in it is looked at as a whole.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { RECORD_HEADER_BYTES, readRecord } from './record.ts';
import {
  OFFSET_EVERY,
  SEGMENT_HEADER_BYTES,
  type SegmentScan,
  isZero,
  readSegmentHeader,
  scanSegment,
} from './segment.ts';
import type { SpoolDisk } from './spool-disk.ts';

/** Bytes in memory at once; no record is as large. */
export const PIECE_BYTES = 1 << 20;

export interface SegmentFile {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
}

/** `scanSegment` of a file. */
export async function scanSegmentFile(
  disk: Pick<SpoolDisk, 'read'>,
  file: SegmentFile,
  logDigest: Uint8Array,
  expected: number | undefined,
  until = Number.POSITIVE_INFINITY,
): Promise<SegmentScan> {
  const { name, size } = file;
  const firstIndex = readSegmentHeader(await disk.read(name, 0, Math.min(size, SEGMENT_HEADER_BYTES)), logDigest);
  if (firstIndex === undefined) {
    const nothing = { firstIndex: expected ?? 0, nextIndex: expected ?? 0, end: 0, offsets: [] };
    if (await isZeroFrom(disk, file, 0)) return { state: 'blank', ...nothing };
  } else if (expected === undefined || firstIndex === expected) {
    const offsets: number[] = [];
    let end = SEGMENT_HEADER_BYTES;
    let nextIndex = firstIndex;
    for (let more = true; more; ) {
      const piece = await disk.read(name, end, Math.min(PIECE_BYTES, size - end));
      let at = 0;
      while (nextIndex < until) {
        const record = readRecord(piece, at);
        if (record?.index !== nextIndex) break;
        if ((nextIndex - firstIndex) % OFFSET_EVERY === 0) offsets.push(end + at);
        nextIndex += 1;
        at = record.bytesEnd;
      }
      end += at;
      more = at > 0 && nextIndex < until;
    }
    const clean = { state: 'clean', firstIndex, nextIndex, end, offsets } as const;
    if (nextIndex >= until || (await isZeroFrom(disk, file, end))) return clean;
  }
  return scanSegment(await disk.read(name, 0, size), logDigest, expected, until);
}

/** The records of a segment up to `end`, whole ones, some at a time. Throws `corrupt` when they are not there any more. */
export async function* recordPieces(
  disk: Pick<SpoolDisk, 'read'>,
  { name, end }: { readonly name: string; readonly end: number },
): AsyncGenerator<Buffer> {
  for (let from = SEGMENT_HEADER_BYTES; from < end; ) {
    const piece = await disk.read(name, from, Math.min(PIECE_BYTES, end - from));
    let whole = 0;
    while (whole + RECORD_HEADER_BYTES < piece.length) {
      const next = whole + RECORD_HEADER_BYTES + piece.readUInt32LE(whole + 4);
      if (next > piece.length) break;
      whole = next;
    }
    if (whole === 0) {
      throw new WeirError('corrupt', `the audit log changes under its reader in segment ${name} at offset ${from}`, {
        detail: { segment: name, offset: from },
      });
    }
    yield piece.subarray(0, whole);
    from += whole;
  }
}

async function isZeroFrom(disk: Pick<SpoolDisk, 'read'>, { name, size }: SegmentFile, from: number): Promise<boolean> {
  for (let at = from; at < size; at += PIECE_BYTES) {
    if (!isZero(await disk.read(name, at, Math.min(PIECE_BYTES, size - at)), 0)) return false;
  }
  return true;
}
