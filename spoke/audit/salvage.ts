// Rows of a closed log that can never reach the hub there are recorded again in the open one, with their own id and time,
// each exactly once whenever the process dies: before a chunk is recorded, the place where it will stand is written down, and
// after a crash what already stands there is left out.

import { readRow } from '@weir/shared/audit/row-codec.ts';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import { CHUNK_ROWS_MAX, type Closure } from './closure.ts';
import type { LedgerEvent } from './ledger-event.ts';
import type { ReadableRow } from './readable-rows.ts';

const CHUNK_BYTES_MAX = 1 << 20;
/** Pause while the open log takes no rows. */
const PAUSE_MS = 250;

/** A place in the ledger: the next row of a log. */
export interface Place {
  readonly into: string;
  readonly at: number;
}

export interface SalvageTarget {
  /** Where the next row goes. */
  place(): Place;
  append(draft: RowDraft): Promise<unknown>;
  /** Rows that stand at or after a place, in that log and all younger ones. */
  since(place: Place): AsyncIterable<Buffer>;
  /** Runs the work while no row of the ledger is dropped. */
  keepingRows<Value>(work: () => Promise<Value>): Promise<Value>;
}

export interface SalvageParts {
  readonly log: string;
  /** With `salvage_from` set. */
  readonly closure: Closure;
  /** Readable rows of the log from an index on, as far as its rows count. */
  rows(from: number): AsyncIterable<ReadableRow>;
  /** Whether a row is not to be recorded again though it can be read, because the hub will never take it. */
  isLeft(row: ReadableRow, draft: RowDraft): Promise<boolean>;
  /** Writes the closure down. */
  save(closure: Closure): Promise<void>;
  readonly target: SalvageTarget;
  readonly event: (event: LedgerEvent) => RowDraft;
  readonly clock: Pick<Clock, 'sleep'>;
  /** What the last process left unfinished has been looked through. */
  readonly onResumed: () => void;
  /** A row that is not recorded again; its bytes stay where they are. */
  readonly onSkipped: (index: number, why: string) => void;
}

interface Found {
  readonly index: number;
  readonly draft: RowDraft;
}

/**
 * Resolves once every row, and the event that says so, are durable and the closure says that nothing is left. Rejects when
 * aborted, or when the disk is in trouble: calling it again goes on.
 */
