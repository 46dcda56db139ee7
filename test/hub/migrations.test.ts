import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { migrate, readMigrations } from '@weir/hub/store/postgres/migrate.ts';
import { createPool } from '@weir/hub/store/postgres/pool.ts';
import { createAuditStore } from '@weir/hub/store/postgres/audit-store.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { hubLedger } from '../audit/hub-ledger.ts';
import { signingSpoke } from '../audit/signing-spoke.ts';
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

test('rows from before signed tree heads are kept with their leaf hashes, and nobody may extend their logs', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-migrations-'));
  const pool = createPool({ url: await server.emptyDatabase(), logger: quiet });
  try {
    for (const { name, version } of await readMigrations()) {
      if (version <= 10) await cp(join(FOLDER, `${name}.sql`), join(folder, `${name}.sql`));
    }
    await migrate(pool, folder);
    await pool.query(
      `INSERT INTO audit_rows (log, index, event_time, unit, spoke, actor, purl, level, rules, code, action, outcome, row)
       SELECT 'payments.edge-1.w0.old', n, now(), 'payments', 'edge-1', '', '', 0, '{}', '', 'install', 'served',
         convert_to('row ' || n, 'UTF8') FROM generate_series(0, 4) AS n;
       INSERT INTO audit_logs (log, unit, spoke, next_index) VALUES ('payments.edge-1.w0.old', 'payments', 'edge-1', 5)`,
    );
    await migrate(pool);
    const store = createAuditStore(pool);
    const rows = await store.rowsFrom('payments.edge-1.w0.old', 0, 10);
    assert.deepEqual(
      rows.map(({ index, leaf, flags }) => [index, leaf, flags]),
      Array.from({ length: 5 }, (_, n) => [n, leafHash(Buffer.from(`row ${n}`)), 0]),
    );
    const head = await store.head('payments.edge-1.w0.old');
    assert.deepEqual([head?.state, head?.reason, head?.nextIndex, head?.vkey], ['closed', 'retired', 5, '']);

    const spoke = signingSpoke();
    const hub = hubLedger(pool, [spoke]);
    const old = spoke.log({ epoch: 'old' });
    old.add(6);
    const { state, reason, nextIndex } = await hub.open(old);
    assert.deepEqual([state, reason, nextIndex], ['closed', 'retired', 5]);
    const answer = await hub.upload(old, 5);
    assert.equal(answer.kind === 'nack' && answer.code, 'unknown_key');
    assert.equal((await hub.open(spoke.log({ epoch: 'new' }))).state, 'open');
  } finally {
    await pool.end();
    await rm(folder, { recursive: true, force: true });
  }
});
