// Proves that a row is in its log: the row, the hashes between it and the root, and the receipt over that root in one text,
// which anybody can check with the log's public key alone. A row that retention has moved is fetched from a copy; its hashes
// are still here.

import { readCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { inclusionProof, verifyInclusion } from '@weir/shared/audit/tlog/proof.ts';
import { encodeRowProof } from '@weir/shared/audit/tlog/row-proof.ts';
import { TILE_WIDTH, tileWidth } from '@weir/shared/audit/tlog/tile.ts';
import { nodesFromTiles } from '@weir/shared/audit/tlog/tile-nodes.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { AuditStore, LogHead } from '../store/audit-store.ts';
import { copiedLog } from './copied-log.ts';
import type { CopyTarget } from './copy-target.ts';
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
 * whose bytes are in a write-once copy that is not at hand, `unsupported` for a log without a key, and `integrity` when what
 * is stored does not lead to the receipted root: a wrong proof is never given.
 */
export type RowProofs = (log: string, index: number) => Promise<ProofOfRow>;

export interface RowProofParts extends StoredLogParts {
  readonly store: Pick<AuditStore, 'head' | 'rowsFrom' | 'leavesFrom'>;
  /** Where rows are looked for that are no longer here. */
  readonly targets: readonly Pick<CopyTarget, 'read' | 'list'>[];
}

export function createRowProofs(parts: RowProofParts): RowProofs {
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
    const row = await rowAt(parts, head, index);
    const source = storedLog(parts, head);
    const { size, root } = readCheckpoint(head.receipt);
    const nodes = nodesFromTiles(async (level, at) => {
      const tile = await source.tile(level, at, tileWidth(size, level, at));
      if (tile === undefined) throw new WeirError('integrity', `${log} lacks tile ${level}/${at}`);
      return tile;
    });
    const proof = await inclusionProof(size, index, nodes);
    if (!verifyInclusion({ size, index, leaf: leafHash(row), proof, root })) {
      throw new WeirError('integrity', `row ${index} of ${log} does not lead to the root that was receipted`, {
        next: `run weir audit fsck ${log}, which names what is wrong`,
      });
    }
    return { proof: encodeRowProof({ row, index, proof, checkpoint: head.receipt }), size, vkey: head.vkey };
  };
}

async function rowAt({ store, targets }: RowProofParts, head: LogHead, index: number): Promise<Buffer> {
  const { log, nextIndex, keptFrom } = head;
  const [stored] = await store.rowsFrom(log, index, 1);
  if (stored?.index === index) return Buffer.from(stored.bytes);
  if (index >= keptFrom) {
    throw new WeirError('integrity', `row ${index} of ${log} is missing`, { next: `run weir audit fsck ${log}` });
  }
  const bundle = Math.floor(index / TILE_WIDTH);
  for (const target of targets) {
    const source = copiedLog(target, log);
    // What has moved is below the copy's end, which may lie within this bundle.
    const rows =
      (await source.entries(bundle, TILE_WIDTH)) ?? (await source.entries(bundle, tileWidth(nextIndex, 0, bundle)));
    const row = rows?.[index % TILE_WIDTH];
    if (row !== undefined) return row;
  }
  throw new WeirError('unavailable', `row ${index} of ${log} is in the write-once copy only`, {
    next: 'verify the copy itself with `weir audit verify`, or bring the row back with `weir audit restore`',
  });
}
