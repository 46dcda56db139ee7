// A spoke opens a log: does what it holds fit what the hub holds? A spoke that signed another history, or that has gone back
// behind what it once sent, must not extend the log; a receipt for more rows than are here means that the hub lost some.

import type { CloseReason, LogHead } from '../store/audit-store.ts';
import type { NewAlarm } from '../store/alarm-store.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';

/** A signed size and root, and the note that says so. */
export interface SignedEnd {
  readonly size: number;
  readonly root: Buffer;
  readonly note: Uint8Array;
}

export type Judgement =
  | { readonly kind: 'open' }
  /** It goes on from the hub's end, and somebody has to look. */
  | { readonly kind: 'alarm'; readonly alarm: NewAlarm }
  | { readonly kind: 'close'; readonly reason: CloseReason; readonly alarm: NewAlarm };

/**
 * Judges an open log. `checkpoint` is the spoke's own end (undefined: it says that the log is empty), `receipt` the newest
 * that it holds and that this hub gave. `rootAt` tells the root of the stored log at a size below its end.
 */
export async function judgeOpening(
  head: LogHead,
  claim: { readonly checkpoint: SignedEnd | undefined; readonly receipt: SignedEnd | undefined },
  rootAt: (size: number) => Promise<Buffer>,
): Promise<Judgement> {
  const { log, unit, spoke, nextIndex } = head;
  const { checkpoint, receipt } = claim;
  const rootBelow = async (size: number): Promise<Buffer> =>
    size === nextIndex ? TreeEdge.decode(nextIndex, head.edge).root() : rootAt(size);
  const alarm = (kind: NewAlarm['kind'], detail: string, offered: Uint8Array | undefined): NewAlarm => ({
    kind,
    unit,
    spoke,
    log,
    detail,
    // A receipt is the stronger note: it carries both signatures.
    held: head.receipt.length > 0 ? head.receipt : head.checkpoint,
    offered: offered ?? new Uint8Array(),
  });

  const size = checkpoint?.size ?? 0;
  if (checkpoint !== undefined && size <= nextIndex && !(await rootBelow(size)).equals(checkpoint.root)) {
    const detail = `the spoke signed another root for ${size} rows than is stored`;
    return { kind: 'close', reason: 'fork', alarm: alarm('fork', detail, checkpoint.note) };
  }
  if (receipt !== undefined && receipt.size <= nextIndex && !(await rootBelow(receipt.size)).equals(receipt.root)) {
    const detail = `this hub receipted another root for ${receipt.size} rows than is stored`;
    return { kind: 'close', reason: 'fork', alarm: alarm('fork', detail, receipt.note) };
  }
  if (size < nextIndex) {
    const detail = `the spoke's log ends at ${size}, ${nextIndex} rows are stored: it went back to an earlier state`;
    return { kind: 'close', reason: 'rollback', alarm: alarm('rollback', detail, checkpoint?.note) };
  }
  if (receipt !== undefined && receipt.size > nextIndex) {
    const detail = `this hub receipted ${receipt.size} rows and holds ${nextIndex}`;
    return { kind: 'alarm', alarm: alarm('rows_lost', detail, receipt.note) };
  }
  return { kind: 'open' };
}
