// The write-once copy in a real S3 server: locks that hold, tampering that is found, a bucket without locks that is refused.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { S3mini } from 's3mini';
import { copiedLog } from '@weir/hub/audit/copied-log.ts';
import { copyLog } from '@weir/hub/audit/copy-job.ts';
import type { CopyTarget } from '@weir/hub/audit/copy-target.ts';
import { createBucketTarget } from '@weir/hub/io/copy-bucket.ts';
import { parseVkey } from '@weir/shared/audit/tlog/note.ts';
import { verifyLog } from '@weir/shared/audit/verify-log.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import { quiet, testPostgres } from '../hub/database.ts';
import { type S3Server, startS3Server } from '../upstreams/versitygw.ts';
import { copy, copyParts, ledgerOf, restoreAll, startHub } from './copy-ground.ts';
import { growLog } from './stored-log.ts';

const LOG = 'payments.edge-1.w0.e1';
const BUCKET = 'ledger';
const PREFIX = 'audit/';

const server = testPostgres();

interface Ground {
  readonly client: S3mini;
  readonly target: CopyTarget;
  /** The same for a bucket that need not have locks; what it says loudly is in `loud`. */
  readonly lenient: CopyTarget;
  readonly loud: string[];
}

async function ground(t: TestContext, options: { readonly lock: boolean }): Promise<Ground | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-s3-'));
  const s3 = await startS3Server(t, folder);
  t.after(async () => {
    await s3?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });
  if (s3 === undefined) return undefined;
  const client = await s3.bucket(BUCKET, options);
  const loud: string[] = [];
  const logger: Logger = { ...quiet, error: (_, message) => loud.push(message) };
  return { client, target: bucketOf(s3), lenient: bucketOf(s3, { allowUnlocked: true, logger }), loud };
}

function bucketOf(
  service: Pick<S3Server, 'endpoint' | 'region' | 'credentials'>,
  change: { readonly allowUnlocked?: boolean; readonly logger?: Logger } = {},
): CopyTarget {
  return createBucketTarget({
    endpoint: service.endpoint,
    bucket: BUCKET,
    region: service.region,
    prefix: PREFIX,
    credentials: service.credentials,
    lockDays: 30,
    allowUnlocked: false,
    logger: quiet,
    nowMs: Date.now,
    ...change,
  });
}

test('a log in a bucket: verified, restored, and its objects cannot be deleted', { timeout: 700_000 }, async (t) => {
  const at = await ground(t, { lock: true });
  if (at === undefined) return;
  const { client, target } = at;
  const hub = await startHub(server);
  await growLog(hub.store, hub.signers, LOG, 600);
  await copy(hub, target);
  await growLog(hub.store, hub.signers, LOG, 200);
  await copy(hub, target);
  const key = hub.signers.logs.get(LOG);
  assert.ok(key !== undefined);
  const report = await verifyLog(copiedLog(target, LOG), { log: parseVkey(key.vkey), hub: hub.signers.hubKey });
  assert.deepEqual([report.rows, report.fault], [800, null]);
  assert.deepEqual(await target.list('logs'), [LOG]);

  for (const object of ['tile/entries/000', 'tile/entries/002', 'tile/0/002', 'receipts/600', 'vkey', 'binding']) {
    const name = `${PREFIX}logs/${LOG}/${object}`;
    const versions = await client.listObjectVersions(name);
    assert.equal(versions?.length, 1, object);
    const versionId = versions?.[0]?.VersionId ?? '';
    await assert.rejects(client.deleteObject({ key: name, versionId }), /AccessDenied/, object);
    const retention = await client.getObjectRaw(name, true, 0, undefined, { retention: '' });
    assert.match(await retention.text(), /<Mode>COMPLIANCE<\/Mode>/);
  }
  // What still grows is not locked.
  const checkpoint = `${PREFIX}logs/${LOG}/checkpoint`;
  await assert.rejects(client.getObjectRaw(checkpoint, true, 0, undefined, { retention: '' }));

  const empty = await startHub(server, hub.signers);
  await restoreAll(empty, [target]);
  assert.deepEqual(await ledgerOf(empty), await ledgerOf(hub));
});

test('what somebody wrote over or marked as deleted is found, and restored from under it', {
  timeout: 700_000,
}, async (t) => {
  const at = await ground(t, { lock: true });
  if (at === undefined) return;
  const { client, target } = at;
  const hub = await startHub(server);
  await growLog(hub.store, hub.signers, LOG, 600);
  await copy(hub, target);
  const object = `logs/${LOG}/tile/entries/001`;
  await client.putObject(`${PREFIX}${object}`, 'other rows');
  // It is not taken for the same object by a copy that begins again.
  await hub.pool.query('DELETE FROM audit_copies');
  await assert.rejects(copyLog(copyParts(hub, target), LOG), /tile\/entries\/001 is in the copy with other bytes/);
  await client.deleteObject(`${PREFIX}logs/${LOG}/tile/0/000`);
  assert.equal(await target.read(`logs/${LOG}/tile/0/000`), undefined);

  // A target that keeps no versions has nothing to offer but the fault.
  const empty = await startHub(server, hub.signers);
  const [last] = (await restoreAll(empty, [{ ...target, asFirstWritten: () => undefined }])).slice(-1);
  assert.match(last?.fault ?? '', /tile\/0\/000 is missing|tile\/entries\/001/);
  assert.deepEqual((await empty.pool.query('SELECT 1 FROM audit_rows')).rows, []);
  assert.equal((await restoreAll(empty, [target])).at(-1)?.fault, '');
  assert.deepEqual(await ledgerOf(empty), await ledgerOf(hub));
});

test('a bucket without object lock is refused, or used loudly', { timeout: 700_000 }, async (t) => {
  const at = await ground(t, { lock: false });
  if (at === undefined) return;
  const hub = await startHub(server);
  await growLog(hub.store, hub.signers, LOG, 300);
  await assert.rejects(copy(hub, at.target), /does not lock objects/);
  assert.equal(await hub.copies.position(at.target.name, LOG), undefined);

  await copy(hub, at.lenient);
  assert.equal((await hub.copies.position(at.lenient.name, LOG))?.verified, 300);
  assert.equal(at.loud.length, 1);
  assert.match(at.loud[0] ?? '', /no object lock/);
});

test('a server that is away fails the turn and nothing else', async () => {
  const nowhere = { endpoint: 'http://127.0.0.1:9', region: 'us-east-1' };
  const target = bucketOf({ ...nowhere, credentials: { accessKeyId: 'a', secretAccessKey: 'b' } });
  const hub = await startHub(server);
  await growLog(hub.store, hub.signers, LOG, 3);
  await assert.rejects(copy(hub, target), { code: 'unavailable' });
  assert.equal(await hub.copies.position(target.name, LOG), undefined);
});
