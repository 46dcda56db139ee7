// A real PostgreSQL for the hub's tests: one server per test file, one empty or migrated database per test.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@weir/hub/io/embedded-postgres.ts';
import { migrate } from '@weir/hub/store/postgres/migrate.ts';
import { createPool, type Pool } from '@weir/hub/store/postgres/pool.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';

export const quiet: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => quiet,
};

export interface TestServer {
  /** URL of a new, empty database. */
  emptyDatabase(): Promise<string>;
  /** A pool on a new database with the current schema; closed at the end of the file. */
  migratedPool(): Promise<{ readonly pool: Pool; readonly url: string }>;
}

/** Registers the hooks that start the server before the file's tests and remove it after them. */
export function testPostgres(): TestServer {
  let folder = '';
  let server: EmbeddedPostgres | undefined;
  let count = 0;
  let template: string | undefined;
  const pools: Pool[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weir-hub-'));
    server = await startEmbeddedPostgres({
      home: join(folder, 'db'),
      logger: quiet,
      settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' },
    });
  });
  after(async () => {
    await Promise.all(pools.map((pool) => pool.end()));
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function createDatabase(from: string): Promise<string> {
    if (server === undefined) throw new Error('the server has not started');
    const admin = createPool({ url: server.url, logger: quiet, max: 1 });
    count += 1;
    const name = `test_${count}`;
    try {
      await admin.query(`CREATE DATABASE ${name} TEMPLATE ${from}`);
    } finally {
      await admin.end();
    }
    const url = new URL(server.url);
    url.pathname = `/${name}`;
    return url.href;
  }

  return {
    emptyDatabase: () => createDatabase('template1'),
    async migratedPool() {
      if (template === undefined) {
        const url = await createDatabase('template1');
        const pool = createPool({ url, logger: quiet, max: 1 });
        await migrate(pool);
        await pool.end();
        template = new URL(url).pathname.slice(1);
      }
      const url = await createDatabase(template);
      const pool = createPool({ url, logger: quiet });
      pools.push(pool);
      return { pool, url };
    },
  };
}
