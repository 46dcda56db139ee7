// Questions over stored rows. Every statement is unnamed, so that it is planned for the values it is asked with: a rule that
// half of the rows have and one that five have need different plans, and a plan kept for both would be wrong for one.
//
// No index serves every pair of filters: a unit's rows and a rule's rows may be many each and have none in common. So a page
// is looked for in windows that grow from its beginning while they are quick, and it ends early, with a cursor, when looking
// further would take long.

import { performance } from 'node:perf_hooks';
import { LEVELS } from '@weir/shared/domain/level.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { RowFilter, RowPage, StoredRow } from '../audit-store.ts';
import { type CursorPart, decodeCursor, encodeCursor, type PageRequest } from '../page.ts';
import { type Queryable, sqlState } from './pool.ts';
import { ROW_COLUMNS, type StoredColumns, storedRow } from './stored-row.ts';

export const QUERY_LIMITS = {
  /** A page ends when looking for its rows has taken this long; the window under way is finished first. */
  searchMs: 50,
  /** What one window should take; the next is made wider or narrower for it. */
  windowMs: 20,
  /** How many times wider than the one before a window may be. */
  growth: 16,
} as const;

/** A row's id begins with the time at which it was made; what it claims as its time may differ by this. */
const ID_TIME_SLACK_MS = 5_000;
/** Wider than any ledger: about three hundred years of milliseconds. */
const SPAN_MAX = 1e13;
/** Rows have years of four digits, and no other is read back from a cursor; a window may reach beyond. */
const TIME_MIN_MS = Date.parse('0001-01-01T00:00:00.000Z');
const TIME_MAX_MS = Date.UTC(10_000) - 1;
const QUERY_CANCELED = '57014';

/** What rows are sorted by first: the time they claim, and within one log its own order, whatever its clock did. */
interface Order {
  readonly key: 'event_time' | 'index';
  /** All sort columns, with what their parameters are cast to. */
  readonly columns: string;
  /** First window: a minute of event time, or so many rows of a log. */
  readonly span: number;
  /** Of the parts of a cursor: one for each sort column. */
  readonly kinds: readonly ('string' | 'number')[];
  /** A bound of the key as a parameter. */
  value(bound: number): Date | number;
  cursorOf(row: StoredColumns): readonly CursorPart[];
  /** Cursor after which come all rows with a key from `bound` on (ascending), or below it (descending). */
  cursorAt(bound: number, ascending: boolean): readonly CursorPart[];
}

const BY_TIME: Order = {
  key: 'event_time',
  columns: 'event_time, log, index',
  span: 60_000,
  kinds: ['string', 'string', 'number'],
  value: (bound) => new Date(bound),
  cursorOf: (row) => [row.event_time.toISOString(), row.log, row.index],
  cursorAt: (bound) => [new Date(Math.min(Math.max(bound, TIME_MIN_MS), TIME_MAX_MS)).toISOString(), '', -1],
};

const BY_INDEX: Order = {
  key: 'index',
  columns: 'index',
  span: 4_096,
  kinds: ['number'],
  value: (bound) => bound,
  cursorOf: (row) => [row.index],
  cursorAt: (bound, ascending) => [ascending ? bound - 1 : bound],
};

export async function queryRows(
  database: Queryable,
  filter: RowFilter,
  page: PageRequest & { readonly oldestFirst: boolean },
): Promise<RowPage> {
  try {
    return await search(database, filter, page);
  } catch (thrown) {
    if (sqlState(thrown) !== QUERY_CANCELED) throw thrown;
    throw new WeirError('timeout', 'the database took too long over this question', {
      cause: thrown,
      retry: 'later',
      next: 'ask for a shorter time (--from, --until) or add a filter: unit, spoke, log or actor narrow it most',
    });
  }
}

