// The rows that a spoke's ledgers hold on disk, found by nothing but the checksums of their records: what a fault is about to
// destroy, and what is left of it.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readRecord } from '@weir/spoke/audit/record.ts';
import { SEGMENT_HEADER_BYTES } from '@weir/spoke/audit/segment.ts';
import type { RowName } from './ledger-audit.ts';

/** Every row in the segments below a folder, by id. A copy that is being written may lack its newest rows. */
export function rowsBelow(folder: string): Map<string, RowName> {
  const rows = new Map<string, RowName>();
  if (!existsSync(folder)) return rows;
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.seg')) continue;
    for (const row of rowsOf(readFileSync(join(folder, name)))) rows.set(row.id, row);
  }
  return rows;
}

/** Bytes of the first row of a segment; undefined when it has none. */
export function firstRow(segment: Buffer): Buffer | undefined {
  const record = readRecord(segment, SEGMENT_HEADER_BYTES);
  return record === undefined ? undefined : segment.subarray(record.bytesStart, record.bytesEnd);
}

/** Rows of one segment; a record that is damaged is passed over, those after it count. */
function* rowsOf(segment: Buffer): Generator<RowName> {
  for (let at = SEGMENT_HEADER_BYTES; at < segment.length; ) {
    const record = readRecord(segment, at);
    if (record === undefined) {
      const next = nextRecord(segment, at + 1);
      if (next === undefined) return;
      at = next;
      continue;
    }
    const { id, code } = JSON.parse(segment.toString('utf8', record.bytesStart, record.bytesEnd)) as RowName;
    yield { id, code };
    at = record.bytesEnd;
  }
}

/** Where the next sound record begins; undefined where only zeros follow, and at the end. */
function nextRecord(segment: Buffer, from: number): number | undefined {
  for (let at = from; at < segment.length; at += 1) {
    if (segment[at] === 0 && segment.subarray(at, -1).equals(segment.subarray(at + 1))) return undefined;
    if (readRecord(segment, at) !== undefined) return at;
  }
  return undefined;
}
