// Raw runs of rows out of Postgres: an index range at a time, so that nothing holds a snapshot for long, and columns that
// are only compared come as one text.

import { escapeLiteral } from 'pg';
import type { RowScan } from '../row-scan.ts';
import { copyOut } from './copy-out.ts';
import type { Pool } from './pool.ts';
import { storeError } from './store-error.ts';

export function createRowScan(pool: Pool): RowScan {
  return {
    async rows(log, from, until) {
      if (!Number.isSafeInteger(from) || !Number.isSafeInteger(until)) throw new RangeError('no such range of rows');
      const client = await pool.connect();
      let broken = false;
      try {
        // COPY takes no parameters.
        const bytes = await copyOut(
          client,
          `COPY (SELECT index, event_time, row, leaf, concat_ws(E'\\n', unit, spoke, actor, purl, level,
              array_to_string(rules, ' '), code, action, outcome)
            FROM audit_rows WHERE log = ${escapeLiteral(log)} AND index >= ${from} AND index < ${until}
            ORDER BY index, event_time) TO STDOUT (FORMAT binary)`,
        );
        return { log, from, until, bytes };
      } catch (thrown) {
        broken = true;
        throw storeError(thrown);
      } finally {
        client.release(broken);
      }
    },

    async firstIndex(log, from) {
      const { rows } = await pool.query<{ index: number | null }>(
        'SELECT min(index) AS index FROM audit_rows WHERE log = $1 AND index >= $2',
        [log, from],
      );
      return rows[0]?.index ?? undefined;
    },

    async logsOfRows(after, limit) {
      // One look into the primary key for each log, however many rows it has.
      const { rows } = await pool.query<{ log: string }>(
        `WITH RECURSIVE logs (log) AS (
           SELECT min(log) FROM audit_rows WHERE log > $1
           UNION ALL SELECT (SELECT min(log) FROM audit_rows WHERE log > logs.log) FROM logs WHERE logs.log IS NOT NULL)
         SELECT log FROM logs WHERE log IS NOT NULL LIMIT $2`,
        [after, limit],
      );
      return rows.map(({ log }) => log);
    },
  };
}
