// The hub's composition root: builds every part, connects them, starts them in order and closes them in reverse.

import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { parseVkey } from '@weir/shared/audit/tlog/note.ts';
import { encodeTrustRoot, trustRootOf } from '@weir/shared/bundle/trust-root.ts';
import { isDigest } from '@weir/shared/domain/digest.ts';
import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import { createLogger, type LogStream } from '@weir/shared/telemetry/logger.ts';
import { HUB_METRICS } from '@weir/shared/telemetry/metric-declarations.ts';
import { createMetrics } from '@weir/shared/telemetry/metrics.ts';
import { createActors } from './audit/actors.ts';
import { fsck } from './audit/fsck.ts';
import { custodyJobs } from './audit/custody-jobs.ts';
import { createIngest } from './audit/ingest.ts';
import { createOwnLeaves } from './audit/own-leaves.ts';
import { onlyInCopies } from './audit/retention.ts';
import { createLeader } from './audit/leader.ts';
import { makePartitions, PARTITION_LIMITS } from './audit/partition-job.ts';
import { pastRoot } from './audit/past-root.ts';
import { createRowProofs } from './audit/prove.ts';
import { restore } from './audit/restore.ts';
import { PUSH_LIMITS } from './audit/push.ts';
import { pushRows } from './audit/push-job.ts';
import { createPublisher } from './bundle/publish.ts';
import type { HubConfig } from './config.ts';
import { makeAuthority, openAuthority } from './enrollment/certificate-authority.ts';
import { createDenylist } from './enrollment/denylist.ts';
import { createEnrollment } from './enrollment/enrollment.ts';
import { createBundleFeed } from './fleet/bundle-feed.ts';
import { createFleet } from './fleet/fleet.ts';
import { createLayerReader } from './fleet/layer-reader.ts';
import { createGates, type GateOptions } from './floor/gates.ts';
import { createSelftests } from './floor/selftests.ts';
import { createAdminServer } from './io/admin-server.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './io/embedded-postgres.ts';
import { createFsckThreads } from './io/fsck-threads.ts';
import { openCopyTargets } from './io/copy-targets.ts';
import { openHubHome } from './io/hub-home.ts';
import { type BoundPort, createMachineServer } from './io/machine-server.ts';
import { createOpa, findOpa } from './io/opa-process.ts';
import { readSmallFile } from './io/private-file.ts';
import { createSink } from './io/push-sink.ts';
import { loadOrCreateReceiptKey } from './io/receipt-key.ts';
import { signEnvelope } from './io/sign-envelope.ts';
import { loadOrCreateSigningKey } from './io/signing-key.ts';
import { systemClock } from './io/system-clock.ts';
import { systemRandom } from './io/system-random.ts';
import { createFailureLimiter } from './rpc/failure-limiter.ts';
import { machineServices } from './rpc/machine-services.ts';
import { operatorServices } from './rpc/operator-services.ts';
import type { BundleStore } from './store/bundle-store.ts';
import { createActorStore } from './store/postgres/actor-store.ts';
import { createAlarmStore } from './store/postgres/alarm-store.ts';
import { createAuditStore } from './store/postgres/audit-store.ts';
import { BUNDLE_CHANNEL, createBundleStore } from './store/postgres/bundle-store.ts';
import { createCopyStore } from './store/postgres/copy-store.ts';
import { createEnrollmentStore, DENIAL_CHANNEL } from './store/postgres/enrollment-store.ts';
import { createEventStore } from './store/postgres/event-store.ts';
import { createFleetStore } from './store/postgres/fleet-store.ts';
import { createLeaderLocks } from './store/postgres/leader-lock.ts';
import { migrate } from './store/postgres/migrate.ts';
import { createNotifications } from './store/postgres/notifications.ts';
import { createOperatorTokenStore } from './store/postgres/operator-token-store.ts';
import { createPolicyStore } from './store/postgres/policy-store.ts';
import { createPool } from './store/postgres/pool.ts';
import { createPushStore } from './store/postgres/push-store.ts';
import { createRetentionStore } from './store/postgres/retention-store.ts';
import { createRestoreStore } from './store/postgres/restore-store.ts';
import { createRowScan } from './store/postgres/row-scan.ts';
import { createSpokeLogs } from './store/postgres/spoke-logs.ts';
import { createTileStore } from './store/postgres/tile-store.ts';
import { createUnitStore } from './store/postgres/unit-store.ts';
import { createUnitTokenStore } from './store/postgres/unit-token-store.ts';
import { createOperators } from './unit/operators.ts';
import { createUnitTokens } from './unit/unit-tokens.ts';
import { createUnits } from './unit/units.ts';

