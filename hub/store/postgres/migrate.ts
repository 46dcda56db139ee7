// Brings a database to this version's schema: forward only, each file once, in one transaction, under one lock, so that
// replicas starting together wait for each other. A file that changed after it ran is refused.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hash } from 'node:crypto';
import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import { inTransaction, type Pool } from './pool.ts';

const FOLDER = join(import.meta.dirname, '..', 'migrations');
const FILE = /^(\d{4})_([a-z0-9_]+)\.sql$/;
/** Any constant; every hub uses the same one. */
const LOCK = 0x77656972;

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
}

/** Applies what is missing and names it, in order. */
export async function migrate(pool: Pool, folder: string = FOLDER): Promise<readonly string[]> {
  const migrations = await readMigrations(folder);
  return inTransaction(pool, async (client) => {
    await client.query('SET LOCAL statement_timeout = 0');
    await client.query('SELECT pg_advisory_xact_lock($1)', [LOCK]);
    await client.query(
      'CREATE TABLE IF NOT EXISTS schema_migrations (version integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())',
    );
    const { rows } = await client.query<{ version: number; name: string; sha256: string }>(
      'SELECT version, name, sha256 FROM schema_migrations ORDER BY version',
    );
    for (const done of rows) {
      const known = migrations.find((migration) => migration.version === done.version);
      if (known === undefined) {
        throw new WeirError(
          'conflict',
          `the database has migration ${done.name}, which this version of Weir does not know`,
          {
            next: 'run the version of Weir that wrote this database, or a newer one',
          },
        );
      }
      if (known.sha256 !== done.sha256) {
        throw new WeirError('conflict', `migration ${done.name} has changed since it was applied to this database`, {
          next: 'restore the file; a change to the schema is a new migration',
        });
      }
    }
    const applied: string[] = [];
    for (const migration of migrations) {
      if (rows.some((done) => done.version === migration.version)) continue;
      try {
        await client.query(migration.sql);
      } catch (cause) {
        throw new WeirError('internal', `migration ${migration.name} failed: ${describeThrown(cause)}`, { cause });
      }
      await client.query('INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)', [
        migration.version,
        migration.name,
        migration.sha256,
      ]);
      applied.push(migration.name);
    }
    return applied;
  });
}

/** The migrations of a folder by number. @throws WeirError when a name is not `NNNN_name.sql` or a number is used twice */
export async function readMigrations(folder: string = FOLDER): Promise<readonly Migration[]> {
  const migrations: Migration[] = [];
  for (const file of (await readdir(folder)).toSorted()) {
    const match = FILE.exec(file);
    if (match === null) throw new WeirError('corrupt', `${file} is not named NNNN_name.sql`);
    const version = Number(match[1]);
    if (migrations.some((migration) => migration.version === version)) {
      throw new WeirError('corrupt', `two migrations have the number ${match[1]}`);
    }
    const sql = await readFile(join(folder, file), 'utf8');
    migrations.push({ version, name: file.slice(0, -'.sql'.length), sql, sha256: hash('sha256', sql, 'hex') });
  }
  return migrations;
}
