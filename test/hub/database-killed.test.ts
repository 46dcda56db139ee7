// The embedded database's server killed outright: its lock file must not keep the next one from starting, and a hub that is
// in the middle of a transaction must live through it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startEmbeddedPostgres } from '@weir/hub/io/embedded-postgres.ts';
import { databaseAccount } from '@weir/hub/io/postgres-account.ts';
import { createPool, inTransaction } from '@weir/hub/store/postgres/pool.ts';
import { quiet } from './database.ts';

async function temporaryHome(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-killed-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'hub');
}

test('a lock file whose number now belongs to another program is no server', async (t) => {
  const home = await temporaryHome(t);
  const lock = join(home, 'postgres', 'postmaster.pid');
  const first = await startEmbeddedPostgres({ home, logger: quiet });
  const pool = createPool({ url: first.url, logger: quiet });
  await pool.query('CREATE TABLE kept (a integer)');
  await pool.end();
  const text = await readFile(lock, 'utf8');
  await first.stop();
  // Under the database's own account: PostgreSQL knows by itself that another account's process is not its server.
  const other = spawn('sleep', ['60'], { cwd: '/', stdio: 'ignore', ...(await databaseAccount()) });
  try {
    await writeFile(lock, text.replace(/^\d+/, String(other.pid)));
    const second = await startEmbeddedPostgres({ home, logger: quiet });
    const again = createPool({ url: second.url, logger: quiet });
    assert.equal((await again.query('SELECT count(*) AS n FROM kept')).rows[0]?.n, 0);
    await again.end();
    await second.stop();
  } finally {
    other.kill('SIGKILL');
    await once(other, 'exit');
  }
});

test('a server killed inside a transaction fails that transaction, not the process; the next server recovers', async (t) => {
  const home = await temporaryHome(t);
  const first = await startEmbeddedPostgres({ home, logger: quiet });
  const pool = createPool({ url: first.url, logger: quiet });
  await pool.query('CREATE TABLE kept (a integer)');
  await pool.query('INSERT INTO kept VALUES (1)');
  const pid = Number((await readFile(join(home, 'postgres', 'postmaster.pid'), 'utf8')).split('\n', 1)[0]);
  await assert.rejects(
    inTransaction(pool, async (client) => {
      await client.query('INSERT INTO kept VALUES (2)');
      const gone = new Promise<void>((resolve) => client.once('end', () => resolve()));
      process.kill(pid, 'SIGKILL');
      // Between two statements nobody waits for an answer that could carry the error.
      await gone;
      await client.query('INSERT INTO kept VALUES (3)');
    }),
  );
  await pool.end();
  const second = await startEmbeddedPostgres({ home, logger: quiet });
  assert.equal(second.adopted, false);
  const again = createPool({ url: second.url, logger: quiet });
  assert.deepEqual((await again.query('SELECT a FROM kept')).rows, [{ a: 1 }]);
  await again.end();
  await second.stop();
});
