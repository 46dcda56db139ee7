// Copying as an operator has it: a folder in the hub's configuration, and the hub that copies goes away and comes back.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { copiedLog } from '@weir/hub/audit/copied-log.ts';
import { hubConfigSchema } from '@weir/hub/config.ts';
import { createFolderTarget } from '@weir/hub/io/copy-folder.ts';
import { openCopyTargets } from '@weir/hub/io/copy-targets.ts';
import { loadOrCreateReceiptKey } from '@weir/hub/io/receipt-key.ts';
import { startHub } from '@weir/hub/main.ts';
import { createAuditStore } from '@weir/hub/store/postgres/audit-store.ts';
import { createCopyStore } from '@weir/hub/store/postgres/copy-store.ts';
import { createPool } from '@weir/hub/store/postgres/pool.ts';
import { parseVkey } from '@weir/shared/audit/tlog/note.ts';
import { verifyLog } from '@weir/shared/audit/verify-log.ts';
import { quiet, testPostgres } from '../hub/database.ts';
import { openUp } from './copy-ground.ts';
import { until } from './doubles.ts';
import { growLog, makeSigners, WORKSPACE } from './stored-log.ts';

const LOG = 'payments.edge-1.w0.e1';

const server = testPostgres();

test('a configured copy follows the logs, and goes on where it was', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-copy-hub-'));
  const copy = join(folder, 'copy');
  const url = await server.emptyDatabase();
  const config = hubConfigSchema.parse({
    federation: { port: 0 },
    join: { port: 0 },
    admin: { port: 0 },
    audit: { copy: { folder: copy, every_s: 1 } },
  });
  const start = (home: string) =>
    startHub({
      config,
      home: join(folder, home),
      logStream: { write: () => undefined },
      env: { ...process.env, DATABASE_URL: url },
    });
  const one = await start('one');
  const hub = await loadOrCreateReceiptKey(join(folder, 'one', 'receipt-key.pem'), WORKSPACE);
  const signers = { ...makeSigners(), hub, hubKey: parseVkey(hub.vkey) };
  const hubs = [one];
  const pool = createPool({ url, logger: quiet, max: 2 });
  try {
    const store = createAuditStore(pool);
    const copies = createCopyStore(pool);
    const target = await createFolderTarget(copy);
    const verified = async () => (await copies.position(target.name, LOG))?.verified;
    await growLog(store, signers, LOG, 600);
    await until(async () => (await verified()) === 600, 'the copy has the first rows');
    await hubs.shift()?.close();
    await growLog(store, signers, LOG, 100);
    hubs.push(await start('one'));
    await until(async () => (await verified()) === 700, 'the next leader goes on');
    const key = signers.logs.get(LOG);
    assert.ok(key !== undefined);
    const report = await verifyLog(copiedLog(target, LOG), { log: parseVkey(key.vkey), hub: signers.hubKey });
    assert.deepEqual([report.rows, report.fault], [700, null]);
  } finally {
    await pool.end();
    await Promise.all(hubs.map((each) => each.close()));
    await openUp(copy);
    await rm(folder, { recursive: true, force: true });
  }
});

test('retention without a copy is refused, and so are credentials that are none', async () => {
  assert.throws(() => hubConfigSchema.parse({ audit: { retention_days: 90 } }), /retention_days removes only/);
  const folder = await mkdtemp(join(tmpdir(), 'weir-copy-hub-'));
  const file = join(folder, 'credentials.json');
  const { copy } = hubConfigSchema.parse({
    audit: { copy: { s3: { endpoint: 'http://127.0.0.1:9', bucket: 'ledger', credentials_file: file } } },
  }).audit;
  const open = () => openCopyTargets(copy, { logger: quiet, nowMs: Date.now });
  try {
    await assert.rejects(open, /credentials_file does not exist/);
    await writeFile(file, 'secret');
    await assert.rejects(open, /credentials_file is not JSON/);
    await writeFile(file, '{"access_key_id":"a"}');
    await assert.rejects(open, /does not have access_key_id and secret_access_key/);
    await writeFile(file, '{"access_key_id":"a","secret_access_key":"b"}');
    assert.deepEqual(
      (await open()).map(({ name }) => name),
      ['s3:127.0.0.1:9/ledger/'],
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