export const HUB_VERSION = '0.1.0';
/** The hub's own certificates; a new one is made at half their life. */
const HUB_CERTIFICATE_MS = 7 * 86_400_000;
/** Between looks for units whose bundle is not what was last published, or will expire soon. */
const CATCH_UP_MS = 10 * 60_000;
const DENYLIST_REREAD_MS = 10_000;
const POLICIES = resolve(import.meta.dirname, '..', 'policies');

export interface HubOptions {
  readonly config: HubConfig;
  /** Folder of this hub's state; made when it does not exist. */
  readonly home: string;
  /** Where log lines go. */
  readonly logStream: LogStream;
  /** Environment: DATABASE_URL, WEIR_OPA, PATH. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Extra settings of the embedded database, for tests. */
  readonly databaseSettings?: Readonly<Record<string, string>>;
}

export interface HubAddresses {
  readonly federation: BoundPort;
  readonly join: BoundPort;
  readonly admin: BoundPort;
  readonly adminUrl: string;
}

export interface Hub {
  readonly addresses: HubAddresses;
  /** `sha256:` of the CA's public key. */
  readonly caPin: string;
  readonly operatorTokenFile: string;
  /** Drains and stops everything, the database last. */
  close(): Promise<void>;
}

/** Starts a hub and resolves when all its ports answer. Whatever was started is stopped again when a later part fails. */
export async function startHub(options: HubOptions): Promise<Hub> {
  const cleanup = new AsyncDisposableStack();
  try {
    return await build(options, cleanup);
  } catch (thrown) {
    await cleanup.disposeAsync();
    throw thrown;
  }
}

