// Monthly partitions of the audit table, made ahead. Rows that strayed into the default partition move into their month when
// it is made, so that a spoke with a fast clock never keeps a month from being made.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { type Pool, type Queryable, inTransaction } from './pool.ts';

/** Months that one call may make. */
const MONTHS_MAX = 1200;
/** Any constant; replicas making partitions wait for each other. */
const LOCK = 0x77656973;
/** Rows that arrive wait behind whoever waits for the default partition: rather try again later. */
const LOCK_TIMEOUT_MS = 3_000;

interface Month {
  readonly name: string;
  readonly from: string;
  readonly until: string;
}

/** Makes the months that overlap [fromMs, untilMs], as far as they are missing. */
export async function ensureMonths(pool: Pool, fromMs: number, untilMs: number): Promise<void> {
  const missing = await without(pool, months(fromMs, untilMs));
  for (const month of missing) {
    await inTransaction(pool, async (client) => {
      await client.query('SELECT pg_advisory_xact_lock($1)', [LOCK]);
      if ((await without(client, [month])).length === 1) await make(client, month);
    });
  }
}

/** First moments of the months that rows in the default partition belong to, oldest first. */
export async function strayMonths(client: Queryable): Promise<readonly number[]> {
  const { rows } = await client.query<{ month: Date }>(
    "SELECT DISTINCT date_trunc('month', event_time, 'UTC') AS month FROM audit_rows_default ORDER BY month",
  );
  return rows.map(({ month }) => month.getTime());
}

async function without(client: Queryable, wanted: readonly Month[]): Promise<readonly Month[]> {
  const { rows } = await client.query<{ name: string }>(
    'SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = $1::regclass',
    ['audit_rows'],
  );
  const made = new Set(rows.map((row) => row.name));
  return wanted.filter((month) => !made.has(month.name));
}

async function make(client: Queryable, { name, from, until }: Month): Promise<void> {
  // Names and bounds are digits that this file made; DDL takes no parameters.
  await client.query(`SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
  await client.query(
    `CREATE TABLE ${name} (LIKE audit_rows INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)`,
  );
  await client.query('LOCK TABLE audit_rows_default IN ACCESS EXCLUSIVE MODE');
  await client.query(
    `WITH strays AS (DELETE FROM audit_rows_default WHERE event_time >= '${from}' AND event_time < '${until}' RETURNING *)
     INSERT INTO ${name} SELECT * FROM strays`,
  );
  await client.query(`ALTER TABLE audit_rows ATTACH PARTITION ${name} FOR VALUES FROM ('${from}') TO ('${until}')`);
}

function months(fromMs: number, untilMs: number): readonly Month[] {
  const list: Month[] = [];
  const first = new Date(fromMs);
  for (let month = Date.UTC(first.getUTCFullYear(), first.getUTCMonth(), 1); month <= untilMs; ) {
    if (list.length >= MONTHS_MAX) throw new WeirError('invalid_argument', 'too many months of audit partitions');
    const start = new Date(month);
    const next = Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1, 1);
    const digits = start.toISOString().slice(0, 7).replace('-', '');
    list.push({ name: `audit_rows_${digits}`, from: start.toISOString(), until: new Date(next).toISOString() });
    month = next;
  }
  return list;
}
