// Questions over stored rows. Every statement is unnamed, so that it is planned for the values it is asked with: a rule that
// half of the rows have and one that five have need different plans, and a plan kept for both would be wrong for one.

import { LEVELS } from '@weir/shared/domain/level.ts';
import type { RowFilter, RowPage, StoredRow } from '../audit-store.ts';
import { cutPage, decodeCursor, type PageRequest } from '../page.ts';
import type { Queryable } from './pool.ts';
import { ROW_COLUMNS, type StoredColumns, storedRow } from './stored-row.ts';

/** A row's id begins with the time at which it was made; what it claims as its time may differ by this. */
const ID_TIME_SLACK_MS = 5_000;

export async function queryRows(
  database: Queryable,
  filter: RowFilter,
  { size, cursor, oldestFirst }: PageRequest & { readonly oldestFirst: boolean },
): Promise<RowPage> {
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
  const { rows } = await database.query<StoredColumns>(
    `SELECT ${ROW_COLUMNS} FROM audit_rows
     ${conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`}
     ORDER BY event_time ${order}, log ${order}, index ${order} LIMIT $${values.length}`,
    values,
  );
  const page = cutPage(rows, size, (last) => [last.event_time.toISOString(), last.log, last.index]);
  return { rows: page.items.map(storedRow), nextCursor: page.nextCursor };
}

/** The newest row with this request code. */
export async function rowByCode(database: Queryable, code: string): Promise<StoredRow | undefined> {
  if (code === '') return undefined;
  const { rows } = await database.query<StoredColumns>(
    `SELECT ${ROW_COLUMNS} FROM audit_rows WHERE code = $1 AND code <> '' ORDER BY event_time DESC LIMIT 1`,
    [code],
  );
  return rows[0] === undefined ? undefined : storedRow(rows[0]);
}

/** The row with this UUIDv7, looked for about the time that the id itself tells. */
export async function rowById(database: Queryable, id: string): Promise<StoredRow | undefined> {
  const madeAtMs = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
  const { rows } = await database.query<StoredColumns>(
    `SELECT ${ROW_COLUMNS} FROM audit_rows
     WHERE event_time BETWEEN $1 AND $2 AND position($3::bytea IN row) > 0 ORDER BY event_time DESC, log, index LIMIT 1`,
    [new Date(madeAtMs - ID_TIME_SLACK_MS), new Date(madeAtMs + ID_TIME_SLACK_MS), Buffer.from(`"id":"${id}"`)],
  );
  return rows[0] === undefined ? undefined : storedRow(rows[0]);
}

function where(filter: RowFilter): { readonly conditions: string[]; readonly values: unknown[] } {
  const conditions: string[] = [];
  const values: unknown[] = [];
  const add = (condition: (place: string) => string, value: unknown): void => {
    values.push(value);
    conditions.push(condition(`$${values.length}`));
  };
  for (const column of ['unit', 'spoke', 'actor', 'code', 'log', 'action', 'outcome'] as const) {
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
  // The second half is implied by the first, and opens the indexes over rows that have rules.
  if (filter.rule !== undefined) add((place) => `rules @> ARRAY[${place}::text] AND rules <> '{}'`, filter.rule);
  if (filter.fromMs !== undefined) add((place) => `event_time >= ${place}`, new Date(filter.fromMs));
  if (filter.untilMs !== undefined) add((place) => `event_time < ${place}`, new Date(filter.untilMs));
  return { conditions, values };
}
