// Tiles in Postgres: one row of 8 KiB for each.

import type { TileStore } from '../tile-store.ts';
import type { Pool } from './pool.ts';

export function createTileStore(pool: Pool): TileStore {
  return {
    async tiles(log, level, from, count) {
      const { rows } = await pool.query<{ index: number; hashes: Buffer }>({
        name: 'audit-tiles',
        text: 'SELECT index, hashes FROM audit_tiles WHERE log = $1 AND level = $2 AND index >= $3 AND index < $4',
        values: [log, level, from, from + count],
      });
      return new Map(rows.map(({ index, hashes }) => [index, hashes]));
    },

    async put(log, tiles) {
      await pool.query({
        name: 'audit-put-tiles',
        text: `INSERT INTO audit_tiles (log, level, index, hashes)
          SELECT $1, level, index, hashes FROM unnest($2::smallint[], $3::bigint[], $4::bytea[]) AS t (level, index, hashes)
          ON CONFLICT (log, level, index) DO UPDATE SET hashes = excluded.hashes
          WHERE audit_tiles.hashes <> excluded.hashes`,
        values: [
          log,
          tiles.map(({ level }) => level),
          tiles.map(({ index }) => index),
          tiles.map(({ hashes }) => hashes),
        ],
      });
    },

    async cover(log, tiled) {
      await pool.query('UPDATE audit_logs SET tiled = $2 WHERE log = $1 AND tiled < $2 AND next_index >= $2', [
        log,
        tiled,
      ]);
    },

    async behind(after, limit) {
      const { rows } = await pool.query<{ log: string }>(
        'SELECT log FROM audit_logs WHERE next_index / 256 * 256 > tiled AND log > $1 ORDER BY log LIMIT $2',
        [after, limit],
      );
      return rows.map(({ log }) => log);
    },
  };
}
