import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startEmbeddedPostgres } from '@weir/hub/io/embedded-postgres.ts';
import { systemClock } from '@weir/hub/io/system-clock.ts';
import { createPool } from '@weir/hub/store/postgres/pool.ts';
import { quiet } from './database.ts';

const WEIR = join(import.meta.dirname, '..', '..', 'weir.ts');

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-embedded-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('a database is made once, keeps what was written, and its password is private', async (t) => {
  const home = join(await temporaryFolder(t), 'hub');
  const first = await startEmbeddedPostgres({ home, logger: quiet });
  const pool = createPool({ url: first.url, logger: quiet });
  await pool.query('CREATE TABLE kept (a integer)');
  await pool.query('INSERT INTO kept VALUES (7)');
  await pool.end();
  await first.stop();
  assert.equal((await stat(join(home, 'postgres.json'))).mode & 0o777, 0o600);

  const second = await startEmbeddedPostgres({ home, logger: quiet });
  assert.deepEqual([second.adopted, second.port], [false, first.port], 'the port is remembered');
  const again = createPool({ url: second.url, logger: quiet });
  const { rows } = await again.query('SELECT a FROM kept');
  await again.end();
  await second.stop();
  assert.deepEqual(rows, [{ a: 7 }]);
});

test('an initialisation that was cut short is begun again', async (t) => {
  const home = join(await temporaryFolder(t), 'hub');
  await mkdir(join(home, 'postgres.new', 'base'), { recursive: true });
  await writeFile(
    join(home, 'postgres.json'),
    JSON.stringify({ port: 0, password: 'never used', data: join(home, 'postgres') }),
  );
  const server = await startEmbeddedPostgres({ home, logger: quiet });
  await server.stop();
});

test('a damaged data folder and a lost password are refused; nothing is deleted', async (t) => {
  const home = join(await temporaryFolder(t), 'hub');
  const server = await startEmbeddedPostgres({ home, logger: quiet });
  await server.stop();
  await rename(join(home, 'postgres.json'), join(home, 'kept.json'));
  await assert.rejects(startEmbeddedPostgres({ home, logger: quiet }), /password is unknown/);
  await rename(join(home, 'kept.json'), join(home, 'postgres.json'));
  await rm(join(home, 'postgres', 'PG_VERSION'));
  await assert.rejects(startEmbeddedPostgres({ home, logger: quiet }), /not a whole database/);
  assert.ok((await stat(join(home, 'postgres', 'base'))).isDirectory());
});

test('a home that is a file, and one below a file, are refused in one sentence', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'file');
  await writeFile(file, '');
  for (const home of [file, join(file, 'below')]) {
    await assert.rejects(startEmbeddedPostgres({ home, logger: quiet }), { name: 'WeirError' });
  }
});

test('a hub killed outright leaves its database running, and the next hub takes it over with everything in it', async (t) => {
  const folder = await temporaryFolder(t);
  const home = join(folder, 'hub');
  const env = { ...process.env, WEIR_HOME: folder, DATABASE_URL: '', WEIR_HUB: '' };

  async function startHub(): Promise<{ readonly process: ChildProcess; readonly url: string }> {
    const child = spawn(
      process.execPath,
      [WEIR, 'hub', 'run', '--admin-port', '0', '--federation-port', '0', '--join-port', '0'],
      { env, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let said = '';
    for await (const chunk of child.stderr) {
      said += String(chunk);
      const url = /admin (http:\S+),/.exec(said)?.[1];
      if (url !== undefined) return { process: child, url };
    }
    throw new Error(`the hub did not start: ${said}`);
  }
  const create = async (url: string, name: string): Promise<number> => {
    const token = (await readFile(join(home, 'operator-token'), 'utf8')).trim();
    const response = await fetch(`${url}/weir.console.v1.UnitService/CreateUnit`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ name }),
    });
    await response.arrayBuffer();
    return response.status;
  };
  const databasePid = async (): Promise<number> =>
    Number((await readFile(join(home, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0]);

  const first = await startHub();
  assert.equal(await create(first.url, 'payments'), 200);
  const pid = await databasePid();
  const killed = exited(first.process);
  first.process.kill('SIGKILL');
  await killed;
  process.kill(pid, 0);

  const second = await startHub();
  assert.equal(await databasePid(), pid, 'the same server goes on');
  assert.equal(await create(second.url, 'payments'), 400, 'the unit is still there');
  assert.equal(await create(second.url, 'research'), 200);
  const stopped = exited(second.process);
  second.process.kill('SIGINT');
  assert.equal(await stopped, 0);
  for (let tries = 0; tries < 100; tries += 1) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await systemClock.sleep(20);
  }
  assert.fail('the database outlived a hub that was stopped in order');
});

function exited(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('exit', (code) => resolve(code)));
}
