import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { migrate, readMigrations } from '@weir/hub/store/postgres/migrate.ts';
import { createPool } from '@weir/hub/store/postgres/pool.ts';
import { quiet, testPostgres } from './database.ts';

const server = testPostgres();
const FOLDER = join(import.meta.dirname, '..', '..', 'hub', 'store', 'migrations');

test('an empty database gets every migration once, and a second run changes nothing', async () => {
  const pool = createPool({ url: await server.emptyDatabase(), logger: quiet });
  try {
    const all = (await readMigrations()).map((migration) => migration.name);
    assert.deepEqual(await migrate(pool), all);
    assert.deepEqual(await migrate(pool), []);
    const { rows } = await pool.query('SELECT name FROM schema_migrations ORDER BY version');
    assert.deepEqual(
      rows.map((row: { name: string }) => row.name),
      all,
    );
  } finally {
    await pool.end();
  }
});

test('hubs that start together migrate once between them', async () => {
  const url = await server.emptyDatabase();
  const pools = [1, 2, 3].map(() => createPool({ url, logger: quiet }));
  try {
    const applied = await Promise.all(pools.map((pool) => migrate(pool)));
    const all = (await readMigrations()).map((migration) => migration.name);
    assert.deepEqual(applied.flat(), all);
  } finally {
    await Promise.all(pools.map((pool) => pool.end()));
  }
});

test('a changed, an unknown and a failing migration are each refused, and leave nothing behind', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-migrations-'));
  const pool = createPool({ url: await server.emptyDatabase(), logger: quiet });
  try {
    await cp(FOLDER, folder, { recursive: true });
    await writeFile(join(folder, '9000_broken.sql'), 'CREATE TABLE half (a integer); SELECT nonsense;');
    await assert.rejects(migrate(pool, folder), /migration 9000_broken failed/);
    const { rows } = await pool.query("SELECT to_regclass('units') AS units, to_regclass('half') AS half");
    assert.deepEqual(rows, [{ units: null, half: null }]);

    await writeFile(join(folder, '9000_broken.sql'), 'CREATE TABLE whole (a integer);');
    await migrate(pool, folder);
    await writeFile(join(folder, '9000_broken.sql'), 'CREATE TABLE whole (a bigint);');
    await assert.rejects(migrate(pool, folder), /9000_broken has changed/);
    await assert.rejects(migrate(pool), /9000_broken, which this version of Weir does not know/);
  } finally {
    await pool.end();
    await rm(folder, { recursive: true, force: true });
  }
});