export async function salvage(parts: SalvageParts, signal: AbortSignal): Promise<void> {
  const { log, target } = parts;
  const from = parts.closure.salvage_from;
  if (from === null) throw new WeirError('internal', 'there is nothing to salvage');
  const before = parts.closure.salvage;
  const done = { next: before?.next ?? from, recorded: before?.recorded ?? 0, skipped: before?.skipped ?? 0 };
  /** Where the last process may have begun a chunk that it did not see through. */
  let unsure = before ?? undefined;

  let isDrained = false;

  let found: Found[] = [];
  let bytes = 0;
  let skips = 0;
  let end = done.next;
  for await (const row of parts.rows(done.next)) {
    signal.throwIfAborted();
    skipTo(row.index);
    end = row.index + 1;
    const draft = draftOf(row.bytes, log);
    if (draft === undefined) {
      skip(row.index, 'it is not a row of this log');
      continue;
    }
    if (await parts.isLeft(row, draft)) {
      skip(row.index, 'the hub has refused it twice');
      continue;
    }
    found.push({ index: row.index, draft });
    bytes += row.bytes.length;
    if (found.length >= CHUNK_ROWS_MAX || bytes >= CHUNK_BYTES_MAX) await endChunk();
  }
  skipTo(parts.closure.size ?? end);
  if (found.length > 0 || skips > 0) await endChunk();
  await tellEnd();

  /** Indexes that no readable record has. */
  function skipTo(index: number): void {
    for (; end < index; end += 1) skip(end, 'it cannot be read');
  }

  function skip(index: number, why: string): void {
    skips += 1;
    parts.onSkipped(index, why);
  }

  function closureAt({ into, at }: Place, stored: readonly number[]): Closure {
    return { ...parts.closure, salvage: { ...done, into, at, stored: [...stored] }, drained: isDrained };
  }

  /** Until it is written down: before that no row may go, for they are what tells how far this came. */
  async function saveInTime(closure: Closure): Promise<void> {
    for (;;) {
      try {
        await parts.save(closure);
        return;
      } catch {
        await parts.clock.sleep(PAUSE_MS, signal);
      }
    }
  }

  async function endChunk(): Promise<void> {
    const rows = found;
    const [skippedBefore, until] = [skips, end];
    found = [];
    bytes = 0;
    skips = 0;
    await store(
      rows,
      (row, other) => row.id === other.id,
      (refused) => {
        done.next = until;
        done.recorded += rows.length - refused;
        done.skipped += skippedBefore + refused;
      },
    );
  }

  async function tellEnd(): Promise<void> {
    const { recorded, skipped } = done;
    const draft = parts.event({
      outcome: 'log_salvaged',
      detail: `${recorded} rows of ${log} stand here again, ${skipped} could not be had`,
      facts: { log, from: from ?? 0, until: end, recorded, skipped },
    });
    const isSame = (row: RowDraft): boolean => row.outcome === draft.outcome && row.rules[0]?.facts['log'] === log;
    await store([{ index: end, draft }], isSame, () => {
      isDrained = true;
    });
  }

  /**
   * Until each row is durable: while the log takes none this waits, as requests do. Rows stay from before the first is
   * recorded until it is written down that they all are.
   */
  async function store(
    rows: readonly Found[],
    isSame: (row: RowDraft, other: RowDraft) => boolean,
    advance: (refused: number) => void,
  ): Promise<void> {
    let refused = 0;
    let waiting = rows;
    if (before === null && done.recorded + done.skipped === 0) await parts.save(closureAt(target.place(), []));
    for (;;) {
      signal.throwIfAborted();
      const isStored = await target.keepingRows(async () => {
        if (unsure !== undefined) {
          const stored = new Set(unsure.stored);
          waiting = await missing(
            rows.filter(({ index }) => !stored.has(index)),
            target.since(unsure),
            isSame,
          );
          unsure = undefined;
          parts.onResumed();
        }
        const answers = await Promise.allSettled(waiting.map(({ draft }) => target.append(draft)));
        waiting = waiting.filter((row, position) => {
          const answer = answers[position];
          if (answer?.status !== 'rejected') return false;
          if (isPassing(answer.reason)) return true;
          refused += 1;
          parts.onSkipped(row.index, describeThrown(answer.reason));
          return false;
        });
        const isWhole = waiting.length === 0;
        if (isWhole) advance(refused);
        const left = new Set(waiting.map(({ index }) => index));
        const stored = isWhole ? [] : rows.map(({ index }) => index).filter((index) => !left.has(index));
        await saveInTime(closureAt(target.place(), stored));
        return isWhole;
      });
      if (isStored) return;
      await parts.clock.sleep(PAUSE_MS, signal);
    }
  }
}

/** Rows that do not stand there yet. */
async function missing(
  rows: readonly Found[],
  there: AsyncIterable<Buffer>,
  isSame: (row: RowDraft, other: RowDraft) => boolean,
): Promise<readonly Found[]> {
  let left = rows;
  for await (const bytes of there) {
    if (left.length === 0) break;
    const row = rowIn(bytes);
    if (row !== undefined) left = left.filter(({ draft }) => !isSame(row, draft));
  }
  return left;
}

/** What the log is full of, or its disk fails on, it may take later. */
function isPassing(thrown: unknown): boolean {
  return thrown instanceof WeirError && (thrown.code === 'resource_exhausted' || thrown.code === 'spool_failed');
}

/** The draft behind a row, undefined when the bytes are no row of this log. */
function draftOf(bytes: Buffer, log: string): RowDraft | undefined {
  const row = rowIn(bytes);
  if (row === undefined || row.log !== log) return undefined;
  // The open log gives it a place of its own.
  return row;
}

function rowIn(bytes: Buffer) {
  try {
    return readRow(bytes);
  } catch {
    return undefined;
  }
}
