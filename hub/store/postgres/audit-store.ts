// Rows in Postgres. A batch is one transaction that holds its log's cursor row: two hubs that get the same batch store it
// once, and rows and cursor move together or not at all.

import { rank } from '@weir/shared/domain/level.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { AuditStore, NewRow, NewRows, StoreOutcome } from '../audit-store.ts';
import { ensureMonths } from './audit-partitions.ts';
import { queryRows, rowByCode, rowById } from './audit-query.ts';
import { type Pool, type Queryable, inTransaction } from './pool.ts';
import { ROW_COLUMNS, type StoredColumns, storedRow } from './stored-row.ts';

export function createAuditStore(pool: Pool): AuditStore {
  return {
    append: (rows) => inTransaction(pool, (client) => append(client, rows)),

    async position(log) {
      const { rows } = await pool.query<{ next_index: number }>('SELECT next_index FROM audit_logs WHERE log = $1', [
        log,
      ]);
      return rows[0]?.next_index ?? 0;
    },

    async positions(unit) {
      const { rows } = await pool.query<{ log: string; next_index: number }>(
        "SELECT log, next_index FROM audit_logs WHERE $1 = '' OR unit = $1 ORDER BY log",
        [unit],
      );
      return rows.map((row) => ({ log: row.log, nextIndex: row.next_index }));
    },

    async rowsFrom(log, index, limit) {
      const { rows } = await pool.query<StoredColumns>(
        `SELECT ${ROW_COLUMNS} FROM audit_rows WHERE log = $1 AND index >= $2 ORDER BY index LIMIT $3`,
        [log, index, limit],
      );
      return rows.map(storedRow);
    },

    query: (filter, page) => queryRows(pool, filter, page),
    byCode: (code) => rowByCode(pool, code),
    byId: (id) => rowById(pool, id),

    ensurePartitions: (fromMs, untilMs) => ensureMonths(pool, fromMs, untilMs),
  };
}

async function append(client: Queryable, { log, unit, spoke, rows }: NewRows): Promise<StoreOutcome> {
  await client.query('INSERT INTO audit_logs (log, unit, spoke) VALUES ($1, $2, $3) ON CONFLICT (log) DO NOTHING', [
    log,
    unit,
    spoke,
  ]);
  const cursor = await client.query<{ next_index: number; unit: string; spoke: string }>(
    'SELECT next_index, unit, spoke FROM audit_logs WHERE log = $1 FOR UPDATE',
    [log],
  );
  const held = cursor.rows[0];
  const first = rows[0];
  if (held === undefined || first === undefined) throw new WeirError('internal', 'a batch needs a log and rows');
  if (held.unit !== unit || held.spoke !== spoke) throw new WeirError('forbidden', 'the log belongs to another spoke');
  const nextIndex = held.next_index;
  if (first.index > nextIndex) return { kind: 'gap', nextIndex };

  const known = rows.filter((row) => row.index < nextIndex);
  const fork = known.length === 0 ? undefined : await differing(client, log, known);
  if (fork !== undefined) return { kind: 'fork', nextIndex, index: fork };
  const fresh = rows.slice(known.length);
  if (fresh.length === 0) return { kind: 'stored', nextIndex, added: 0 };

  await insert(client, { log, unit, spoke, rows: fresh });
  const end = nextIndex + fresh.length;
  await client.query('UPDATE audit_logs SET next_index = $2, updated_at = now() WHERE log = $1', [log, end]);
  return { kind: 'stored', nextIndex: end, added: fresh.length };
}

/** Index of the first row whose stored bytes are not these, undefined when all agree. */
async function differing(client: Queryable, log: string, rows: readonly NewRow[]): Promise<number | undefined> {
  const stored = await client.query<{ index: number; row: Buffer }>(
    'SELECT index, row FROM audit_rows WHERE log = $1 AND index BETWEEN $2 AND $3',
    [log, rows[0]?.index, rows.at(-1)?.index],
  );
  const bytesOf = new Map(stored.rows.map((each) => [each.index, each.row]));
  return rows.find((row) => !(bytesOf.get(row.index)?.equals(row.bytes) ?? false))?.index;
}

async function insert(client: Queryable, { log, unit, spoke, rows }: NewRows): Promise<void> {
  await client.query({
    name: 'audit-insert',
    text: `INSERT INTO audit_rows (log, unit, spoke, index, event_time, actor, purl, level, rules, code, action, outcome, row, leaf)
      SELECT $1, $2, $3, r.index, to_timestamp(r.at / 1000.0), r.actor, r.purl, r.level, string_to_array(r.rules, ' '), r.code,
        r.action, r.outcome, r.row, sha256('\\x00'::bytea || r.row)
      FROM unnest($4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::smallint[], $9::text[], $10::text[], $11::text[],
        $12::text[], $13::bytea[]) AS r (index, at, actor, purl, level, rules, code, action, outcome, row)`,
    values: [
      log,
      unit,
      spoke,
      rows.map((row) => row.index),
      rows.map((row) => row.eventTimeMs),
      rows.map((row) => row.actor),
      rows.map((row) => row.purl),
      rows.map((row) => rank(row.level)),
      // Rule ids hold no space; an empty text becomes an empty array.
      rows.map((row) => row.rules.join(' ')),
      rows.map((row) => row.code),
      rows.map((row) => row.action),
      rows.map((row) => row.outcome),
      rows.map((row) => Buffer.from(row.bytes.buffer, row.bytes.byteOffset, row.bytes.byteLength)),
    ],
  });
}
