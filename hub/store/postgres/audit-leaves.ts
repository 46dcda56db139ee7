// Stored leaf hashes: beside their rows, or in a full tile once the rows have moved to the write-once copy.

import { leafHash, HASH_BYTES } from '@weir/shared/audit/tlog/hash.ts';
import { TILE_WIDTH } from '@weir/shared/audit/tlog/tile.ts';
import type { Queryable } from './pool.ts';

/** Leaves at [from, until) by index, as far as they are stored. */
export async function leavesBetween(
  client: Queryable,
  log: string,
  from: number,
  until: number,
): Promise<ReadonlyMap<number, Buffer>> {
  const { rows } = await client.query<{ index: number; leaf: Buffer }>({
    name: 'audit-leaves',
    text: 'SELECT index, leaf FROM audit_rows WHERE log = $1 AND index >= $2 AND index < $3',
    values: [log, from, until],
  });
  const leaves = new Map(rows.map(({ index, leaf }) => [index, leaf]));
  if (leaves.size >= until - from) return leaves;
  const tiles = await client.query<{ index: number; hashes: Buffer }>(
    'SELECT index, hashes FROM audit_tiles WHERE log = $1 AND level = 0 AND index BETWEEN $2 AND $3',
    [log, Math.floor(from / TILE_WIDTH), Math.floor((until - 1) / TILE_WIDTH)],
  );
  for (const { index: tile, hashes } of tiles.rows) {
    for (let place = 0; place < TILE_WIDTH; place += 1) {
      const index = tile * TILE_WIDTH + place;
      if (index < from || index >= until || leaves.has(index)) continue;
      leaves.set(index, hashes.subarray(place * HASH_BYTES, (place + 1) * HASH_BYTES));
    }
  }
  return leaves;
}

/** The same from the rows' bytes alone, trusting no stored hash. */
export async function leavesOfRows(
  client: Queryable,
  log: string,
  from: number,
  until: number,
): Promise<ReadonlyMap<number, Buffer>> {
  const { rows } = await client.query<{ index: number; row: Buffer }>(
    'SELECT index, row FROM audit_rows WHERE log = $1 AND index >= $2 AND index < $3',
    [log, from, until],
  );
  return new Map(rows.map(({ index, row }) => [index, leafHash(row)]));
}

/** Leaves from an index on, in order, until `limit` or the first that is missing. */
export async function leavesFrom(client: Queryable, log: string, index: number, limit: number): Promise<Buffer[]> {
  const found = await leavesBetween(client, log, index, index + limit);
  const leaves: Buffer[] = [];
  for (let at = index; ; at += 1) {
    const leaf = found.get(at);
    if (leaf === undefined) return leaves;
    leaves.push(leaf);
  }
}
