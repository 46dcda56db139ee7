// Rows in Postgres. A batch is one transaction that holds its log's cursor row: two hubs that get the same batch store it
// once, and rows and cursor move together or not at all.

import { LEVELS, rank } from '@weir/shared/domain/level.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { AuditStore, NewRow, NewRows, RowFilter, StoreOutcome, StoredRow } from '../audit-store.ts';
import { cutPage, decodeCursor } from '../page.ts';
import { ensureMonths } from './audit-partitions.ts';
import { type Pool, type Queryable, inTransaction } from './pool.ts';

interface Row {
  readonly log: string;
  readonly index: number;
  readonly row: Buffer;
  readonly stored_at: Date;
}

const COLUMNS = 'log, index, row, stored_at';

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
      const { rows } = await pool.query<Row>(
        `SELECT ${COLUMNS} FROM audit_rows WHERE log = $1 AND index >= $2 ORDER BY index LIMIT $3`,
        [log, index, limit],
      );
      return rows.map(storedRow);
    },

    async query(filter, { size, cursor, oldestFirst }) {
      const after = decodeCursor(cursor, ['string', 'string', 'number']);
      const { conditions, values } = where(filter);
      if (after !== undefined) {
        values.push(...after);
        const [time, log, index] = [values.length - 2, values.length - 1, values.length];
        conditions.push(
          `(event_time, log, index) ${oldestFirst ? '>' : '<'} ($${time}::timestamptz, $${log}::text, $${index}::bigint)`,
        );
      }
      values.push(size + 1);
      const order = oldestFirst ? 'ASC' : 'DESC';
      const { rows } = await pool.query<Row & { readonly at: Date }>(
        `SELECT ${COLUMNS}, event_time AS at FROM audit_rows
         ${conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`}
         ORDER BY event_time ${order}, log ${order}, index ${order} LIMIT $${values.length}`,
        values,
      );
      const page = cutPage(rows, size, (last) => [last.at.toISOString(), last.log, last.index]);
      return { rows: page.items.map(storedRow), nextCursor: page.nextCursor };
    },

    async byCode(code) {
      if (code === '') return undefined;
      const { rows } = await pool.query<Row>(
        `SELECT ${COLUMNS} FROM audit_rows WHERE code = $1 AND code <> '' ORDER BY event_time DESC LIMIT 1`,
        [code],
      );
      return rows[0] === undefined ? undefined : storedRow(rows[0]);
    },

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

function where(filter: RowFilter): { readonly conditions: string[]; readonly values: unknown[] } {
  const conditions: string[] = [];
  const values: unknown[] = [];
  const add = (condition: (place: string) => string, value: unknown): void => {
    values.push(value);
    conditions.push(condition(`$${values.length}`));
  };
  for (const column of ['unit', 'spoke', 'actor', 'code', 'log', 'action'] as const) {
    const value = filter[column];
    if (value !== undefined) add((place) => `${column} = ${place}`, value);
  }
  if (filter.purl?.endsWith('*') === true) {
    const prefix = filter.purl.slice(0, -1);
    add((place) => `purl >= ${place}`, prefix);
    // Purls are printable ASCII compared byte by byte: the next character after '~' ends every continuation.
    add((place) => `purl < ${place}`, `${prefix}\u007f`);
  } else if (filter.purl !== undefined) {
    add((place) => `purl = ${place}`, filter.purl);
  }
  if (filter.level !== undefined) add((place) => `level = ${place}`, LEVELS.indexOf(filter.level));
  if (filter.rule !== undefined) add((place) => `${place} = ANY (rules)`, filter.rule);
  if (filter.fromMs !== undefined) add((place) => `event_time >= ${place}`, new Date(filter.fromMs));
  if (filter.untilMs !== undefined) add((place) => `event_time < ${place}`, new Date(filter.untilMs));
  return { conditions, values };
}

function storedRow(row: Row): StoredRow {
  return { log: row.log, index: row.index, bytes: row.row, storedAtMs: row.stored_at.getTime() };
}