async function search(
  database: Queryable,
  filter: RowFilter,
  { size, cursor, oldestFirst: ascending }: PageRequest & { readonly oldestFirst: boolean },
): Promise<RowPage> {
  const order = filter.log === undefined ? BY_TIME : BY_INDEX;
  const [width, ...after] = decodeCursor(cursor, ['number', ...order.kinds]) ?? [order.span];
  if (!after.every(isKey)) throw new WeirError('invalid_argument', 'the page cursor is not one of ours');
  const behind = (conditions: Conditions): Conditions =>
    after.length === 0
      ? conditions
      : and(conditions, (...places) => `(${order.columns}) ${ascending ? '>' : '<'} (${places.join(', ')})`, ...after);
  const matching = behind(await conditionsOf(database, filter));
  const existing = behind(boundsOf(filter));
  const direction = ascending ? 'ASC' : 'DESC';

  const found: StoredColumns[] = [];
  const started = performance.now();
  // Every row before this key, in the order asked for, has been looked at.
  let reached: number | undefined;
  // What a statement takes that finds nothing to do: on a busy machine most of a small window's time.
  let idleMs = 0;
  for (let span = spanOf(order, width), empty = true; ; ) {
    if (empty) {
      const probed = performance.now();
      // Windows begin where there are rows at all, and not in a hole of a week or of years.
      const left =
        reached === undefined
          ? existing
          : and(existing, (place) => beyond(order, place, ascending), order.value(reached));
      const edge = await firstKey(database, { order, conditions: left, direction });
      idleMs = performance.now() - probed;
      if (edge === undefined) return { rows: found.map(storedRow), nextCursor: '' };
      reached = ascending ? edge : edge + 1;
    }
    const near: number = reached ?? 0;
    reached = ascending ? near + span : near - span;
    const window = and(
      matching,
      (low, high) => `${order.key} >= ${low} AND ${order.key} < ${high}`,
      order.value(Math.min(near, reached)),
      order.value(Math.max(near, reached)),
    );
    const asked = performance.now();
    const rows = await rowsWithin(database, { order, conditions: window, direction, limit: size + 1 - found.length });
    found.push(...rows);
    if (found.length > size) {
      const kept = found.slice(0, size);
      const last = kept.at(-1);
      return {
        rows: kept.map(storedRow),
        nextCursor: last === undefined ? '' : encodeCursor([span, ...order.cursorOf(last)]),
      };
    }
    const now = performance.now();
    if (now - started > QUERY_LIMITS.searchMs) {
      return { rows: found.map(storedRow), nextCursor: encodeCursor([span, ...order.cursorAt(reached, ascending)]) };
    }
    empty = rows.length === 0;
    const factor = QUERY_LIMITS.windowMs / Math.max(now - asked - idleMs, 0.5);
    const next = span * Math.min(QUERY_LIMITS.growth, Math.max(1 / QUERY_LIMITS.growth, factor));
    span = Math.min(SPAN_MAX, Math.max(1, Math.round(next)));
  }
}
/** A part of a cursor that the database can read: the first text is a time, and numbers are whole. */
function isKey(part: CursorPart, at: number): boolean {
  if (typeof part === 'number') return Number.isSafeInteger(part);
  return at > 0 ? !part.includes('\0') : isTime(part);
}

function isTime(text: string): boolean {
  const ms = Date.parse(text);
  return ms >= TIME_MIN_MS && ms <= TIME_MAX_MS && new Date(ms).toISOString() === text;
}

