// Receipts: the hub's cosignature over what a spoke signed, given only for rows that are stored.

import { cosignCheckpoint, openCheckpoint, openReceipt } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { type NoteSigner, parseVkey, type Verifier } from '@weir/shared/audit/tlog/note.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { LogHead } from '../store/audit-store.ts';

export interface Receipts {
  /** For verifying receipts of this hub. */
  readonly hub: Verifier;
  /** The checkpoint with the hub's cosignature. */
  cosign(checkpoint: Uint8Array): Buffer;
  /**
   * Receipt for all rows of a log: the stored one, or a new one when that was given under another key. Empty for an
   * empty log and for one without a key.
   * Throws `untrusted` or `integrity` for a head that is not what its log has signed: a database is not believed blindly.
   */
  of(head: Pick<LogHead, 'log' | 'vkey' | 'nextIndex' | 'edge' | 'checkpoint' | 'receipt'>): Buffer;
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
      // Rows from before logs had keys were vouched for by nobody.
      if (head.vkey === '' || (head.checkpoint.length === 0 && head.nextIndex === 0)) return Buffer.alloc(0);
      const log = parseVkey(head.vkey);
      const { size, root } = openCheckpoint(head.checkpoint, log);
      if (size !== head.nextIndex || !TreeEdge.decode(size, head.edge).root().equals(root)) {
        throw new WeirError('integrity', `the head of ${head.log} is not what its spoke has signed`, {
          next: `run weir audit fsck ${head.log}`,
        });
      }
      try {
        const { checkpoint } = openReceipt(head.receipt, { log, hub });
        if (checkpoint.size === size && checkpoint.root.equals(root)) return head.receipt;
      } catch (thrown) {
        if (!(thrown instanceof WeirError)) throw thrown;
      }
      return cosign(head.checkpoint);
    },
  };
}
