// Receipts: the hub's cosignature over what a spoke signed, given only for rows that are stored.

import { cosignCheckpoint, openReceipt } from '@weir/shared/audit/tlog/checkpoint.ts';
import { type NoteSigner, parseVkey, type Verifier } from '@weir/shared/audit/tlog/note.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { LogHead } from '../store/audit-store.ts';

export interface Receipts {
  /** For verifying receipts of this hub. */
  readonly hub: Verifier;
  /** The checkpoint with the hub's cosignature. */
  cosign(checkpoint: Uint8Array): Buffer;
  /** Receipt for all rows of a log: the stored one, or a new one when that was given under another key. Empty for an empty log. */
  of(head: LogHead): Buffer;
}

export function createReceipts(key: NoteSigner, clock: Pick<Clock, 'nowMs'>): Receipts {
  const hub = parseVkey(key.vkey);

  function cosign(checkpoint: Uint8Array): Buffer {
    return cosignCheckpoint(checkpoint, key, Math.floor(clock.nowMs() / 1000));
  }

  return {
    hub,
    cosign,
    of(head) {
      if (head.checkpoint.length === 0) return Buffer.alloc(0);
      try {
        openReceipt(head.receipt, { log: parseVkey(head.vkey), hub });
        return head.receipt;
      } catch (thrown) {
        if (!(thrown instanceof WeirError)) throw thrown;
        return cosign(head.checkpoint);
      }
    },
  };
}