async function build(options: HubOptions, cleanup: AsyncDisposableStack): Promise<Hub> {
  const { config, env } = options;
  const { workspace } = config;
  const logger = createLogger({ level: config.log.level, stream: options.logStream, base: { part: 'hub' } });
  const metrics = createMetrics({
    declared: HUB_METRICS,
    onUndeclared: (name) => logger.error({ name }, 'a metric is used that was never declared'),
  });
  const clock = systemClock;
  const random = systemRandom;
  const stopping = new AbortController();

  const home = await openHubHome(options.home);
  cleanup.defer(() => home.release());

  // Database.
  const database = await findDatabase(options, logger);
  if (database.embedded !== undefined) cleanup.defer(() => database.embedded?.stop());
  const pool = createPool({ url: database.url, logger });
  cleanup.defer(() => pool.end());
  const applied = await migrate(pool);
  if (applied.length > 0) logger.info({ applied }, 'the database schema was brought up to date');
  const stores = {
    units: createUnitStore(pool),
    enrollment: createEnrollmentStore(pool),
    events: createEventStore(pool),
    operators: createOperatorTokenStore(pool),
    tokens: createUnitTokenStore(pool),
    actors: createActorStore(pool),
    bundles: createBundleStore(pool),
    policies: createPolicyStore(pool),
    fleet: createFleetStore(pool),
    audit: createAuditStore(pool),
    alarms: createAlarmStore(pool),
    tiles: createTileStore(pool),
    copies: createCopyStore(pool),
    months: createRetentionStore(pool),
    pushes: createPushStore(pool),
    scan: createRowScan(pool),
    spokeLogs: createSpokeLogs(pool),
  };

  // Keys.
  const authority = await openAuthority(
    workspace,
    await home.authority(() => makeAuthority(workspace, clock.nowMs(), random)),
    random,
  );
  const signer = await loadOrCreateSigningKey(home.signingKeyFile);
  // Valid from a fixed past: the key's age is not a secret, and a root that changed at every start would look tampered with.
  const receiptKey = await loadOrCreateReceiptKey(home.receiptKeyFile, workspace);
  const trusted = trustRootOf(workspace, signer.publicKeyPem, 0, [receiptKey.vkey]);
  const trustRoot = encodeTrustRoot(trusted);
  const hubNames = [...new Set(['localhost', '127.0.0.1', '::1', hostname(), ...advertisedHosts(config)])];
  const issueHub = () => authority.issueHub(hubNames, { fromMs: clock.nowMs(), ttlMs: HUB_CERTIFICATE_MS });

  // What a publication changes, and who is told.
  const feed = createBundleFeed({ store: stores.bundles, clock, logger });
  const gateOptions = onceDone(() => gateParts(env, clock));
  const publisher = createPublisher(
    {
      policies: stores.policies,
      bundles: stores.bundles,
      units: stores.units,
      tokens: stores.tokens,
      pseudonyms: (unit, principals) => actors.ensure(unit, principals),
      gates: {
        floor: async (files) => createGates(await gateOptions()).floor(files),
        overlay: async (unit, files, floor) => createGates(await gateOptions()).overlay(unit, files, floor),
      },
      selftests: async (request) => createSelftests(await gateOptions())(request),
      sign: (statement) => signEnvelope(statement, signer),
      clock,
      logger,
      metrics,
    },
    { workspace, epoch: 1, trustRoot: trusted },
  );
  const republish = async (unit: string): Promise<void> => void (await publisher.refresh(unit));
  const fleet = createFleet({ store: stores.fleet, clock, metrics });
  const graceMs = config.identity.renewal_grace_s * 1000;
  const denylist = createDenylist({
    store: stores.enrollment,
    clock,
    logger,
    graceMs,
    onChange: () => machines.dropDenied(),
  });
  const enrollment = createEnrollment({
    workspace,
    certificateTtlMs: config.identity.certificate_ttl_s * 1000,
    authority,
    store: stores.enrollment,
    units: stores.units,
    events: stores.events,
    clock,
    random,
    logger,
    metrics,
    onDenied: () => denylist.refresh(),
  });
  const actors = createActors({
    store: stores.actors,
    units: stores.units,
    events: stores.events,
    clock,
    random,
    republish,
  });
  const units = createUnits({ store: stores.units, events: stores.events, random, republish });
  const tokens = createUnitTokens({ store: stores.tokens, events: stores.events, clock, random, republish });
  const operators = createOperators({ store: stores.operators, events: stores.events, clock, random });
  const enrolledKey = async ({ unit, spoke }: { readonly unit: string; readonly spoke: string }) =>
    (await stores.enrollment.spoke(unit, spoke))?.logKey;
  const threads = createFsckThreads();
  const copyTargets = await openCopyTargets(config.audit.copy, { logger, nowMs: () => clock.nowMs() });
  cleanup.defer(() => threads.close());
  const ingest = createIngest({
    store: stores.audit,
    alarms: stores.alarms,
    workspace,
    enrolledKey,
    receiptKey,
    rootAt: (log, size) => pastRoot({ store: stores.audit, tiles: stores.tiles }, log, size),
    clock,
    logger,
    metrics,
  });

  // Ports. Addresses are told to spokes only once they are known.
  let federationAddresses: readonly string[] = config.advertise.federation;
  let joinAddresses: readonly string[] = config.advertise.join;
  const machines = createMachineServer({
    authority,
    tls: await issueHub(),
    graceMs,
    isDenied: (peer) => denylist.isDenied(peer),
    logger,
    metrics,
    services: machineServices({
      enrollment: {
        enrollment,
        limiter: createFailureLimiter(clock),
        trustRoot: () => Promise.resolve(trustRoot),
        federationAddresses: () => federationAddresses,
      },
      bundle: {
        store: stores.bundles,
        layers: createLayerReader(stores.bundles),
        feed,
        fleet,
        clock,
        logger,
        metrics,
      },
      fleet,
      ingest,
      leaves: createOwnLeaves(stores.audit),
    }),
  });
  const databaseOk = async (): Promise<boolean> => {
    try {
      await pool.query('SELECT 1');
      return true;
    } catch {
      return false;
    }
  };
  const admin = await createAdminServer({
    services: operatorServices({
      unit: { units, bundles: stores.bundles, feed },
      spoke: { enrollment, caPin: authority.pin, joinAddresses: () => joinAddresses },
      policy: { publisher, policies: stores.policies, bundles: stores.bundles },
      tokens,
      fleet,
      feed,
      audit: {
        store: stores.audit,
        ingest,
        clock,
        rulesOf: (bundle) => rulesOf(stores.bundles, bundle),
        onlyInCopies: (time) => onlyInCopies(stores.months, time),
        pseudonymsOf: (unit, name) => actors.pseudonymsOf(unit, name),
      },
      spokeLogs: stores.spokeLogs,
      logs: {
        workspace,
        store: stores.audit,
        tiles: stores.tiles,
        alarms: stores.alarms,
        hubVkey: receiptKey.vkey,
        enrolledKey: (unit, spoke) => enrolledKey({ unit, spoke }),
        prove: createRowProofs({ store: stores.audit, tiles: stores.tiles, targets: copyTargets }),
        fsck: (asked) =>
          fsck(
            {
              store: stores.audit,
              tiles: stores.tiles,
              scan: stores.scan,
              check: threads.check,
              hubKey: parseVkey(receiptKey.vkey),
            },
            asked,
          ),
      },
      copies: {
        copies: stores.copies,
        store: stores.audit,
        restore: (asked) =>
          restore(
            {
              store: stores.audit,
              restoring: createRestoreStore(pool),
              tiles: stores.tiles,
              targets: copyTargets,
              workspace,
              hubKey: parseVkey(receiptKey.vkey),
              spokeKey: (unit, spoke) => enrolledKey({ unit, spoke }),
              clock,
              logger,
              metrics,
            },
            asked,
          ),
      },
      alarms: stores.alarms,
      actors,
      events: stores.events,
      health: { version: HUB_VERSION, workspace, clock, policies: stores.policies, databaseOk },
    }),
    authenticate: (authorization) => operators.authenticate(authorization),
    limiter: createFailureLimiter(clock),
    ready: databaseOk,
    tls: config.admin.tls,
    logger,
    metrics,
  });

  // Work that one replica does for all.
  const locks = createLeaderLocks({ url: database.url, logger });
  const partitions = createLeader({
    lock: locks,
    name: 'partitions',
    everyMs: PARTITION_LIMITS.everyMs,
    work: (signal) => makePartitions(stores.audit, clock, signal),
    clock,
    logger,
    metrics,
  });

  const push = createLeader({
    lock: locks,
    name: 'push',
    everyMs: PUSH_LIMITS.pollMs,
    work: (signal) =>
      pushRows(
        config.audit.push,
        createSink,
        { rows: stores.audit, cursors: stores.pushes, clock, random, logger, metrics },
        signal,
      ),
    clock,
    logger,
    metrics,
  });

  const custody = custodyJobs(
    {
      store: stores.audit,
      tiles: stores.tiles,
      copies: stores.copies,
      months: stores.months,
      pushes: stores.pushes,
      targets: copyTargets,
      hubKey: parseVkey(receiptKey.vkey),
      clock,
      logger,
      metrics,
    },
    {
      copyEveryMs: config.audit.copy.every_s * 1000,
      retention: {
        days: config.audit.retention_days,
        heldUnits: config.audit.held_units,
        sinks: config.audit.push.map(({ name }) => name),
      },
    },
  ).map((job) => createLeader({ lock: locks, ...job, clock, logger, metrics }));

  // Start, in the order in which others depend on it; everything is closed the other way round.
  await denylist.refresh();
  // The first rows must not wait for a leader.
  await makePartitions(stores.audit, clock, stopping.signal);
  const notifications = createNotifications({ url: database.url, logger });
  notifications.subscribe(BUNDLE_CHANNEL, (unit) => feed.hint(unit));
  notifications.subscribe(DENIAL_CHANNEL, () => void denylist.refresh());
  await notifications.start();
  cleanup.defer(() => notifications.close());
  cleanup.defer(() => locks.close());
  const background = [
    feed.run(stopping.signal),
    partitions.run(stopping.signal),
    ...custody.map((job) => job.run(stopping.signal)),
    ...(config.audit.push.length === 0 ? [] : [push.run(stopping.signal)]),
    every(HUB_CERTIFICATE_MS / 2, stopping.signal, logger, async () => machines.replaceCertificate(await issueHub())),
    // Should a notification be lost: a revocation must not wait for the next one.
    every(DENYLIST_REREAD_MS, stopping.signal, logger, () => denylist.refresh()),
    every(CATCH_UP_MS, stopping.signal, logger, () => publisher.catchUp(stopping.signal), 0),
  ];
  cleanup.defer(async () => {
    stopping.abort();
    await Promise.all(background);
  });

  if (!(await home.hasOperatorToken()) || (await operators.count()) === 0) {
    await home.writeOperatorToken(await operators.create('first-operator'));
  }
  cleanup.defer(() => admin.close());
  const adminPort = await admin.listen(config.admin.host, config.admin.port);
  cleanup.defer(() => machines.close());
  const federation = await machines.listenFederation(config.federation.host, config.federation.port);
  const join = await machines.listenJoin(config.join.host, config.join.port);
  if (federationAddresses.length === 0) federationAddresses = [reachable(federation)];
  if (joinAddresses.length === 0) joinAddresses = [reachable(join)];
  const adminUrl = `${config.admin.tls === null ? 'http' : 'https'}://${reachable(adminPort)}`;
  await home.writeAdminNote(adminUrl);
  logger.info({ federation: reachable(federation), join: reachable(join), admin: adminUrl }, 'the hub is ready');

  let closing: Promise<void> | undefined;
  return {
    addresses: { federation, join, admin: adminPort, adminUrl },
    caPin: authority.pin,
    operatorTokenFile: home.operatorTokenFile,
    close() {
      closing ??= (async () => {
        logger.info({}, 'the hub is stopping');
        await cleanup.disposeAsync();
      })();
      return closing;
    },
  };
}

