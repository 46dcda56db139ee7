// Push cursors in Postgres. A sink that was begun has a row for the log '', which is no log: it tells a sink that nothing was
// pushed to yet from one that nobody has heard of.

import type { PushCursor, PushStore } from '../push-store.ts';
import { inTransaction, type Pool, type Queryable } from './pool.ts';

const BEGUN = '';

export function createPushStore(pool: Pool): PushStore {
  return {
    async cursors(sink) {
      const { rows } = await pool.query<{ log: string; next_index: number }>(
        'SELECT log, next_index FROM audit_pushes WHERE sink = $1 AND log <> $2 ORDER BY log',
        [sink, BEGUN],
      );
      return rows.map((row) => ({ log: row.log, nextIndex: row.next_index }));
    },
    advance: (sink, cursors) => advance(pool, sink, cursors),
    begin: (sink, cursors) =>
      inTransaction(pool, async (client) => {
        const first = await client.query(
          'INSERT INTO audit_pushes (sink, log, next_index) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING',
          [sink, BEGUN],
        );
        if (first.rowCount === 0) return 'known';
        await advance(client, sink, cursors);
        return 'begun';
      }),
  };
}

/** One statement; logs in order, so that two hubs never wait for each other. */
async function advance(client: Queryable, sink: string, cursors: readonly PushCursor[]): Promise<void> {
  if (cursors.length === 0) return;
  const sorted = cursors.toSorted((a, b) => (a.log < b.log ? -1 : 1));
  await client.query(
    `INSERT INTO audit_pushes (sink, log, next_index)
     SELECT $1, c.log, c.next_index FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS c (log, next_index, place)
     ORDER BY c.place
     ON CONFLICT (sink, log) DO UPDATE SET next_index = excluded.next_index, updated_at = now()
     WHERE audit_pushes.next_index < excluded.next_index`,
    [sink, sorted.map(({ log }) => log), sorted.map(({ nextIndex }) => nextIndex)],
  );
}
