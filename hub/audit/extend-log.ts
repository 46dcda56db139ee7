// Do these batches continue the stored log? Asked under the log's lock, with its head at hand: what is stored already is
// compared leaf by leaf, what follows must carry the tree from the held root to the signed one. What cannot be true beside
// what is stored closes the log, with both sides' signed tree heads as evidence.

import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { HASH_BYTES } from '@weir/shared/audit/tlog/hash.ts';
import { verifyConsistency } from '@weir/shared/audit/tlog/proof.ts';
import { BATCH_ROWS_MAX, type NackCode } from '@weir/shared/wire/audit.ts';
import type { NewAlarm, RefusedBatch } from '../store/alarm-store.ts';
import { type CloseReason, type LogClosing, type LogHead, type PreparedRows, ROW_FLAGS } from '../store/audit-store.ts';
import { BACKWARDS_MS, type BadBatch, CHECKPOINT_BYTES_MAX, type SoundBatch } from './check-batch.ts';

export type BatchOutcome =
  /** Every row of the batch is stored once the group is committed; `added` of them are new. */
  | { readonly kind: 'stored'; readonly added: number }
  | { readonly kind: 'refused'; readonly code: NackCode; readonly detail: string };

export interface Extension {
  /** One for each batch, in order. */
  readonly outcomes: readonly BatchOutcome[];
  /** New rows, from the held end on, without those that are there already. */
  readonly rows: readonly PreparedRows[];
  readonly nextIndex: number;
  readonly edge: Buffer;
  /** What the spoke signed for `nextIndex` rows. */
  readonly checkpoint: Uint8Array;
  readonly lastEventMs: number | null;
  readonly closing: LogClosing | undefined;
}

/** Leaf hashes stored at [from, until), by index. */
export type StoredLeaves = (from: number, until: number) => Promise<ReadonlyMap<number, Buffer>>;

/**
 * Follows batches of one log in the order in which they came. With `careful`, rows may lie beyond the head already, as only
 * a damaged database has them: equal ones are kept, others close the log.
 */
