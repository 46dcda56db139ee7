// What a log's folder holds: the segments in order and how far their rows reach. Used before appending (which also repairs
// a torn last batch) and by readers that only look.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { scanSegmentFile } from './read-segment.ts';
import { SEGMENT_HEADER_BYTES, type SegmentScan, segmentSize } from './segment.ts';
import type { SpoolDisk } from './spool-disk.ts';

/** One segment as the spool knows it; `nextIndex` and `end` cover durable rows only. */
export interface SegmentExtent {
  readonly sequence: number;
  readonly name: string;
  readonly size: number;
  firstIndex: number;
  nextIndex: number;
  end: number;
  readonly offsets: number[];
}

/** The batch that was being written when the writer died: never acknowledged, cut off. */
export interface TornTail {
  readonly segment: string;
  readonly offset: number;
  readonly nextIndex: number;
}

export interface Recovered {
  /** Segments with rows, in order. */
  readonly used: SegmentExtent[];
  /** Allocated segments without any row, in order. */
  readonly blank: SegmentExtent[];
  readonly nextIndex: number;
  readonly torn: TornTail | undefined;
}

export interface RecoverOptions {
  /** Rows from here on are passed over, whatever state they are in. */
  readonly until?: number;
  /** Called with each segment that has rows, in order; what it throws ends the recovery. */
  readonly visit?: (segment: SegmentExtent) => Promise<void>;
}

type ReadableDisk = Pick<SpoolDisk, 'list' | 'read' | 'size'>;

const SEGMENT_NAME = /^(\d{10})\.seg$/;

export function segmentName(sequence: number): string {
  return `${String(sequence).padStart(10, '0')}.seg`;
}

/** undefined for a name that is not a segment's. */
export function segmentSequence(name: string): number | undefined {
  const digits = SEGMENT_NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/**
 * Reads every segment of the folder, a piece in memory at a time. Throws `corrupt`, naming segment and offset, when rows that
 * were durable are damaged or missing.
 */
export async function recoverSegments(
  disk: ReadableDisk,
  logDigest: Uint8Array,
  { until = Number.POSITIVE_INFINITY, visit }: RecoverOptions = {},
): Promise<Recovered> {
  const used: SegmentExtent[] = [];
  const blank: SegmentExtent[] = [];
  let torn: TornTail | undefined;
  let nextIndex: number | undefined;

  let last: number | undefined;
  for (const [sequence, name] of await segmentNames(disk)) {
    if (nextIndex !== undefined && nextIndex >= until) break;
    if (last !== undefined && sequence !== last + 1) throw damaged(segmentName(last + 1), 0, nextIndex);
    last = sequence;
    const size = await disk.size(name);
    const scan = await scanSegmentFile(disk, { name, size }, logDigest, nextIndex, until);
    const extent = { sequence, name, size, ...bounds(scan) };
    if (scan.state === 'blank') {
      blank.push(extent);
      continue;
    }
    if (scan.state === 'corrupt' || scan.state === 'foreign') throw damaged(name, scan.end, scan.nextIndex);
    const isWhole = scan.end !== 0 && scan.nextIndex < until;
    const made = isWhole ? segmentSize(await disk.read(name, 0, SEGMENT_HEADER_BYTES)) : 0;
    if (made !== 0 && made !== size) throw damaged(name, Math.min(made, size), scan.nextIndex);
    // One batch is in flight at a time: whatever follows a torn batch or a blank segment cannot have been written.
    if (torn !== undefined) throw damaged(torn.segment, torn.offset, torn.nextIndex);
    if (blank.length > 0) throw damaged(blank[0]?.name ?? name, 0, nextIndex ?? 0);
    if (scan.state === 'torn') torn = { segment: name, offset: scan.end, nextIndex: scan.nextIndex };
    if (scan.end === 0) {
      blank.push(extent);
    } else {
      used.push(extent);
      await visit?.(extent);
    }
    nextIndex = scan.nextIndex;
  }
  return { used, blank, nextIndex: nextIndex ?? 0, torn };
}

/** Zeroes what a torn batch left behind, so that it can never be read again. */
export async function repairTorn(disk: SpoolDisk, torn: TornTail): Promise<void> {
  await disk.zero(torn.segment, torn.offset, await disk.size(torn.segment));
}

async function segmentNames(
  disk: Pick<SpoolDisk, 'list'>,
): Promise<readonly (readonly [sequence: number, name: string])[]> {
  const found: [number, string][] = [];
  for (const name of await disk.list()) {
    const sequence = segmentSequence(name);
    if (sequence !== undefined) found.push([sequence, name]);
  }
  return found.toSorted(([a], [b]) => a - b);
}

function bounds(scan: SegmentScan) {
  return { firstIndex: scan.firstIndex, nextIndex: scan.nextIndex, end: scan.end, offsets: [...scan.offsets] };
}

function damaged(segment: string, offset: number, index: number | undefined): WeirError {
  return new WeirError('corrupt', `the audit log is damaged in segment ${segment} at offset ${offset}`, {
    detail: { segment, offset, ...(index === undefined ? {} : { index }) },
    next: 'keep the folder as evidence, set it aside, and start a new log',
  });
}