async function findDatabase(
  options: HubOptions,
  logger: Logger,
): Promise<{ readonly url: string; readonly embedded: EmbeddedPostgres | undefined }> {
  const { config, env, home, databaseSettings } = options;
  const named = env['DATABASE_URL'] ?? '';
  if (named !== '') return { url: named, embedded: undefined };
  if (config.database.url_file !== '') {
    const text = (await readSmallFile(config.database.url_file))?.trim() ?? '';
    if (text === '') {
      throw new WeirError('invalid_argument', 'database.url_file names a file that is empty or missing', {
        next: 'write the connection URL into it',
      });
    }
    return { url: text, embedded: undefined };
  }
  const embedded = await startEmbeddedPostgres({
    home,
    logger,
    ...(databaseSettings === undefined ? {} : { settings: databaseSettings }),
  });
  return { url: embedded.url, embedded };
}

/** What the publish gates run with; OPA is looked for when the first policy is published. */
async function gateParts(env: HubOptions['env'], clock: GateOptions['clock']): Promise<GateOptions> {
  const [floor, overlay] = await Promise.all([
    readFile(resolve(POLICIES, 'capabilities.floor.json')),
    readFile(resolve(POLICIES, 'capabilities.overlay.json')),
  ]);
  return { opa: createOpa(findOpa(env)), capabilities: { floor, overlay }, clock };
}

