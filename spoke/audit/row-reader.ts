// Reading rows back out of segments: in order from an index (for upload and tail), and by request code from the newest
// backwards (for `why` with the hub away).

import { ROW_BYTES_MAX } from '@weir/shared/audit/row.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { RECORD_BYTES_MAX, RECORD_HEADER_BYTES, readRecord } from './record.ts';
import type { SegmentExtent } from './recover-segments.ts';
import { OFFSET_EVERY } from './segment.ts';
import type { SpoolDisk } from './spool-disk.ts';

/** Rows looked at when searching a code: about a day of a busy worker. */
export const FIND_ROWS_MAX = 1_000_000;

export interface RowSlice {
  readonly firstIndex: number;
  /** Exact row bytes, consecutive indexes. */
  readonly rows: readonly Buffer[];
}

export interface FoundRow {
  readonly index: number;
  readonly bytes: Buffer;
}

export interface RowReader {
  /**
   * Durable rows from index `from`, at least one when there is one and at most `maxRows` rows or about `maxBytes` bytes;
   * empty when `from` is the end. Rejects with `not_found` when those rows were pruned, `corrupt` when they are damaged.
   */
  read(from: number, maxRows: number, maxBytes: number): Promise<RowSlice>;
  /** The newest row with this request code within the last `FIND_ROWS_MAX` rows, undefined when there is none. */
  findByCode(code: string): Promise<FoundRow | undefined>;
}

/** @param segments live list in order; entries are only ever appended, extended, or dropped from the front */
export function createRowReader(disk: Pick<SpoolDisk, 'read'>, segments: () => readonly SegmentExtent[]): RowReader {
  // Where the last read ended: uploads read on from there.
  let hint = { sequence: -1, index: -1, offset: 0 };

  function startOf(segment: SegmentExtent, from: number): { index: number; offset: number } {
    if (hint.sequence === segment.sequence && hint.index === from) return hint;
    const slot = Math.floor((from - segment.firstIndex) / OFFSET_EVERY);
    return { index: segment.firstIndex + slot * OFFSET_EVERY, offset: segment.offsets[slot] ?? segment.end };
  }

  return {
    async read(from, maxRows, maxBytes) {
      const segment = segments().find((each) => from < each.nextIndex);
      if (segment === undefined) return { firstIndex: from, rows: [] };
      if (from < segment.firstIndex) throw dropped(segment.firstIndex);
      const { nextIndex, end } = segment;
      let { index, offset } = startOf(segment, from);
      const rows: Buffer[] = [];
      let taken = 0;
      while (index < nextIndex && rows.length < maxRows && (rows.length === 0 || taken < maxBytes)) {
        const wanted = Math.max(RECORD_BYTES_MAX, maxBytes - taken + RECORD_HEADER_BYTES * OFFSET_EVERY);
        const chunk = await disk.read(segment.name, offset, Math.min(end - offset, wanted));
        let at = 0;
        while (index < nextIndex && rows.length < maxRows) {
          const record = readRecord(chunk, at);
          if (record === undefined || record.index !== index) break;
          const length = record.bytesEnd - record.bytesStart;
          if (index >= from) {
            if (rows.length > 0 && taken + length > maxBytes) {
              taken = maxBytes;
              break;
            }
            rows.push(chunk.subarray(record.bytesStart, record.bytesEnd));
            taken += length;
          }
          index += 1;
          at = record.bytesEnd;
        }
        if (at === 0 && taken < maxBytes) {
          // While it was read its rows may have been receipted, and its blocks given to the next segment.
          const kept = segments()[0]?.firstIndex ?? 0;
          throw index < kept ? dropped(kept) : unreadable(segment.name, offset, index);
        }
        offset += at;
      }
      hint = { sequence: segment.sequence, index, offset };
      return { firstIndex: from, rows };
    },

    async findByCode(code) {
      const needle = Buffer.from(`"code":"${code}"`, 'latin1');
      let looked = 0;
      for (const segment of segments().toReversed()) {
        const { end } = segment;
        for (let slot = segment.offsets.length - 1; slot >= 0; slot -= 1) {
          if (looked >= FIND_ROWS_MAX) return undefined;
          looked += OFFSET_EVERY;
          const start = segment.offsets[slot] ?? end;
          const length = Math.min(end, segment.offsets[slot + 1] ?? end) - start;
          const block = await disk.read(segment.name, start, length).catch(ifGone);
          if (block === undefined) return undefined;
          const found = block.includes(needle) ? newestIn(block, needle, code) : undefined;
          if (found !== undefined) return found;
        }
      }
      return undefined;
    },
  };
}

function newestIn(block: Buffer, needle: Buffer, code: string): FoundRow | undefined {
  let found: FoundRow | undefined;
  for (let at = 0; ; ) {
    const record = readRecord(block, at);
    if (record === undefined) return found;
    const bytes = block.subarray(record.bytesStart, record.bytesEnd);
    if (bytes.includes(needle) && codeOf(bytes) === code) found = { index: record.index, bytes };
    at = record.bytesEnd;
  }
}

/** The row's own code; a fact may hold the same text. */
function codeOf(bytes: Buffer): unknown {
  if (bytes.length > ROW_BYTES_MAX) return undefined;
  const row: unknown = JSON.parse(bytes.toString('utf8'));
  return typeof row === 'object' && row !== null && 'code' in row ? row.code : undefined;
}

/** Only the oldest segments ever go: where one is gone, so are all before it. */
function ifGone(thrown: unknown): undefined {
  if (thrown instanceof WeirError && thrown.code === 'not_found') return undefined;
  throw thrown;
}

function dropped(firstIndex: number): WeirError {
  return new WeirError('not_found', `rows before ${firstIndex} are no longer kept on this spoke`);
}

function unreadable(segment: string, offset: number, index: number): WeirError {
  return new WeirError('corrupt', `the audit log cannot be read back in segment ${segment} at offset ${offset}`, {
    detail: { segment, offset, index },
  });
}
