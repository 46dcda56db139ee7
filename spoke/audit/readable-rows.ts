// Every row that can still be read from a damaged log, in the order of the segments: past a bad stretch the next record
// whose checksum holds is looked for. For salvage only; a sound log is read by `row-reader.ts`.

import { readRecord } from './record.ts';
import { segmentSequence } from './recover-segments.ts';
import { SEGMENT_HEADER_BYTES, readSegmentHeader } from './segment.ts';
import type { SpoolDisk } from './spool-disk.ts';

export interface ReadableRow {
  readonly index: number;
  readonly bytes: Buffer;
}

/** Rows from `from` to `until` (exclusive), indexes rising, one segment in memory at a time. */
export async function* readableRows(
  disk: Pick<SpoolDisk, 'list' | 'read' | 'size'>,
  logDigest: Uint8Array,
  from: number,
  until: number,
): AsyncGenerator<ReadableRow> {
  let next = from;
  for (const name of await inOrder(disk, logDigest)) {
    const bytes = await disk.read(name, 0, await disk.size(name));
    for (let at = firstRecord(bytes, 0); at !== undefined; ) {
      const record = readRecord(bytes, at);
      if (record === undefined) {
        at = firstRecord(bytes, at + 1);
        continue;
      }
      if (record.index >= until) break;
      if (record.index >= next) {
        yield { index: record.index, bytes: bytes.subarray(record.bytesStart, record.bytesEnd) };
        next = record.index + 1;
      }
      at = readRecord(bytes, record.bytesEnd) === undefined ? firstRecord(bytes, record.bytesEnd) : record.bytesEnd;
    }
  }
}

/** Segments by the rows that they hold: what the header says, else what the first readable record says. */
async function inOrder(
  disk: Pick<SpoolDisk, 'list' | 'read' | 'size'>,
  logDigest: Uint8Array,
): Promise<readonly string[]> {
  const found: { readonly name: string; readonly first: number }[] = [];
  for (const name of await disk.list()) {
    if (segmentSequence(name) === undefined) continue;
    const head = await disk.read(name, 0, SEGMENT_HEADER_BYTES);
    let first = readSegmentHeader(head, logDigest);
    if (first === undefined) {
      const bytes = await disk.read(name, 0, await disk.size(name));
      const at = firstRecord(bytes, 0);
      first = at === undefined ? undefined : readRecord(bytes, at)?.index;
    }
    if (first !== undefined) found.push({ name, first });
  }
  return found.toSorted((a, b) => a.first - b.first).map(({ name }) => name);
}

/** Offset of the first whole record at or after `from`. */
function firstRecord(bytes: Buffer, from: number): number | undefined {
  for (let at = from; at < bytes.length; ) {
    if (readRecord(bytes, at) !== undefined) return at;
    // A record has a length, so one of the four bytes there is set: zeros are passed over in one native search.
    at += 1;
    if (bytes[at] === 0 && bytes[at + 4] === 0 && isZero(bytes, at)) return undefined;
  }
  return undefined;
}

function isZero(bytes: Buffer, from: number): boolean {
  return bytes[from] === 0 && bytes.subarray(from, -1).equals(bytes.subarray(from + 1));
}
