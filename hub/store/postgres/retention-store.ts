// Retention in Postgres: a month is a partition, and a partition goes at once, however many rows it has.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Month, MonthOfLog, RetentionStore } from '../retention-store.ts';
import { lockHeads } from './audit-heads.ts';
import { inTransaction, type Pool, type Queryable } from './pool.ts';
import { storeError } from './store-error.ts';

/** Queries that hold the table for longer are not waited for: the month goes in a later turn. */
const LOCK_TIMEOUT_MS = 5_000;

export function createRetentionStore(pool: Pool): RetentionStore {
  return {
    async months(untilMs) {
      const { rows } = await pool.query<{ name: string }>(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_rows'::regclass ORDER BY 1",
      );
      return rows
        .map(({ name }) => monthNamed(name))
        .filter((month) => month !== undefined)
        .filter((month) => month.untilMs <= untilMs);
    },

    // A month at rest is read through once, which may take longer than an ordinary statement may.
    contents: (month) => inTransaction(pool, (client) => contentsOf(client, month)),

    async remove(month, contents, below) {
      try {
        return await inTransaction(pool, async (client) => {
          await client.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
          const name = partitionOf(month);
          // Nobody may add to the month from here on; readers, and rows of other months, pass.
          await client.query(`LOCK TABLE ${name} IN EXCLUSIVE MODE`);
          if (!sameContents(contents, await contentsOf(client, month))) return false;
          const bounds = [[...below.keys()], [...below.values()]];
          await client.query(
            `CREATE TEMPORARY TABLE kept_rows ON COMMIT DROP AS SELECT kept.* FROM ${name} AS kept
             LEFT JOIN unnest($1::text[], $2::bigint[]) AS bound (log, below) ON bound.log = kept.log
             WHERE kept.index >= coalesce(bound.below, 0)`,
            bounds,
          );
          const { rows } = await client.query<{ log: string; last: number; rows: number }>(
            `SELECT gone.log, max(gone.index) AS last, count(*) AS rows FROM ${name} AS gone
             JOIN unnest($1::text[], $2::bigint[]) AS bound (log, below) ON bound.log = gone.log
             WHERE gone.index < bound.below GROUP BY gone.log`,
            bounds,
          );
          // What took its time is done: only the few rows that stay are still to be moved while everybody waits. Heads first,
          // as whoever adds rows does it.
          await lockHeads(
            client,
            rows.map(({ log }) => log),
          );
          await client.query('LOCK TABLE audit_rows IN ACCESS EXCLUSIVE MODE');
          await client.query(`ALTER TABLE audit_rows DETACH PARTITION ${name}`);
          await client.query('INSERT INTO audit_rows SELECT * FROM kept_rows');
          await client.query(
            `UPDATE audit_logs SET kept_from = gone.last + 1 FROM unnest($1::text[], $2::bigint[]) AS gone (log, last)
             WHERE audit_logs.log = gone.log AND kept_from <= gone.last`,
            [rows.map(({ log }) => log), rows.map(({ last }) => last)],
          );
          await client.query(`DROP TABLE ${name}`);
          await client.query(
            `INSERT INTO audit_removed_months AS held (month, rows) VALUES (to_timestamp($1::double precision / 1000), $2)
             ON CONFLICT (month) DO UPDATE SET rows = held.rows + excluded.rows, removed_at = now()`,
            [month.fromMs, rows.reduce((sum, gone) => sum + gone.rows, 0)],
          );
          return true;
        });
      } catch (thrown) {
        throw storeError(thrown);
      }
    },

    async removed() {
      const { rows } = await pool.query<{ month: Date; rows: number; removed_at: Date }>(
        'SELECT month, rows, removed_at FROM audit_removed_months ORDER BY month',
      );
      return rows.map((row) => ({
        fromMs: row.month.getTime(),
        untilMs: Date.UTC(row.month.getUTCFullYear(), row.month.getUTCMonth() + 1, 1),
        rows: row.rows,
        removedAtMs: row.removed_at.getTime(),
      }));
    },
  };
}

async function contentsOf(client: Queryable, month: Month): Promise<readonly MonthOfLog[]> {
  await client.query('SET LOCAL statement_timeout = 0');
  const { rows } = await client.query<{
    log: string;
    unit: string;
    first: number;
    last: number;
    rows: number;
    stored: Date;
  }>(
    `SELECT log, min(unit) AS unit, min(index) AS first, max(index) AS last, count(*) AS rows, max(stored_at) AS stored
     FROM ${partitionOf(month)} GROUP BY log ORDER BY log`,
  );
  return rows.map(({ stored, ...row }) => ({ ...row, storedMs: stored.getTime() }));
}

function sameContents(a: readonly MonthOfLog[], b: readonly MonthOfLog[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

const NAME = /^audit_rows_(\d{4})(\d{2})$/;

function monthNamed(name: string): Month | undefined {
  const [, year, month] = NAME.exec(name) ?? [];
  if (year === undefined || month === undefined) return undefined;
  return { fromMs: Date.UTC(Number(year), Number(month) - 1, 1), untilMs: Date.UTC(Number(year), Number(month), 1) };
}

/** Table of a month: digits that are made here, for DDL takes no parameters. */
function partitionOf({ fromMs }: Month): string {
  const name = `audit_rows_${new Date(fromMs).toISOString().slice(0, 7).replace('-', '')}`;
  if (!NAME.test(name)) throw new WeirError('invalid_argument', 'no such month');
  return name;
}
