// A hub and one enrolled spoke's audit log on one machine, as the command line finds them below WEIR_HOME: the hub on its own
// database, the log on a real disk, rows brought over by the spoke's own shipper. The spoke's process is not needed for that.

import { createPrivateKey } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { hubConfigSchema } from '@weir/hub/config.ts';
import { createAdminClient } from '@weir/hub/io/admin-client.ts';
import { type Hub, startHub } from '@weir/hub/main.ts';
import { SpokeService, UnitService } from '@weir/proto/weir/console/v1/console_pb.ts';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import { parseTrustRoot, receiptKeysOf } from '@weir/shared/bundle/trust-root.ts';
import { type AuditLog, createAuditLog } from '@weir/spoke/audit/audit-log.ts';
import { createShipper } from '@weir/spoke/audit/shipper.ts';
import { createAuditUplink } from '@weir/spoke/io/audit-uplink.ts';
import { createHubChannel } from '@weir/spoke/io/hub-channel.ts';
import { createIdentityStore } from '@weir/spoke/io/identity-store.ts';
import { joinHub } from '@weir/spoke/io/join-hub.ts';
import { openSpoolDisk } from '@weir/spoke/io/spool-disk.ts';
import { systemClock } from '@weir/spoke/io/system-clock.ts';
import { systemRandom } from '@weir/spoke/io/system-random.ts';
import { uncounted, until } from '../audit/doubles.ts';
import { quiet, type TestServer } from './database.ts';

const WEIR = join(import.meta.dirname, '..', '..', 'weir.ts');
const EPOCH = '01976f3b2c11deadbeef';
export const UNIT = 'payments';
export const SPOKE = 'payments-1';
export const LOG = `${UNIT}.${SPOKE}.w0.${EPOCH}`;

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface LedgerUnderTest {
  /** WEIR_HOME. */
  readonly folder: string;
  readonly spokeHome: string;
  /** Folder of the log. */
  readonly logFolder: string;
  readonly databaseUrl: string;
  readonly hub: () => Hub;
  readonly log: () => AuditLog;
  /** Records rows and waits until the hub has receipted them. */
  record(...drafts: readonly RowDraft[]): Promise<void>;
  stopHub(): Promise<void>;
  /** On the same ports, over the same database. */
  startHub(): Promise<void>;
  /** Closes the log: its newest checkpoint is on disk. */
  closeLog(): Promise<void>;
  /** A command, as a person on this machine runs it. */
  weir(...args: readonly string[]): Promise<Outcome>;
  /** A command that goes on. */
  start(...args: readonly string[]): ChildProcess;
}

/** @param settings further members of the hub's configuration */
export async function ledgerUnderTest(
  t: TestContext,
  server: TestServer,
  settings: (folder: string) => Readonly<Record<string, unknown>> = () => ({}),
): Promise<LedgerUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-ledger-'));
  const databaseUrl = await server.emptyDatabase();
  const cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  t.after(() => cleanup.disposeAsync());

  let ports = { federation: 0, join: 0, admin: 0 };
  const run = (): Promise<Hub> =>
    startHub({
      config: hubConfigSchema.parse({
        workspace: 'trial',
        federation: { port: ports.federation },
        join: { port: ports.join },
        admin: { port: ports.admin },
        ...settings(folder),
      }),
      home: join(folder, 'hub'),
      logStream: { write: () => undefined },
      env: { ...process.env, DATABASE_URL: databaseUrl },
    });
  let hub = await run();
  cleanup.defer(() => hub.close());
  ports = {
    federation: hub.addresses.federation.port,
    join: hub.addresses.join.port,
    admin: hub.addresses.admin.port,
  };
  const token = (await readFile(hub.operatorTokenFile, 'utf8')).trim();
  const admin = createAdminClient({ url: hub.addresses.adminUrl, token, caFile: '' });
  await admin(UnitService).createUnit({ name: UNIT });
  const invitation = await admin(SpokeService).invite({ unit: UNIT, spoke: SPOKE, ttlS: 60 });
  const { identity, federationAddresses } = await joinHub({
    address: invitation.joinAddresses[0] ?? '',
    caPin: invitation.caPin,
    joinToken: invitation.joinToken,
    spoke: SPOKE,
    site: 'oslo',
  });
  const spokeHome = join(folder, 'spoke-payments');
  createIdentityStore(spokeHome).write(identity);
  await writeFile(
    join(spokeHome, 'spoke.json'),
    JSON.stringify({
      schema: 'weir.spoke/v1',
      name: SPOKE,
      site: 'oslo',
      listen: { host: '127.0.0.1', port: 1 },
      admin: { host: '127.0.0.1', port: 1 },
      hub: federationAddresses,
      upstreams: { npm: { url: 'http://127.0.0.1:9/' } },
      limits: { spool_segment_bytes: 1 << 20, spool_bytes: 64 << 20 },
    }),
  );
  const logFolder = join(spokeHome, 'audit', 'w0', EPOCH);
  await mkdir(logFolder, { recursive: true });
  await writeFile(join(logFolder, 'log.json'), JSON.stringify({ v: 1, log: LOG }));
  await writeFile(join(logFolder, '..', 'current'), `${EPOCH}\n`);
  const log = await createAuditLog({
    disk: await openSpoolDisk(logFolder),
    workspace: 'trial',
    unit: UNIT,
    spoke: SPOKE,
    site: 'oslo',
    worker: 'w0',
    auditKey: createPrivateKey(identity.log_key),
    clock: systemClock,
    random: systemRandom,
    logger: quiet,
    metrics: uncounted,
    limits: { segmentBytes: 1 << 20, totalBytes: 64 << 20, keepBytes: 64 << 20 },
  });
  let closed: Promise<void> | undefined;
  const closeLog = (): Promise<void> => (closed ??= log.close());
  cleanup.defer(closeLog);
  const channel = createHubChannel(federationAddresses, identity);
  cleanup.defer(() => channel.close());
  const shipper = createShipper({
    log,
    uplink: createAuditUplink(channel),
    receiptKeys: receiptKeysOf(parseTrustRoot(Buffer.from(identity.trust_root))),
    instance: systemRandom.uuid(),
    clock: systemClock,
    random: systemRandom,
    logger: quiet,
    metrics: uncounted,
    limits: { lingerMs: 5, backoffMs: 20, backoffMaxMs: 200 },
  });
  const shipping = new AbortController();
  const shipped = shipper.run(shipping.signal);
  cleanup.defer(async () => {
    shipping.abort();
    await shipped;
  });

  const { WEIR_HOME: _home, WEIR_HUB: _hub, WEIR_TOKEN_FILE: _file, WEIR_SPOKE_HOME: _spoke, ...rest } = process.env;
  const env = { ...rest, WEIR_HOME: folder };
  return {
    folder,
    spokeHome,
    logFolder,
    databaseUrl,
    hub: () => hub,
    log: () => log,
    async record(...drafts) {
      for (const draft of drafts) await log.append(draft);
      const { nextIndex } = log.stats();
      await until(
        () => shipper.stats().acknowledged >= nextIndex,
        `the hub receipts ${nextIndex} rows: ${JSON.stringify(shipper.stats())}`,
      );
    },
    stopHub: () => hub.close(),
    async startHub() {
      hub = await run();
    },
    closeLog,
    weir: (...args) =>
      new Promise((resolve) => {
        execFile(process.execPath, [WEIR, ...args], { env, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
          const status = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
          resolve({ status, stdout, stderr });
        });
      }),
    start: (...args) => spawn(process.execPath, [WEIR, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] }),
  };
}
