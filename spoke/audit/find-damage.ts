// Says exactly what is wrong with a log's segments: which file, at which offset, from which row on, and in what way. Asked
// only when a log could not be opened or read; nothing is changed.

import { createHash } from 'node:crypto';
import type { WeirError } from '@weir/shared/errors/weir-error.ts';
import { knownExtent } from './known-extent.ts';
import { RECORD_HEADER_BYTES, readRecord } from './record.ts';
import { segmentName, segmentSequence } from './recover-segments.ts';
import { SEGMENT_HEADER_BYTES, readSegmentHeader, scanSegment, segmentSize } from './segment.ts';
import type { SpoolDisk } from './spool-disk.ts';

export const DAMAGE_KINDS = [
  /** Bytes are not those that were written. */
  'flipped_bits',
  /** The file ends early. */
  'truncated',
  /** The file is longer than it was made. */
  'wrong_length',
  'missing_segment',
  /** A segment stands where another one belongs. */
  'reordered',
  /** The file is no segment, or one of another log. */
  'foreign',
  /** A row with a good checksum is not the one that was signed. */
  'changed_row',
  /** Rows that were durable are not there, and no file says why. */
  'missing_rows',
  /** A small file (key, checkpoint, …) cannot be read, or is gone. */
  'damaged_file',
  'missing_file',
] as const;
export type DamageKind = (typeof DAMAGE_KINDS)[number];

export interface Damage {
  readonly what: DamageKind;
  /** Name in the epoch's folder. */
  readonly file: string;
  /** Byte offset of the first bad byte, as far as that can be said. */
  readonly offset: number;
  /** First row that cannot be had in its place. */
  readonly index: number;
}

export interface DamageFound extends Damage {
  /** Whether rows are concerned, and not just a small file. */
  readonly inRows: boolean;
}

/** What is behind an error of opening or reading a log. */
export async function damageBehind(
  disk: Pick<SpoolDisk, 'list' | 'read' | 'size' | 'load'>,
  log: string,
  thrown: WeirError,
): Promise<DamageFound> {
  const { what, segment, offset, index } = thrown.detail;
  const digest = createHash('sha256').update(log).digest();
  const found = await findDamage(disk, digest, await knownExtent(disk));
  if (found !== undefined) return { ...found, inRows: true };
  // The segments look whole: it is what the tree or a small file says that does not fit.
  const file = String(thrown.detail['file'] ?? segment ?? '').slice(0, 200);
  const kind = DAMAGE_KINDS.find((each) => each === what) ?? (segment === undefined ? 'damaged_file' : 'flipped_bits');
  const inRows = kind !== 'damaged_file' && kind !== 'missing_file';
  return { what: kind, file, offset: numberIn(offset), index: numberIn(index), inRows };
}

function numberIn(value: unknown): number {
  return Number.isSafeInteger(value) ? (value as number) : 0;
}

interface Segment {
  readonly sequence: number;
  readonly name: string;
}

interface Before {
  readonly name: string;
  readonly end: number;
  readonly nextIndex: number;
  /** What stands after its last row: zeros, or something. */
  readonly rest: 'zeros' | 'something';
}

/**
 * The first damage in the order of rows; undefined when the segments are whole (a torn last batch is no damage).
 * @param known rows `from` (inclusive) to `until` (exclusive) were durable and not dropped
 */
export async function findDamage(
  disk: Pick<SpoolDisk, 'list' | 'read' | 'size'>,
  logDigest: Uint8Array,
  known: { readonly from: number; readonly until: number },
): Promise<Damage | undefined> {
  const segments = await segmentsOf(disk);
  const starts = new Map<number, string>();
  for (const { name } of segments) {
    const first = readSegmentHeader(await disk.read(name, 0, SEGMENT_HEADER_BYTES), logDigest);
    if (first !== undefined) starts.set(first, name);
  }

  let before: Before | undefined;
  let sequence: number | undefined;
  let blank: string | undefined;
  for (const segment of segments) {
    const { name } = segment;
    const expected = before?.nextIndex ?? known.from;
    if (sequence !== undefined && segment.sequence !== sequence + 1) {
      return { what: 'missing_segment', file: segmentName(sequence + 1), offset: 0, index: expected };
    }
    sequence = segment.sequence;
    const bytes = await disk.read(name, 0, await disk.size(name));
    const headed = readSegmentHeader(bytes, logDigest);
    if (headed === undefined) {
      const scan = scanSegment(bytes, logDigest, expected);
      if (scan.state === 'blank') {
        blank ??= name;
        continue;
      }
      if (scan.state === 'torn' && !starts.has(expected) && isLastWithBytes(segment, segments)) {
        before = { name, end: 0, nextIndex: expected, rest: 'something' };
        continue;
      }
      return { what: headlessKind(bytes), file: name, offset: 0, index: expected };
    }
    if (blank !== undefined) return { what: 'missing_rows', file: blank, offset: 0, index: expected };
    if (before === undefined ? headed > known.from : headed !== expected) {
      if (starts.get(expected) !== undefined) return { what: 'reordered', file: name, offset: 0, index: expected };
      if (before === undefined)
        return { what: 'missing_segment', file: segmentName(segment.sequence - 1), offset: 0, index: expected };
      if (headed < expected) return { what: 'reordered', file: name, offset: 0, index: expected };
      return endedEarly(before);
    }
    // One batch is written at a time: what follows a segment's rows was zeros when the next one was begun.
    if (before?.rest === 'something') return endedEarly(before);
    const scan = scanSegment(bytes, logDigest, headed);
    const size = segmentSize(bytes);
    if (size !== 0 && bytes.length !== size) {
      const what = bytes.length < size ? 'truncated' : 'wrong_length';
      return { what, file: name, offset: Math.min(bytes.length, size), index: scan.nextIndex };
    }
    if (scan.state === 'corrupt') return { what: 'flipped_bits', file: name, offset: scan.end, index: scan.nextIndex };
    const rest = scan.state === 'clean' ? 'zeros' : 'something';
    before = { name, end: scan.end, nextIndex: scan.nextIndex, rest };
  }

  const reached = before?.nextIndex ?? known.from;
  if (reached >= known.until) return undefined;
  if (before === undefined) return { what: 'missing_segment', file: segmentName(1), offset: 0, index: known.from };
  return endedEarly(before);
}

/** A segment whose rows end before the next one's begin, or before what is known to have been durable. */
function endedEarly(segment: Before): Damage {
  const what = segment.rest === 'zeros' ? 'missing_rows' : 'flipped_bits';
  return { what, file: segment.name, offset: segment.end, index: segment.nextIndex };
}

function isLastWithBytes(segment: Segment, segments: readonly Segment[]): boolean {
  return segments.at(-1) === segment || segments.at(-2) === segment;
}

/** A file without the header of this log: one whose header was damaged still holds records. */
function headlessKind(bytes: Buffer): DamageKind {
  return readRecord(bytes, SEGMENT_HEADER_BYTES) === undefined ||
    bytes.length < SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES
    ? 'foreign'
    : 'flipped_bits';
}

async function segmentsOf(disk: Pick<SpoolDisk, 'list'>): Promise<readonly Segment[]> {
  const found: Segment[] = [];
  for (const name of await disk.list()) {
    const sequence = segmentSequence(name);
    if (sequence !== undefined) found.push({ sequence, name });
  }
  return found.toSorted((a, b) => a.sequence - b.sequence);
}
