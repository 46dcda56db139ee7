// Proves that a stored row is in its log: the row, the hashes between it and the root, and the receipt over that root in one
// text, which anybody can check with the log's public key alone.

import { inclusionProof } from '@weir/shared/audit/tlog/proof.ts';
import { encodeRowProof } from '@weir/shared/audit/tlog/row-proof.ts';
import { tileWidth } from '@weir/shared/audit/tlog/tile.ts';
import { nodesFromTiles } from '@weir/shared/audit/tlog/tile-nodes.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { AuditStore } from '../store/audit-store.ts';
import { storedLog, type StoredLogParts } from './log-source.ts';

export interface ProofOfRow {
  /** c2sp.org/tlog-proof@v1, with the row as its extra data. */
  readonly proof: string;
  /** Rows in the tree that it leads to. */
  readonly size: number;
  /** The log's key as a verifier line. */
  readonly vkey: string;
}

/**
 * The proof of one row. Throws `not_found` for an unknown log or a row that the log does not have, `unavailable` for one
 * whose bytes are in a write-once copy only, `unsupported` for a log without a key.
 */
export type RowProofs = (log: string, index: number) => Promise<ProofOfRow>;

export function createRowProofs(
  parts: StoredLogParts & { readonly store: Pick<AuditStore, 'head' | 'rowsFrom'> },
): RowProofs {
  return async (log, index) => {
    const head = await parts.store.head(log);
    if (head === undefined || index >= head.nextIndex) {
      throw new WeirError(
        'not_found',
        head === undefined ? `there is no log ${log}` : `${log} has no row ${index} yet`,
        {
          next: head === undefined ? 'see `weir fleet list`' : `it has ${head.nextIndex} rows, numbered from 0`,
        },
      );
    }
    if (head.receipt.length === 0) {
      throw new WeirError('unsupported', `${log} was written before logs had keys: nothing vouches for its rows`);
    }
    const [row] = await parts.store.rowsFrom(log, index, 1);
    if (row?.index !== index) {
      throw new WeirError('unavailable', `row ${index} of ${log} is in the write-once copy only`, {
        next: 'verify the copy itself with `weir audit verify`, or bring the row back with `weir audit restore`',
      });
    }
    const source = storedLog(parts, head);
    const size = head.nextIndex;
    const nodes = nodesFromTiles(async (level, at) => {
      const tile = await source.tile(level, at, tileWidth(size, level, at));
      if (tile === undefined) throw new WeirError('integrity', `${log} lacks tile ${level}/${at}`);
      return tile;
    });
    const bytes = Buffer.from(row.bytes.buffer, row.bytes.byteOffset, row.bytes.byteLength);
    const proof = await inclusionProof(size, index, nodes);
    return { proof: encodeRowProof({ row: bytes, index, proof, checkpoint: head.receipt }), size, vkey: head.vkey };
  };
}
