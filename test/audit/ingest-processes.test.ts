// Hubs as processes: several on one database, killed at any moment; and a database that is killed under them. Afterwards the
// ledger is what the spokes signed, row for row, and every receipt holds.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type CertificateAuthority, makeAuthority, openAuthority } from '@weir/hub/enrollment/certificate-authority.ts';
import { startEmbeddedPostgres } from '@weir/hub/io/embedded-postgres.ts';
import { systemRandom } from '@weir/hub/io/system-random.ts';
import { createAuditStore } from '@weir/hub/store/postgres/audit-store.ts';
import { migrate } from '@weir/hub/store/postgres/migrate.ts';
import { createPool } from '@weir/hub/store/postgres/pool.ts';
import { openReceipt } from '@weir/shared/audit/tlog/checkpoint.ts';
import { receiptKeyName } from '@weir/shared/audit/tlog/names.ts';
import { COSIGNATURE_V1, createNoteSigner, parseVkey, type Verifier } from '@weir/shared/audit/tlog/note.ts';
import type { UploadAnswer } from '@weir/shared/wire/audit.ts';
import { quiet, testPostgres } from '../hub/database.ts';
import { storedRows } from './hub-ledger.ts';
import type { HubProcessInput } from './hub-process.ts';
import { channelOf } from './mutual-tls.ts';
import { uploadAll } from './raw-upload.ts';
import { type SigningLog, signingSpoke, WORKSPACE } from './signing-spoke.ts';

const HUB = join(import.meta.dirname, 'hub-process.ts');
const server = testPostgres();
const spoke = signingSpoke();
let keys: Pick<HubProcessInput, 'ca' | 'receiptKey' | 'enrolled'>;
let authority: CertificateAuthority;
let receiptKey: Verifier;
const children = new Set<ChildProcess>();

before(async () => {
  const ca = await makeAuthority(WORKSPACE, Date.now(), systemRandom);
  authority = await openAuthority(WORKSPACE, ca, systemRandom);
  const { privateKey } = generateKeyPairSync('ed25519');
  receiptKey = parseVkey(createNoteSigner(receiptKeyName(WORKSPACE), privateKey, COSIGNATURE_V1).vkey);
  keys = {
    ca,
    receiptKey: privateKey.export({ format: 'pem', type: 'pkcs8' }),
    enrolled: { [`${spoke.unit}/${spoke.spoke}`]: spoke.publicKey.toString('hex') },
  };
});
after(() => Promise.all([...children].map(kill)));

interface Running {
  readonly child: ChildProcess;
  readonly port: number;
}

async function startHub(databaseUrl: string, port = 0): Promise<Running> {
  const child = spawn(process.execPath, [HUB], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.add(child);
  child.stdin?.end(JSON.stringify({ databaseUrl, port, ...keys } satisfies HubProcessInput));
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  return { child, port: Number(/port (\d+)/.exec(line.toString())?.[1]) };
}

async function kill(child: ChildProcess): Promise<void> {
  children.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

function receiptedIn(log: SigningLog, answer: UploadAnswer): number {
  assert.ok(answer.kind === 'ack');
  const { checkpoint } = openReceipt(answer.receipt, { log: log.key, hub: receiptKey });
  assert.deepEqual(checkpoint.root, log.root(checkpoint.size));
  return checkpoint.size;
}

function logsOf(count: number, rows: number): readonly SigningLog[] {
  return Array.from({ length: count }, (_, n) => {
    const log = spoke.log({ epoch: `e${n}` });
    log.add(rows);
    return log;
  });
}

test('two hub processes take the same logs at once, one of them killed again and again', async () => {
  const { pool, url } = await server.migratedPool();
  const store = createAuditStore(pool);
  const steady = await startHub(url);
  let shaky = await startHub(url);
  const channels = await Promise.all([
    channelOf(authority, spoke, steady.port),
    channelOf(authority, spoke, shaky.port),
  ]);
  const logs = logsOf(3, 600);
  try {
    const uploads = Promise.all(
      channels.flatMap((channel) => logs.map(async (log) => receiptedIn(log, await uploadAll(channel, log)))),
    );
    uploads.catch(() => undefined);
    for (let n = 0; n < 4; n += 1) {
      await new Promise((resolve) => setTimeout(resolve, 150));
      await kill(shaky.child);
      shaky = await startHub(url, shaky.port);
    }
    assert.deepEqual(await uploads, [600, 600, 600, 600, 600, 600]);
    for (const log of logs) assert.deepEqual(await storedRows(store, log.id), log.rows);
    const { rows } = await pool.query('SELECT kind, log, detail FROM audit_alarms');
    assert.deepEqual(rows, []);
  } finally {
    for (const channel of channels) channel.close();
    await Promise.all([steady, shaky].map(({ child }) => kill(child)));
  }
});

test('the database is killed while a hub stores, and comes back: nothing receipted is lost, nothing doubled', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-ingest-'));
  const home = join(folder, 'db');
  let database = await startEmbeddedPostgres({ home, logger: quiet });
  const pool = createPool({ url: database.url, logger: quiet });
  await migrate(pool);
  const store = createAuditStore(pool);
  const hub = await startHub(database.url);
  const channel = await channelOf(authority, spoke, hub.port);
  const logs = logsOf(2, 600);
  try {
    const uploads = Promise.all(logs.map((log) => uploadAll(channel, log)));
    uploads.catch(() => undefined);
    for (let n = 0; n < 2; n += 1) {
      await new Promise((resolve) => setTimeout(resolve, 150));
      const pid = Number((await readFile(join(home, 'postgres', 'postmaster.pid'), 'utf8')).split('\n', 1)[0]);
      process.kill(pid, 'SIGKILL');
      database = await restarted(home);
    }
    const answers = await uploads;
    for (const [n, log] of logs.entries()) {
      const answer = answers[n];
      assert.ok(answer !== undefined);
      assert.equal(receiptedIn(log, answer), 600);
      assert.deepEqual(await storedRows(store, log.id), log.rows);
    }
  } finally {
    channel.close();
    await kill(hub.child);
    await pool.end();
    await database.stop();
    await rm(folder, { recursive: true, force: true });
  }
});

/** The same server again; its children need a moment to notice that it was killed. */
async function restarted(home: string): ReturnType<typeof startEmbeddedPostgres> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startEmbeddedPostgres({ home, logger: quiet });
    } catch (thrown) {
      if (attempt === 20) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}
