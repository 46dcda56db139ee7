// Whether the hub's receipt is one: the log's own signature, the cosignature of a pinned key, and exactly so many rows.

import { openCheckpoint, openReceipt } from '@weir/shared/audit/tlog/checkpoint.ts';
import { type Verifier, parseVkey } from '@weir/shared/audit/tlog/note.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { HeldReceipt } from './log-notes.ts';

export interface CheckedReceipt {
  /** Root that the log's key has signed for these rows. */
  readonly root: Buffer;
  /** undefined when this spoke has no pinned key to check the hub's part with: then no row may go under it. */
  readonly receipt: HeldReceipt | undefined;
}

/** @returns a check that throws `untrusted` unless the bytes are a receipt for exactly `size` rows of this log */
export function createReceiptCheck(vkey: string, hubKeys: readonly Verifier[]): ReceiptCheck {
  const log = parseVkey(vkey);
  let last: { readonly bytes: Buffer; readonly checked: CheckedReceipt } | undefined;

  return (bytes, size) => {
    // One commit of the hub answers many batches with the same receipt.
    if (last?.bytes.equals(bytes) === true && last.checked.receipt?.size === size) return last.checked;
    const own = Buffer.from(bytes);
    const { size: signedSize, root } = openCheckpoint(own, log);
    if (signedSize !== size) {
      throw new WeirError('untrusted', `the hub's receipt is for ${signedSize} rows, where it says ${size}`);
    }
    const receipt = hubKeys.length === 0 ? undefined : { bytes: own, size, timeS: cosignedAtS(own, log, hubKeys) };
    const checked = { root, receipt };
    last = { bytes: own, checked };
    return checked;
  };
}

export type ReceiptCheck = (bytes: Uint8Array, size: number) => CheckedReceipt;

function cosignedAtS(bytes: Buffer, log: Verifier, hubKeys: readonly Verifier[]): number {
  let refusal: unknown;
  for (const hub of hubKeys) {
    try {
      return openReceipt(bytes, { log, hub }).timeS;
    } catch (thrown) {
      refusal = thrown;
    }
  }
  throw refusal;
}
