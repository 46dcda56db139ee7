// Finds the row behind a request code in a log's folder without reading the log in order: the newest segment first, by a plain
// search for the text. So it is quick on a full spool, and damage elsewhere in the log is no obstacle. Nothing is changed.

import { type AuditRow, ROW_BYTES_MAX } from '@weir/shared/audit/row.ts';
import { readRow } from '@weir/shared/audit/row-codec.ts';
import { RECORD_BYTES_MAX, RECORD_HEADER_BYTES, readRecord } from './record.ts';
import { segmentSequence } from './recover-segments.ts';
import type { SpoolDisk } from './spool-disk.ts';

const PIECE_BYTES = 4 << 20;

/**
 * The newest row with this request code, undefined when there is none.
 * @param log id of the log that the folder is of: rows of another do not count
 * @param until rows from here on were never acknowledged
 */
export async function findCode(
  disk: Pick<SpoolDisk, 'list' | 'read' | 'size'>,
  log: string,
  until: number,
  code: string,
): Promise<AuditRow | undefined> {
  const needle = Buffer.from(`"code":"${code}"`, 'latin1');
  const names = (await disk.list()).filter((name) => segmentSequence(name) !== undefined);
  for (const name of names.toSorted().toReversed()) {
    // A segment may go while it is looked for.
    const size = await disk.size(name).catch(() => 0);
    for (let end = size; end > 0; end -= PIECE_BYTES) {
      const from = Math.max(0, end - PIECE_BYTES - RECORD_BYTES_MAX);
      const bytes = await disk.read(name, from, Math.min(size, end + RECORD_BYTES_MAX) - from).catch(() => NOTHING);
      for (const at of placesOf(bytes, needle)) {
        const row = rowAround(bytes, at);
        if (row?.code === code && row.log === log && row.index < until) return row;
      }
    }
  }
  return undefined;
}

const NOTHING = Buffer.alloc(0);

/** Last first. Searched forwards, which is many times as fast. */
function placesOf(bytes: Buffer, needle: Buffer): readonly number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(needle); at !== -1; at = bytes.indexOf(needle, at + 1)) places.push(at);
  return places.toReversed();
}

/** The row whose record has a whole checksum and spans this place. */
function rowAround(bytes: Buffer, at: number): AuditRow | undefined {
  for (let start = at - RECORD_HEADER_BYTES; start >= Math.max(0, at - RECORD_BYTES_MAX); start -= 1) {
    const length = bytes.readUInt32LE(start + 4);
    if (length === 0 || length > ROW_BYTES_MAX || start + RECORD_HEADER_BYTES + length <= at) continue;
    const record = readRecord(bytes, start);
    if (record !== undefined) return rowIn(bytes.subarray(record.bytesStart, record.bytesEnd));
  }
  return undefined;
}

function rowIn(bytes: Buffer): AuditRow | undefined {
  try {
    return readRow(bytes);
  } catch {
    return undefined;
  }
}
