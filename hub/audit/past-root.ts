// The root that a stored log had at an earlier size, hashed again from its tiles, and from its leaves where no tile has been
// made yet: a few reads for a log of any size.

import { nodesFromTiles } from '@weir/shared/audit/tlog/tile-nodes.ts';
import { rootAt } from '@weir/shared/audit/tlog/proof.ts';
import { tileWidth } from '@weir/shared/audit/tlog/tile.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { AuditStore } from '../store/audit-store.ts';
import { type StoredLogParts, storedLog } from './log-source.ts';

/** Throws `not_found` for an unknown log, `corrupt` or `integrity` when hashes below `size` are not stored. */
export async function pastRoot(
  { store, tiles }: StoredLogParts & { readonly store: Pick<AuditStore, 'head'> },
  log: string,
  size: number,
): Promise<Buffer> {
  const head = await store.head(log);
  if (head === undefined || size > head.nextIndex) throw new WeirError('not_found', `${log} has no ${size} rows`);
  const source = storedLog({ store, tiles }, head);
  const nodes = nodesFromTiles(async (level, index) => {
    const tile = await source.tile(level, index, tileWidth(head.nextIndex, level, index));
    if (tile === undefined) throw new WeirError('corrupt', `tile ${level}/${index} of ${log} is not stored`);
    return tile;
  });
  return rootAt(size, nodes);
}