export async function extendLog(
  head: LogHead,
  batches: readonly (SoundBatch | BadBatch)[],
  stored: StoredLeaves,
  options: { readonly careful: boolean } = { careful: false },
): Promise<Extension> {
  const outcomes: BatchOutcome[] = [];
  const rows: PreparedRows[] = [];
  /** Batches of this group that continued the log: their leaves are as good as stored. */
  const taken: SoundBatch[] = [];
  let { nextIndex, lastEventMs } = head;
  let edge = TreeEdge.decode(nextIndex, head.edge);
  let root = edge.root();
  let checkpoint: Uint8Array = head.checkpoint;
  let closing: LogClosing | undefined;

  function refuse(code: NackCode, detail: string): void {
    outcomes.push({ kind: 'refused', code, detail });
  }

  function close(reason: CloseReason, code: NackCode, detail: string, batch: SoundBatch | BadBatch): void {
    closing = closingOf(head, { reason, code, detail, held: checkpoint, batch });
    refuse(code, detail);
  }

  /** First row of [from, until) that is stored with another leaf than in this batch; rows of this group are stored too. */
  async function differing(batch: SoundBatch, from: number, until: number): Promise<number | undefined> {
    const below = Math.min(until, head.nextIndex);
    const leaves = from < below ? await stored(from, below) : new Map<number, Buffer>();
    for (let index = from; index < until; index += 1) {
      const within = taken.find((each) => index >= each.firstIndex && index < each.size);
      const held = index < head.nextIndex ? leaves.get(index) : within && leafAt(within, index);
      if (held?.equals(leafAt(batch, index)) !== true) return index;
    }
    return undefined;
  }

  for (const batch of batches) {
    if (closing !== undefined || head.state === 'closed') {
      refuse('closed', closing?.reason ?? head.reason);
      continue;
    }
    if (batch.kind === 'bad') {
      close('poisoned', batch.code, batch.detail, batch);
      continue;
    }
    const { firstIndex } = batch;
    if (firstIndex > nextIndex) {
      refuse('gap', `expected row ${nextIndex}`);
      continue;
    }
    const from = nextIndex;
    const fork = await differing(batch, firstIndex, Math.min(from, batch.size));
    if (fork !== undefined) {
      close('fork', 'fork', `row ${fork} is stored with other bytes`, batch);
      continue;
    }
    if (batch.size === nextIndex && !batch.root.equals(root)) {
      close('fork', 'fork', `another root is held for ${nextIndex} rows`, batch);
      continue;
    }
    // A tree head below the end needs no look: its rows are the stored ones, and what comes next must extend the held root.
    if (batch.size <= nextIndex) {
      outcomes.push({ kind: 'stored', added: 0 });
      continue;
    }

    const grown = edge.clone();
    for (let index = from; index < batch.size; index += 1) grown.append(leafAt(batch, index));
    const grownRoot = grown.root();
    const follows = batch.root.equals(grownRoot);
    const proven =
      firstIndex < nextIndex ||
      verifyConsistency({
        oldSize: nextIndex,
        newSize: batch.size,
        oldRoot: root,
        newRoot: batch.root,
        proof: batch.proof,
      });
    if (!follows || !proven) {
      // A tree that neither its rows nor its proof join to the held one is another history; one of both is a broken batch.
      if (!follows && !proven)
        close('fork', 'fork', `the signed tree does not contain the ${nextIndex} rows held`, batch);
      else if (follows) close('poisoned', 'inconsistent', 'the consistency proof does not hold', batch);
      else close('poisoned', 'inconsistent', 'the rows do not give the signed root', batch);
      continue;
    }
    const strays = options.careful ? await stored(from, batch.size) : NONE;
    const other = [...strays].find(([index, leaf]) => !leaf.equals(leafAt(batch, index)));
    if (other !== undefined) {
      close('fork', 'fork', `row ${other[0]} lies beyond the stored end with other bytes`, batch);
      continue;
    }
    const backwards = firstIndex === from && lastEventMs !== null && batch.firstEventMs < lastEventMs - BACKWARDS_MS;
    if (backwards) batch.rows.flagFirst(ROW_FLAGS.backwards);
    for (const [start, end] of runsWithout(strays, from, batch.size)) {
      rows.push(batch.rows.slice(start - firstIndex, end - firstIndex));
    }
    outcomes.push({ kind: 'stored', added: batch.size - from });
    taken.push(batch);
    nextIndex = batch.size;
    ({ checkpoint, lastEventMs } = batch);
    edge = grown;
    root = grownRoot;
  }

  return {
    outcomes,
    rows,
    nextIndex,
    edge: edge.encode(),
    checkpoint,
    lastEventMs,
    closing,
  };
}

const NONE: ReadonlyMap<number, Buffer> = new Map();

function leafAt(batch: SoundBatch, index: number): Buffer {
  const at = (index - batch.firstIndex) * HASH_BYTES;
  return batch.leaves.subarray(at, at + HASH_BYTES);
}

/** Stretches of [from, until) that leave out these indexes. */
function* runsWithout(
  left: ReadonlyMap<number, unknown>,
  from: number,
  until: number,
): Generator<readonly [number, number]> {
  let start = from;
  for (let index = from; index <= until; index += 1) {
    if (index < until && !left.has(index)) continue;
    if (index > start) yield [start, index];
    start = index + 1;
  }
}

/** The rows of a batch as they came, one more than may be at most, to show that it was one too many. */
function rowsOf(batch: SoundBatch | BadBatch): readonly Uint8Array[] {
  if (batch.kind === 'bad') return batch.rows.slice(0, BATCH_ROWS_MAX + 1);
  return Array.from({ length: batch.rows.count }, (_, place) => batch.rows.row(place));
}

function closingOf(
  head: LogHead,
  what: {
    readonly reason: CloseReason;
    readonly code: NackCode;
    readonly detail: string;
    readonly held: Uint8Array;
    readonly batch: SoundBatch | BadBatch;
  },
): LogClosing {
  const { log, unit, spoke } = head;
  const { reason, code, detail, batch } = what;
  const alarm: NewAlarm = {
    kind: reason === 'fork' ? 'fork' : 'poisoned',
    unit,
    spoke,
    log,
    detail: `${code}: ${detail}`,
    held: what.held,
    offered: batch.checkpoint.length > CHECKPOINT_BYTES_MAX ? new Uint8Array() : batch.checkpoint,
  };
  const quarantine: RefusedBatch = {
    log,
    unit,
    spoke,
    firstIndex: batch.firstIndex,
    code,
    detail,
    rows: rowsOf(batch),
    checkpoint: alarm.offered,
  };
  return { log, reason, alarm, quarantine };
}
