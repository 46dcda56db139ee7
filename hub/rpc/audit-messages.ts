// What the ledger's services share in reading requests and writing answers.

import { parseLogId } from '@weir/shared/audit/log-id.ts';
import { cosignatureTimeS, splitNote } from '@weir/shared/audit/tlog/note.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { LogHead } from '../store/audit-store.ts';
import { decodeCursor, encodeCursor } from '../store/page.ts';

/** @throws WeirError `invalid_argument` beyond 2^53 */
export function readIndex(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new WeirError('invalid_argument', 'an index is too large');
  return Number(value);
}

/** @throws WeirError `invalid_argument` for what cannot be a log's id */
export function readLog(log: string): string {
  if (parseLogId(log) !== undefined) return log;
  throw new WeirError('invalid_argument', 'a log is named <unit>.<spoke>.<worker>.<epoch>', {
    next: 'see `weir fleet list --logs` for the logs that there are',
  });
}

/** Where a list by log id goes on; '' for its beginning. */
export function readAfter(cursor: string): string {
  const [after = ''] = decodeCursor(cursor, ['string']) ?? [];
  return String(after);
}

/** Cursor of a list by log id, '' when a page was the last. */
export function cursorAfter(logs: readonly { readonly log: string }[], size: number): string {
  const last = logs.at(-1);
  return last === undefined || logs.length < size ? '' : encodeCursor([last.log]);
}

export function encodeLog(head: LogHead, alarms: readonly string[]) {
  return {
    log: head.log,
    unit: head.unit,
    spoke: head.spoke,
    state: head.state,
    reason: head.reason,
    size: BigInt(head.nextIndex),
    receipted: BigInt(receiptedOf(head)),
    receiptedAtMs: BigInt(receiptedAtMs(head.receipt)),
    lastEventMs: BigInt(head.lastEventMs ?? 0),
    keptFrom: BigInt(head.keptFrom),
    alarms: [...alarms],
  };
}

/** Rows under the newest receipt: a head's receipt is for exactly its rows. */
export function receiptedOf({ receipt, nextIndex }: Pick<LogHead, 'receipt' | 'nextIndex'>): number {
  return receipt.length === 0 ? 0 : nextIndex;
}

/**
 * When a receipt was signed, unix milliseconds; 0 for none, and for one that cannot be read: a list of logs must not fail
 * because one of them was damaged. The hub's own word, not verified again here.
 */
export function receiptedAtMs(receipt: Uint8Array): number {
  if (receipt.length === 0) return 0;
  try {
    const times = splitNote(receipt).signatures.map(({ signature }) => cosignatureTimeS(signature) ?? 0);
    return Math.max(0, ...times) * 1000;
  } catch (thrown) {
    if (thrown instanceof WeirError) return 0;
    throw thrown;
  }
}
