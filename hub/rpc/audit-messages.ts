// What the ledger's services share in reading requests and writing answers.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { LogHead } from '../store/audit-store.ts';

/** @throws WeirError `invalid_argument` beyond 2^53 */
export function readIndex(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new WeirError('invalid_argument', 'an index is too large');
  return Number(value);
}

/** Rows under the newest receipt: a head's receipt is for exactly its rows. */
export function receiptedOf({ receipt, nextIndex }: Pick<LogHead, 'receipt' | 'nextIndex'>): number {
  return receipt.length === 0 ? 0 : nextIndex;
}
