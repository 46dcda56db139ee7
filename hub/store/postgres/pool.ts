// Connections to Postgres, and the two ways they are used: one statement, or one short transaction.

import { type ClientBase, Pool as PgPool, type PoolClient, TypeOverrides, types as pgTypes } from 'pg';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';

export type Pool = PgPool;
/** Anything that runs a statement: the pool itself or a client inside a transaction. */
export type Queryable = Pick<ClientBase, 'query'>;

const CONNECTIONS_MAX = 16;
const CONNECT_TIMEOUT_MS = 10_000;
const STATEMENT_TIMEOUT_MS = 30_000;

/** Opens no connection yet. `int8` values are numbers, and an error beyond 2^53. */
export function createPool(options: { readonly url: string; readonly logger: Logger; readonly max?: number }): Pool {
  const types = new TypeOverrides();
  types.setTypeParser(pgTypes.builtins.INT8, parseSafeInteger);
  const pool = new PgPool({
    connectionString: options.url,
    max: options.max ?? CONNECTIONS_MAX,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    application_name: 'weir-hub',
    types,
  });
  // An idle connection that breaks is replaced at the next use; without a listener it would end the process.
  pool.on('error', (error) => {
    if (!pool.ending) options.logger.warn({ error: error.message }, 'an idle database connection broke');
  });
  // The same between two statements of a transaction: the next one tells the failure.
  pool.on('connect', (client) =>
    client.on('error', (error) => options.logger.debug({ error: error.message }, 'a database connection broke')),
  );
  return pool;
}

function parseSafeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new WeirError('corrupt', 'an integer of the database does not fit');
  return value;
}

/** Runs `work` in one transaction: committed when it resolves, rolled back when it throws. */
export async function inTransaction<Result>(
  pool: Pool,
  work: (client: PoolClient) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('BEGIN');
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (thrown) {
    await client.query('ROLLBACK').catch((error: unknown) => {
      broken = error instanceof Error ? error : new Error('rollback failed');
    });
    throw thrown;
  } finally {
    client.release(broken);
  }
}

/** SQLSTATE of a thrown database error, '' for anything else. */
export function sqlState(thrown: unknown): string {
  const { code } = thrown as { code?: unknown };
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : '';
}

export const UNIQUE_VIOLATION = '23505';
export const FOREIGN_KEY_VIOLATION = '23503';
