// Rows of the simulated world: drafts as a pipeline would record them, and the ids of rows wherever their bytes lie.

import { randomUUID } from 'node:crypto';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import { requestCodeOf } from '@weir/shared/domain/request-code.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import { readRecord } from '@weir/spoke/audit/record.ts';
import { SEGMENT_HEADER_BYTES } from '@weir/spoke/audit/segment.ts';
import { refusedDraft, servedDraft } from '../audit/sample-rows.ts';

const SERVED = servedDraft({ id: randomUUID(), time: '' });
const REFUSED = refusedDraft();
/** Views that leave out many versions: rows of some 10 KB. */
const HIDDEN = Array.from({ length: 40 }, (_, at) => `pkg:npm/left-out@${at}.0.0 ${'x'.repeat(200)}`);

export type RowKind = 'served' | 'refused' | 'large';

export function draftOf(kind: RowKind, random: Pick<Random, 'uuid'>, nowMs: number): RowDraft {
  const id = random.uuid();
  const own = { id, time: new Date(Math.max(0, nowMs)).toISOString() };
  if (kind === 'refused') return { ...REFUSED, ...own, code: requestCodeOf(id) };
  if (kind === 'large') return { ...SERVED, ...own, hidden: HIDDEN, hidden_count: HIDDEN.length };
  return { ...SERVED, ...own };
}

const ID = /"id":"([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12})"/;

/** Id in a row's canonical bytes, '' when there is none. */
export function idOf(row: Uint8Array): string {
  return ID.exec(Buffer.from(row.buffer, row.byteOffset, row.length).toString('latin1'))?.[1] ?? '';
}

export interface RecordAt {
  readonly start: number;
  readonly end: number;
  readonly index: number;
  /** Rows of its batch before it. */
  readonly batchPosition: number;
  readonly id: string;
}

/** The whole records of a segment, past any bad stretch. */
export function recordsOf(segment: Buffer): readonly RecordAt[] {
  const records: RecordAt[] = [];
  let used = segment.length;
  while (used > 0 && segment[used - 1] === 0) used -= 256;
  const until = Math.min(segment.length, used + 512);
  for (let at = SEGMENT_HEADER_BYTES; at < until; ) {
    const record = readRecord(segment, at);
    if (record === undefined) {
      at += 1;
      continue;
    }
    const { bytesStart, bytesEnd, batchPosition, index } = record;
    records.push({ start: at, end: bytesEnd, index, batchPosition, id: idOf(segment.subarray(bytesStart, bytesEnd)) });
    at = bytesEnd;
  }
  return records;
}
