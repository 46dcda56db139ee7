// Do these batches continue the stored log? Asked under the log's lock, with its head at hand: what is stored already is
// compared leaf by leaf, what follows must carry the tree from the held root to the signed one. What cannot be true beside
// what is stored closes the log, with both sides' signed tree heads as evidence.

import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { verifyConsistency } from '@weir/shared/audit/tlog/proof.ts';
import { BATCH_ROWS_MAX, type NackCode } from '@weir/shared/wire/audit.ts';
import type { NewAlarm, RefusedBatch } from '../store/alarm-store.ts';
import { type CloseReason, type LogClosing, type LogHead, type NewRow, ROW_FLAGS } from '../store/audit-store.ts';
import { type BadBatch, CHECKPOINT_BYTES_MAX, type SoundBatch } from './check-batch.ts';

export type BatchOutcome =
  /** Every row of the batch is stored once the group is committed; `added` of them are new. */
  | { readonly kind: 'stored'; readonly added: number }
  | { readonly kind: 'refused'; readonly code: NackCode; readonly detail: string };

export interface Extension {
  /** One for each batch, in order. */
  readonly outcomes: readonly BatchOutcome[];
  /** New rows, from the held end on; not all of them need to be written when `present` names some. */
  readonly rows: readonly NewRow[];
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
  const rows: NewRow[] = [];
  const present = new Set<number>();
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

  /** First of these rows that is stored with another leaf; rows of this group are stored too. */
  async function differing(known: readonly NewRow[]): Promise<number | undefined> {
    const [first, last] = [known[0], known.at(-1)];
    if (first === undefined || last === undefined) return undefined;
    const below = Math.min(last.index + 1, head.nextIndex);
    const leaves = first.index < below ? await stored(first.index, below) : new Map<number, Buffer>();
    return known.find(({ index, leaf }) => {
      const held = index < head.nextIndex ? leaves.get(index) : rows[index - head.nextIndex]?.leaf;
      return held === undefined || !held.equals(leaf);
    })?.index;
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
    const { firstIndex } = batch.batch;
    if (firstIndex > nextIndex) {
      refuse('gap', `expected row ${nextIndex}`);
      continue;
    }
    const known = batch.rows.slice(0, nextIndex - firstIndex);
    const fork = await differing(known);
    if (fork !== undefined) {
      close('fork', 'fork', `row ${fork} is stored with other bytes`, batch);
      continue;
    }
    if (batch.size === nextIndex && batch.root?.equals(root) === false) {
      close('fork', 'fork', `another root is held for ${nextIndex} rows`, batch);
      continue;
    }
    // A tree head below the end needs no look: its rows are the stored ones, and what comes next must extend the held root.
    if (batch.size <= nextIndex) {
      outcomes.push({ kind: 'stored', added: 0 });
      continue;
    }

    const fresh = batch.rows.slice(known.length);
    const grown = edge.clone();
    for (const { leaf } of fresh) grown.append(leaf);
    const grownRoot = grown.root();
    const follows = batch.root?.equals(grownRoot) ?? true;
    const proven =
      firstIndex < nextIndex ||
      batch.root === undefined ||
      verifyConsistency({
        oldSize: nextIndex,
        newSize: batch.size,
        oldRoot: root,
        newRoot: batch.root,
        proof: batch.batch.proof,
      });
    if (!follows || !proven) {
      // A tree that neither its rows nor its proof join to the held one is another history; one of both is a broken batch.
      if (!follows && !proven)
        close('fork', 'fork', `the signed tree does not contain the ${nextIndex} rows held`, batch);
      else if (follows) close('poisoned', 'inconsistent', 'the consistency proof does not hold', batch);
      else close('poisoned', 'inconsistent', 'the rows do not give the signed root', batch);
      continue;
    }
    if (options.careful) {
      const strays = await stored(nextIndex, batch.size);
      const other = fresh.find(({ index, leaf }) => strays.get(index)?.equals(leaf) === false);
      if (other !== undefined) {
        close('fork', 'fork', `row ${other.index} lies beyond the stored end with other bytes`, batch);
        continue;
      }
      for (const index of strays.keys()) present.add(index);
    }
    for (const row of fresh) {
      const backwards = row.index === nextIndex && lastEventMs !== null && row.eventTimeMs < lastEventMs;
      rows.push(backwards ? { ...row, flags: row.flags | ROW_FLAGS.backwards } : row);
    }
    outcomes.push({ kind: 'stored', added: fresh.length });
    nextIndex = batch.size;
    lastEventMs = fresh.at(-1)?.eventTimeMs ?? lastEventMs;
    ({ checkpoint } = batch.batch);
    edge = grown;
    root = grownRoot;
  }

  return {
    outcomes,
    rows: present.size === 0 ? rows : rows.filter(({ index }) => !present.has(index)),
    nextIndex,
    edge: edge.encode(),
    checkpoint,
    lastEventMs,
    closing,
  };
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
  const { reason, code, detail } = what;
  const { batch } = what.batch;
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
    // One more than may be, to show that it was one too many.
    rows: batch.rows.slice(0, BATCH_ROWS_MAX + 1),
    checkpoint: alarm.offered,
  };
  return { log, reason, alarm, quarantine };
}