/** The value of the first successful call, made once. */
function onceDone<Value>(make: () => Promise<Value>): () => Promise<Value> {
  let made: Promise<Value> | undefined;
  return async () => {
    made ??= make();
    try {
      return await made;
    } catch (thrown) {
      made = undefined;
      throw thrown;
    }
  };
}

async function rulesOf(bundles: BundleStore, bundle: string): Promise<Uint8Array> {
  const found = isDigest(bundle) ? await bundles.bundleByDigest(bundle) : undefined;
  const layer = found?.layers.find(({ name }) => name === 'rules');
  return layer === undefined
    ? new Uint8Array()
    : ((await bundles.readLayer(layer.digest, 0, layer.size)) ?? new Uint8Array());
}

/** Repeats until the signal aborts; a failure is logged and the next turn comes all the same. */
async function every(
  ms: number,
  signal: AbortSignal,
  logger: Logger,
  work: () => Promise<void>,
  firstMs = ms,
): Promise<void> {
  for (let waitMs = firstMs; !signal.aborted; waitMs = ms) {
    await systemClock.sleep(waitMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      await work();
    } catch (thrown) {
      logger.error({ error: describeThrown(thrown) }, 'a background task failed');
    }
  }
}

/** An address that a spoke on this machine can dial; what listens everywhere is told as loopback unless configured. */
function reachable({ host, port }: BoundPort): string {
  const named = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return named.includes(':') ? `[${named}]:${port}` : `${named}:${port}`;
}

function advertisedHosts(config: HubConfig): readonly string[] {
  return [...config.advertise.federation, ...config.advertise.join].map((address) =>
    address.slice(0, address.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1'),
  );
}
