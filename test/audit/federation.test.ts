// Spoke to hub over mutual TLS on loopback, with the hub killed while rows stream: afterwards the ledger is the spool, row
// for row, nothing lost and nothing doubled. And two units that cannot write into each other's logs.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type CertificateAuthority, makeAuthority, openAuthority } from '@weir/hub/enrollment/certificate-authority.ts';
import { systemRandom } from '@weir/hub/io/system-random.ts';
import { createAuditStore } from '@weir/hub/store/postgres/audit-store.ts';
import type { AuditStore } from '@weir/hub/store/audit-store.ts';
import { receiptKeyName } from '@weir/shared/audit/tlog/names.ts';
import {
  COSIGNATURE_V1,
  createNoteSigner,
  parseVkey,
  rawPublicKey,
  type Verifier,
} from '@weir/shared/audit/tlog/note.ts';
import { type AuditLog, createAuditLog } from '@weir/spoke/audit/audit-log.ts';
import { type Shipper, createShipper } from '@weir/spoke/audit/shipper.ts';
import { createAuditUplink } from '@weir/spoke/io/audit-uplink.ts';
import type { HubChannel } from '@weir/spoke/io/hub-channel.ts';
import { openSpoolDisk } from '@weir/spoke/io/spool-disk.ts';
import { systemClock } from '@weir/spoke/io/system-clock.ts';
import { quiet, testPostgres } from '../hub/database.ts';
import { uncounted, until } from './doubles.ts';
import type { HubProcessInput } from './hub-process.ts';
import { auditKey, logParts } from './log-parts.ts';
import { channelOf } from './mutual-tls.ts';
import { servedDraft } from './sample-rows.ts';

const HUB = join(import.meta.dirname, 'hub-process.ts');

const server = testPostgres();
let folder = '';
let hubKeys: Pick<HubProcessInput, 'ca' | 'receiptKey' | 'enrolled'>;
let authority: CertificateAuthority;
let receiptVerifier: Verifier;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-federation-'));
  const ca = await makeAuthority('trial', Date.now(), systemRandom);
  const { privateKey } = generateKeyPairSync('ed25519');
  receiptVerifier = parseVkey(createNoteSigner(receiptKeyName('trial'), privateKey, COSIGNATURE_V1).vkey);
  const publicKey = rawPublicKey(auditKey).toString('hex');
  hubKeys = {
    ca,
    receiptKey: privateKey.export({ format: 'pem', type: 'pkcs8' }),
    enrolled: { 'payments/edge-1': publicKey, 'payments/edge-2': publicKey, 'research/edge-2': publicKey },
  };
  authority = await openAuthority('trial', ca, systemRandom);
});
after(() => rm(folder, { recursive: true, force: true }));

async function startHub(input: HubProcessInput): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const child = spawn(process.execPath, [HUB], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin?.end(JSON.stringify(input));
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  return { child, port: Number(/port (\d+)/.exec(line.toString())?.[1]) };
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

async function openLog(unit: string, spoke: string): Promise<AuditLog> {
  return createAuditLog({
    ...logParts,
    disk: await openSpoolDisk(join(folder, `${unit}-${spoke}`)),
    unit,
    spoke,
    limits: { segmentBytes: 1 << 20, totalBytes: 64 << 20, keepBytes: 64 << 20 },
  });
}

function shipperOf(log: AuditLog, channel: HubChannel): Shipper {
  return createShipper({
    log,
    uplink: createAuditUplink(channel),
    receiptKeys: [receiptVerifier],
    instance: systemRandom.uuid(),
    clock: systemClock,
    random: systemRandom,
    logger: quiet,
    metrics: uncounted,
    limits: { batchRows: 20, backoffMs: 20, backoffMaxMs: 200 },
  });
}

async function ledgerOf(store: AuditStore, log: string): Promise<readonly Buffer[]> {
  return (await store.rowsFrom(log, 0, 1_000_000)).map(({ bytes }) => Buffer.from(bytes));
}

async function spoolOf(log: AuditLog): Promise<readonly Buffer[]> {
  const rows: Buffer[] = [];
  for (;;) {
    const slice = await log.read(rows.length, 1_000, 1 << 20);
    if (slice.rows.length === 0) return rows;
    rows.push(...slice.rows);
  }
}

test('a hub killed again and again while rows stream ends with exactly the rows of the spool', async () => {
  const { pool, url } = await server.migratedPool();
  const store = createAuditStore(pool);
  let hub = await startHub({ databaseUrl: url, port: 0, ...hubKeys });
  const { port } = hub;
  const log = await openLog('payments', 'edge-1');
  const channel = await channelOf(authority, { unit: 'payments', spoke: 'edge-1' }, port);
  const shipper = shipperOf(log, channel);
  const stop = new AbortController();
  const running = shipper.run(stop.signal);
  const writing = new AbortController();
  const writers = Promise.all(
    Array.from({ length: 8 }, async () => {
      while (!writing.signal.aborted) {
        await log.append(servedDraft());
        await new Promise((resolve) => setTimeout(resolve, 4));
      }
    }),
  );
  try {
    for (let round = 0; round < 4; round += 1) {
      const { acknowledged } = shipper.stats();
      await until(
        () => shipper.stats().acknowledged > acknowledged + 60,
        `progress in round ${round}: ${JSON.stringify(shipper.stats())}`,
      );
      await kill(hub.child);
      await new Promise((resolve) => setTimeout(resolve, 50));
      hub = await startHub({ databaseUrl: url, port, ...hubKeys });
    }
    writing.abort();
    await writers;
    const { nextIndex } = log.stats();
    await until(
      () => log.stats().acknowledged === nextIndex,
      `every row acknowledged: ${JSON.stringify(shipper.stats())}`,
    );
    assert.deepEqual(await ledgerOf(store, log.id), await spoolOf(log));
    assert.ok(nextIndex > 300, String(nextIndex));
  } finally {
    writing.abort();
    stop.abort();
    await Promise.allSettled([running, writers]);
    channel.close();
    await log.close();
    await kill(hub.child);
  }
  assert.equal(shipper.stats().state, 'stopped');
});

test("a spoke cannot read or write another unit's log, whatever its rows say", async () => {
  const { pool, url } = await server.migratedPool();
  const store = createAuditStore(pool);
  const hub = await startHub({ databaseUrl: url, port: 0, ...hubKeys });
  const log = await openLog('payments', 'edge-2');
  // The certificate says research, the rows say payments.
  const channel = await channelOf(authority, { unit: 'research', spoke: 'edge-2' }, hub.port);
  const stop = new AbortController();
  try {
    await log.append(servedDraft());
    const uplink = createAuditUplink(channel);
    const none = new Uint8Array();
    const opening = {
      log: log.id,
      binding: log.binding,
      instance: 'i1',
      checkpoint: await log.checkpointAt(1),
      receipt: none,
    };
    await assert.rejects(uplink.position(opening, stop.signal), { code: 'forbidden' });
    await assert.rejects(uplink.leaves(log.id, 0, stop.signal), { code: 'forbidden' });
    const stream = uplink.open(stop.signal);
    const { rows } = await log.read(0, 10, 1 << 20);
    await stream.send({ log: log.id, firstIndex: 0, rows, checkpoint: opening.checkpoint, proof: [] });
    for await (const answer of stream.answers) {
      assert.equal(answer.kind === 'nack' && answer.code, 'wrong_identity');
      break;
    }
    stream.close();
    assert.deepEqual(await store.positions(''), []);
  } finally {
    stop.abort();
    channel.close();
    await log.close();
    await kill(hub.child);
  }
});