/** How wide the window was that ended a page: the next page need not begin small again. */
function spanOf({ span }: Order, width: CursorPart | undefined): number {
  return typeof width === 'number' && Number.isSafeInteger(width) && width > 0 ? Math.min(width, SPAN_MAX) : span;
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

interface Conditions {
  readonly texts: readonly string[];
  readonly values: readonly unknown[];
}

const NO_CONDITIONS: Conditions = { texts: [], values: [] };

/** One condition more; `text` is given the places of its values. */
function and({ texts, values }: Conditions, text: (...places: string[]) => string, ...more: unknown[]): Conditions {
  const places = more.map((_, at) => `$${values.length + at + 1}`);
  return { texts: [...texts, text(...places)], values: [...values, ...more] };
}

function whereText({ texts }: Conditions): string {
  return texts.length === 0 ? '' : `WHERE ${texts.join(' AND ')}`;
}

/** Claimed times are the whole filter's part that every row has an index for. */
function boundsOf({ log, fromMs, untilMs }: RowFilter): Conditions {
  let conditions = NO_CONDITIONS;
  if (log !== undefined) conditions = and(conditions, (place) => `log = ${place}`, log);
  if (fromMs !== undefined) conditions = and(conditions, (place) => `event_time >= ${place}`, new Date(fromMs));
  if (untilMs !== undefined) conditions = and(conditions, (place) => `event_time < ${place}`, new Date(untilMs));
  return conditions;
}

async function conditionsOf(database: Queryable, filter: RowFilter): Promise<Conditions> {
  let conditions = boundsOf(filter);
  const unit = filter.unit ?? (filter.spoke === undefined ? undefined : await onlyUnitOf(database, filter.spoke));
  for (const [column, value] of Object.entries({
    unit,
    spoke: filter.spoke,
    code: filter.code,
    action: filter.action,
    outcome: filter.outcome,
  })) {
    if (value !== undefined) conditions = and(conditions, (place) => `${column} = ${place}`, value);
  }
  const { actors, purl, level, rule } = filter;
  if (actors?.length === 1) conditions = and(conditions, (place) => `actor = ${place} AND actor <> ''`, actors[0]);
  else if (actors !== undefined) conditions = and(conditions, (place) => `actor = ANY (${place}::text[])`, actors);
  if (purl?.endsWith('*') === true) {
    const prefix = purl.slice(0, -1);
    // Purls are printable ASCII compared byte by byte: the next character after '~' ends every continuation.
    conditions = and(conditions, (from, end) => `purl >= ${from} AND purl < ${end}`, prefix, `${prefix}\u007f`);
  } else if (purl !== undefined) {
    conditions = and(conditions, (place) => `purl = ${place}`, purl);
  }
  if (level !== undefined) conditions = and(conditions, (place) => `level = ${place}`, LEVELS.indexOf(level));
  // The second half is implied by the first, and opens the indexes over rows that have rules.
  if (rule !== undefined)
    conditions = and(conditions, (place) => `rules @> ARRAY[${place}::text] AND rules <> '{}'`, rule);
  return conditions;
}

/** Most spokes' names are in one unit alone, and rows are indexed by both; undefined when several units have one. */
async function onlyUnitOf(database: Queryable, spoke: string): Promise<string | undefined> {
  const { rows } = await database.query<{ unit: string }>(
    'SELECT DISTINCT unit FROM audit_logs WHERE spoke = $1 LIMIT 2',
    [spoke],
  );
  return rows.length === 1 ? rows[0]?.unit : undefined;
}

/** Where a window that follows `place` may begin. */
function beyond({ key }: Order, place: string, ascending: boolean): string {
  return `${key} ${ascending ? '>=' : '<'} ${place}`;
}

interface Search {
  readonly order: Order;
  readonly conditions: Conditions;
  readonly direction: 'ASC' | 'DESC';
}

/** Key of the first row that there is, whatever else a filter asks of it. */
async function firstKey(database: Queryable, { order, conditions, direction }: Search): Promise<number | undefined> {
  const { rows } = await database.query<{ key: Date | number }>(
    `SELECT ${order.key} AS key FROM audit_rows ${whereText(conditions)} ORDER BY ${order.key} ${direction} LIMIT 1`,
    [...conditions.values],
  );
  return rows[0] === undefined ? undefined : Number(rows[0].key);
}

async function rowsWithin(
  database: Queryable,
  { order, conditions, direction, limit }: Search & { readonly limit: number },
): Promise<readonly StoredColumns[]> {
  const sorted = order.columns.replaceAll(',', ` ${direction},`);
  const { rows } = await database.query<StoredColumns>(
    `SELECT ${ROW_COLUMNS} FROM audit_rows ${whereText(conditions)} ORDER BY ${sorted} ${direction}
     LIMIT $${conditions.values.length + 1}`,
    [...conditions.values, limit],
  );
  return rows;
}
