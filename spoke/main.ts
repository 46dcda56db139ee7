// The spoke's composition root: builds every part, starts them in order, closes them in reverse. It enforces as soon as a
// verified bundle is at hand and goes on whatever happens to the hub; without one it refuses everything.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashActor } from '@weir/shared/audit/hash-actor.ts';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import { ENGINE, ENGINE_LEVEL } from '@weir/shared/bundle/manifest.ts';
import { parseTrustRoot } from '@weir/shared/bundle/trust-root.ts';
import { readRequestCode } from '@weir/shared/domain/request-code.ts';
import { asWeirError, describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import { createEngine, type PolicyEngine } from '@weir/shared/policy/engine.ts';
import { createStrikes } from '@weir/shared/policy/strikes.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import { createLogger, type LogLevel, type LogStream } from '@weir/shared/telemetry/logger.ts';
import { SPOKE_METRICS } from '@weir/shared/telemetry/metric-declarations.ts';
import { createMetrics } from '@weir/shared/telemetry/metrics.ts';
import { createAuditLog } from './audit/audit-log.ts';
import { createShipper } from './audit/shipper.ts';
import type { SpoolDisk } from './audit/spool-disk.ts';
import { createActivator, type ActivationOutcome } from './bundle/activate.ts';
import { createBundleHolder } from './bundle/active-bundle.ts';
import type { SpokeConfig } from './config.ts';
import { stalenessOf, type HubTime } from './decision/staleness.ts';
import { createVerdictCache } from './decision/verdict-cache.ts';
import { buildIntelIndex } from './evidence/intel-index.ts';
import { createAuthenticator } from './identity/authenticate.ts';
import { startAdminServer } from './io/admin-server.ts';
import { openArtifactCache } from './io/artifact-cache.ts';
import { createArtifactSource } from './io/artifact-source.ts';
import { createAuditUplink } from './io/audit-uplink.ts';
import { openBundleStore } from './io/bundle-store.ts';
import { createHubChannel } from './io/hub-channel.ts';
import { createHubLink } from './io/hub-link.ts';
import { createHubTimeStore } from './io/hub-time-store.ts';
import { createIdentityStore } from './io/identity-store.ts';
import { renewAtHub } from './io/join-hub.ts';
import { startListener, type Listener } from './io/listener.ts';
import { openMetadataCache } from './io/metadata-cache.ts';
import { openSpoolDisk } from './io/spool-disk.ts';
import { systemClock } from './io/system-clock.ts';
import { systemRandom } from './io/system-random.ts';
import { createUpstream, type UpstreamRegistry } from './io/upstream.ts';
import { createPipeline } from './pipeline.ts';
import { checkPurl } from './pipeline/check.ts';
import { eventRow, type SpokeEvent } from './pipeline/event-row.ts';
import type { ActivePolicy, MetadataPort, PipelinePorts } from './pipeline/ports.ts';
import type { Releases } from './registries/adapter.ts';
import { adapters } from './registries/index.ts';
import { followBundles } from './uplink/follow-bundles.ts';
import type { BundleOffer, StatusReport } from './uplink/hub-link.ts';
import { renewIdentity } from './uplink/renew-identity.ts';
import { createStatusReporter } from './uplink/report-status.ts';

export const SPOKE_VERSION = '0.1.0';
/** Requests under way get this long to finish at shutdown. */
const DRAIN_MS = 4_000;
/** Rows that the hub still lacks get this long to reach it at shutdown; the rest waits on disk. */
const LAST_ROWS_MS = 1_500;
const HUB_TIME_SAVE_MS = 15_000;
const WORKER = 'w0';

export interface SpokeOptions {
  readonly home: string;
  readonly config: SpokeConfig;
  readonly logStream: LogStream;
  readonly logLevel?: LogLevel;
  /** Where the audit spool lies; the real disk unless a test brings its own. */
  readonly openDisk?: (folder: string) => Promise<SpoolDisk>;
  /** HTTP_PROXY and the like for upstream. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface Spoke {
  readonly registryPort: number;
  readonly adminPort: number;
  /** Digest of the active bundle, undefined while there is none. */
  activeBundle(): string | undefined;
  /** Stops taking requests, lets those under way finish, hands over the last rows. */
  close(): Promise<void>;
}

/** What the pipeline takes from a bundle, made at activation. */
type Prepared = ActivePolicy;

/** @throws WeirError when the spoke cannot run at all: no identity, ports taken, damaged log, unusable folders */
export async function startSpoke(options: SpokeOptions): Promise<Spoke> {
  const { home, config, env } = options;
  const identities = createIdentityStore(home);
  let identity = identities.read();
  const logger = createLogger({
    level: options.logLevel ?? 'info',
    stream: options.logStream,
    base: { part: 'spoke', unit: identity.unit, spoke: identity.spoke },
  });
  const metrics = createMetrics({
    declared: SPOKE_METRICS,
    onUndeclared: (name) => logger.warn({ metric: name }, 'an undeclared metric was dropped'),
  });
  const clock = systemClock;
  const random = systemRandom;
  const startedAtMs = clock.nowMs();
  const closers: (() => Promise<void>)[] = [];
  const stopping = new AbortController();

  try {
    const disk = await (options.openDisk ?? openSpoolDisk)(join(home, 'audit', WORKER));
    const log = await createAuditLog({
      disk,
      unit: identity.unit,
      spoke: identity.spoke,
      site: config.site,
      worker: WORKER,
      clock,
      random,
      limits: { segmentBytes: config.limits.spool_segment_bytes, totalBytes: config.limits.spool_bytes },
    });
    closers.push(() => log.close());

    const upstream = createUpstream({
      registries: registriesOf(config),
      offline: config.offline,
      ca: config.upstream_ca_file === '' ? [] : [readFileSync(config.upstream_ca_file, 'utf8')],
      proxy: {
        http: env['HTTP_PROXY'] ?? env['http_proxy'] ?? '',
        https: env['HTTPS_PROXY'] ?? env['https_proxy'] ?? '',
        except: env['NO_PROXY'] ?? env['no_proxy'] ?? '',
      },
      limits: { headersMs: config.limits.upstream_timeout_ms, bodyIdleMs: config.limits.upstream_timeout_ms },
      userAgent: `weir/${SPOKE_VERSION}`,
      metrics,
    });
    closers.push(() => upstream.close());
    const cache = await openArtifactCache({
      folder: join(home, 'cache', 'artifacts'),
      limits: { totalBytes: config.limits.cache_bytes },
      logger,
      metrics,
    });
    closers.push(() => cache.close());
    const documents = await openMetadataCache<Releases>({
      upstream,
      folder: join(home, 'cache', 'metadata'),
      limits: { freshMs: config.limits.metadata_fresh_s * 1000, staleMs: config.limits.metadata_stale_s * 1000 },
      clock,
      logger,
      metrics,
    });
    closers.push(() => documents.close());

    const verdicts = createVerdictCache();
    const holder = createBundleHolder<Prepared>((next) => verdicts.activate(next.digest));
    const hubTimes = createHubTimeStore(home);
    const remembered = hubTimes.read();
    let hubTime: HubTime | undefined =
      remembered === undefined
        ? undefined
        : { ...remembered, readAt: reading(), highestWallS: remembered.highestWallS };

    function reading(): HubTime['readAt'] {
      return { wallS: clock.nowMs() / 1000, monotonicMs: clock.monotonicMs() };
    }
    function heard(hubTimeMs: number): void {
      const now = reading();
      const signedS = Math.max(hubTimeMs / 1000, hubTime?.signedS ?? 0);
      hubTime = { signedS, readAt: now, highestWallS: Math.max(now.wallS, hubTime?.highestWallS ?? 0) };
    }
    function staleness() {
      const bundle = holder.current();
      if (bundle === null) return 'fresh';
      // A bundle that ran out while it was active is as stale as can be; at boot it would not even be loaded.
      if (clock.nowMs() / 1000 >= bundle.manifest.expires) return 'deny';
      // Before the first contact of this installation the bundle's own date is the last word of the hub.
      const since = hubTime ?? { signedS: bundle.manifest.issued_at, readAt: reading(), highestWallS: 0 };
      return stalenessOf(since, reading(), bundle.settings.staleness).staleness;
    }

    const metadata: MetadataPort = {
      async read(adapter, name, signal) {
        const request = adapter.metadataRequest(name);
        const read = (document: Parameters<typeof adapter.readMetadata>[0]): Releases =>
          adapter.readMetadata(document, name);
        const found = await documents.get({ registry: adapter.id, request, read }, { signal });
        if (found.kind === 'absent') return { kind: 'not_found' };
        const { document, digest, value, stale, isCurrent } = found;
        return { kind: 'found', document, digest, releases: value, stale, isCurrent };
      },
      async ask(id, request, signal) {
        const answer = await upstream.fetchMetadata(id, request, { signal });
        if (answer.kind === 'not_modified')
          throw new WeirError('upstream_failed', 'the upstream registry confirmed what was not asked');
        return answer.kind === 'not_found' ? { kind: 'not_found' } : { kind: 'found', body: answer.document.bytes };
      },
    };

    const salt = Buffer.from(identity.unit_salt, 'hex');
    const pseudonyms = new Map<string, string>();
    const served = adapters.filter(({ id }) => id in registriesOf(config));
    const ports: PipelinePorts = {
      adapters: served,
      policy: () => holder.current()?.prepared,
      staleness,
      metadata,
      artifacts: createArtifactSource({ cache, upstream, hotBytes: config.limits.hot_bytes, metrics }),
      log,
      facts: {
        workspace: identity.workspace,
        unit: identity.unit,
        spoke: identity.spoke,
        site: config.site,
        publicUrl: config.public_url,
        requestUrl: config.request_url,
        hashActor(id) {
          let known = pseudonyms.get(id);
          if (known === undefined) {
            if (pseudonyms.size >= PSEUDONYMS_MAX) pseudonyms.clear();
            known = id === '' ? '' : hashActor(salt, id);
            pseudonyms.set(id, known);
          }
          return known;
        },
      },
      clock,
      random,
      logger,
      metrics,
    };
    const tell = (event: SpokeEvent): Promise<void> => record(ports, eventRow(ports, event), logger);

    let channelIdentity = identity;
    const channel = createHubChannel(config.hub, channelIdentity);
    closers.push(() => Promise.resolve(channel.close()));
    const link = createHubLink(channel);

    let nack: StatusReport['nack'] = null;
    const strikes = createStrikes();
    const activator = createActivator<PolicyEngine, Prepared>({
      disk: await openBundleStore(join(home, 'bundles')),
      source: link,
      builder: {
        compile: (layers, { manifest, digest }) =>
          createEngine({
            floor: layers.floor,
            overlay: layers.overlay,
            rules: layers.rules,
            exceptions: layers.exceptions,
            settings: layers.settings,
            unit: identity.unit,
            bundle: digest,
            readsVersion: manifest.reads_version,
            clock: cpuClock,
            strikes,
            onEvent: (event) => {
              metrics.count('weir_spoke_engine_events_total', { kind: event.kind });
              logger.error({ ...event }, 'the policy engine reports trouble');
            },
          }),
        ask: (engine, layer, input) => engine.evaluateLayer(layer, input),
        prepare: (layers, { digest }, engine) => ({
          digest,
          settings: layers.settings,
          rules: layers.rules,
          intel: buildIntelIndex(layers.intel),
          authenticator: createAuthenticator(layers.identities, layers.settings),
          engine,
          verdicts,
        }),
        discard: (engine) => engine.close(),
      },
      holder,
      trustRoot: parseTrustRoot(Buffer.from(identity.trust_root)),
      workspace: identity.workspace,
      unit: identity.unit,
      engineLevel: ENGINE_LEVEL,
      clock,
      logger,
      metrics,
      settled: (outcome) => void settled(outcome),
    });

    const activeOffer = (): BundleOffer | null => {
      const bundle = holder.current();
      return bundle === null
        ? null
        : { digest: bundle.digest, epoch: bundle.manifest.epoch, version: bundle.manifest.version };
    };
    async function settled(outcome: ActivationOutcome): Promise<void> {
      nack = outcome.nack === '' ? null : { code: outcome.nack, detail: outcome.detail, bundle: outcome.bundle };
      reporter.changed();
      const { bundle, detail } = outcome;
      await tell({
        outcome: outcome.nack === '' ? 'bundle_activated' : 'bundle_refused',
        level: 'allow',
        status: 0,
        detail:
          outcome.nack === '' ? `version ${bundle.version} of epoch ${bundle.epoch}` : `${outcome.nack}: ${detail}`,
        bundle: bundle.digest,
      });
      const stage = outcome.stage === 'prepared' ? 'tested' : outcome.stage;
      await link
        .reportActivation({ bundle, stage, nack: outcome.nack, detail, active: activeOffer() }, stopping.signal)
        .catch((thrown: unknown) =>
          logger.debug({ reason: describeThrown(thrown) }, 'an activation report did not reach the hub'),
        );
    }

    const boot = await activator.boot();
    for (const refusal of boot.refusals) {
      await tell({
        outcome: 'bundle_refused',
        level: 'allow',
        status: 0,
        detail: `${refusal.pointer} on disk: ${refusal.nack}: ${refusal.detail}`,
        bundle: '',
      });
    }
    await tell({
      outcome: 'spoke_started',
      level: 'allow',
      status: 0,
      detail: `weir ${SPOKE_VERSION}, bundle from ${boot.from ?? 'nowhere'}`,
      bundle: '',
    });
    if (log.torn !== undefined) {
      await tell({
        outcome: 'log_repaired',
        level: 'allow',
        status: 0,
        detail: 'a batch that the last run left unfinished was cut off',
        bundle: '',
      });
    }

    const spoolHealthy = (): boolean => log.stats().state === 'open';
    const statusOf = (): StatusReport => {
      const stats = log.stats();
      return {
        active: activeOffer(),
        mode: holder.current()?.settings.mode ?? 'block',
        staleness: staleness(),
        engine: ENGINE,
        version: SPOKE_VERSION,
        startedAtMs,
        site: config.site,
        logs: [
          { log: stats.log, nextIndex: stats.nextIndex, acknowledged: stats.acknowledged, freeBytes: stats.freeBytes },
        ],
        nack,
        spoolHealthy: spoolHealthy(),
      };
    };
    const reporter = createStatusReporter({ link, clock, random, status: statusOf, heard });
    const shipper = createShipper({
      log,
      uplink: createAuditUplink(channel),
      clock,
      random,
      logger,
      metrics,
      onDiverged: (error) =>
        void tell({ outcome: 'log_diverged', level: 'allow', status: 0, detail: error.message, bundle: '' }),
    });

    const handle = createPipeline(ports);
    const listener: Listener = await startListener({
      host: config.listen.host,
      port: config.listen.port,
      ...(config.tls === null
        ? {}
        : { tls: { cert: readFileSync(config.tls.certificate_file), key: readFileSync(config.tls.key_file) } }),
      handler: (request, reply) => handle(request, reply),
      onTurnedAway: ({ fault, status }) =>
        log
          .append(eventRow(ports, { outcome: `connection_${fault}`, level: 'deny', status, detail: '', bundle: '' }))
          .then(() => undefined),
      limits: { connections: config.limits.connections },
      logger,
      metrics,
    });
    closers.push(() => listener.close(DRAIN_MS));

    const admin = await startAdminServer(config.admin.host, config.admin.port, {
      ready: () => holder.current() !== null && spoolHealthy(),
      status: () => ({
        ready: holder.current() !== null && spoolHealthy(),
        workspace: identity.workspace,
        unit: identity.unit,
        spoke: identity.spoke,
        mode: holder.current()?.settings.mode ?? 'block',
        staleness: staleness(),
        hub_heard: hubTime === undefined ? null : new Date(hubTime.signedS * 1000).toISOString(),
        bundle: activeOffer(),
        nack,
        log: {
          log: log.id,
          nextIndex: log.stats().nextIndex,
          acknowledged: log.stats().acknowledged,
          healthy: spoolHealthy(),
          upload: shipper.stats(),
        },
        certificate_expires: new Date(identity.not_after_ms).toISOString(),
        registries: served.map(({ id, mount }) => ({ id, mount: `/${mount}/` })),
      }),
      metrics: async () => {
        const stats = log.stats();
        metrics.gauge('weir_spoke_spool_used_bytes', stats.usedBytes);
        metrics.gauge('weir_spoke_spool_free_bytes', stats.freeBytes);
        metrics.gauge('weir_spoke_spool_pending_bytes', stats.pendingBytes);
        metrics.gauge('weir_spoke_spool_batches', stats.batches);
        metrics.gauge('weir_spoke_spool_refused_rows', stats.refused);
        metrics.gauge('weir_spoke_spool_healthy', spoolHealthy() ? 1 : 0);
        metrics.gauge('weir_spoke_staleness', STALENESS_GAUGE[staleness()]);
        return { contentType: metrics.contentType, body: await metrics.text() };
      },
      async why(text) {
        const code = readRequestCode(text);
        if (code === undefined)
          throw new WeirError('invalid_argument', 'that is no request code', {
            next: 'a code has eight letters and digits',
          });
        const found = await log.findByCode(code);
        if (found === undefined) return undefined;
        return { row: JSON.parse(found.bytes.toString('utf8')) as unknown, rules: holder.current()?.rules ?? null };
      },
      check: (purl, signal) => checkPurl(ports, purl, signal),
    });
    closers.push(() => admin.close());

    const { signal } = stopping;
    const background = Promise.all([
      followBundles(
        {
          link,
          clock,
          random,
          logger,
          metrics,
          active: activeOffer,
          activate: (offer, aborted) => activator.activate(offer, aborted),
          inStep() {
            // What was refused is no longer on offer.
            if (nack === null) return;
            nack = null;
            reporter.changed();
          },
          heard,
        },
        signal,
      ),
      reporter.run(signal),
      renewIdentity(
        {
          clock,
          random,
          logger,
          notAfterMs: () => identity.not_after_ms,
          async renew(aborted) {
            const renewed = await renewAtHub(channel, identity, aborted);
            identities.write(renewed);
            identity = renewed;
            channel.replaceIdentity(renewed);
            logger.info({ not_after: new Date(renewed.not_after_ms).toISOString() }, 'certificate renewed');
          },
        },
        signal,
      ),
      saveHubTime(signal),
    ]);
    const shipping = new AbortController();
    const shipped = shipper.run(shipping.signal);
    logger.info(
      { registry_port: listener.port, admin_port: admin.port, bundle: holder.current()?.digest ?? '' },
      'spoke started',
    );

    async function saveHubTime(aborted: AbortSignal): Promise<void> {
      while (!aborted.aborted) {
        await clock.sleep(HUB_TIME_SAVE_MS, aborted).catch(() => undefined);
        if (hubTime === undefined) continue;
        const { signedS } = hubTime;
        try {
          hubTimes.write({ signedS, highestWallS: Math.max(hubTime.highestWallS, clock.nowMs() / 1000) });
        } catch (thrown) {
          logger.warn({ reason: describeThrown(thrown) }, 'the time of the last contact could not be kept');
        }
      }
    }

    return {
      registryPort: listener.port,
      adminPort: admin.port,
      activeBundle: () => holder.current()?.digest,
      async close() {
        await admin.close();
        await listener.close(DRAIN_MS);
        await tell({ outcome: 'spoke_stopped', level: 'allow', status: 0, detail: '', bundle: '' });
        const deadline = clock.monotonicMs() + LAST_ROWS_MS;
        while (log.stats().acknowledged < log.stats().nextIndex && clock.monotonicMs() < deadline)
          await clock.sleep(25);
        stopping.abort(new WeirError('cancelled', 'the spoke is closing'));
        shipping.abort(new WeirError('cancelled', 'the spoke is closing'));
        await Promise.all([background, shipped]);
        await closeAll(closers, logger);
        logger.info({}, 'spoke stopped');
      },
    };
  } catch (thrown) {
    stopping.abort();
    await closeAll(closers, logger);
    throw thrown;
  }
}

const PSEUDONYMS_MAX = 10_000;

/** A policy's deadline is about its own work: waiting for a busy machine must not count as looping. */
const cpuClock = {
  monotonicMs(): number {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  },
};
const STALENESS_GAUGE = { fresh: 0, warn: 1, restrict: 2, deny: 3 } as const;

/** Rows about the spoke itself: worth a loud line when they cannot be kept, never worth stopping for. */
async function record(ports: PipelinePorts, row: RowDraft, logger: Logger): Promise<void> {
  try {
    await ports.log.append(row);
  } catch (thrown) {
    const error = asWeirError(thrown, 'spool_failed', 'the event could not be recorded');
    logger.error({ code: error.code, outcome: row.outcome }, 'an event row could not be made durable');
  }
}

async function closeAll(closers: readonly (() => Promise<void>)[], logger: Logger): Promise<void> {
  for (const close of closers.toReversed()) {
    await close().catch((thrown: unknown) =>
      logger.warn({ reason: describeThrown(thrown) }, 'a part did not close cleanly'),
    );
  }
}

function registriesOf({ upstreams }: SpokeConfig): Readonly<Record<string, UpstreamRegistry>> {
  const registries: Record<string, UpstreamRegistry> = {};
  for (const [id, upstream] of Object.entries(upstreams)) {
    if (upstream === undefined) continue;
    const headers = credentials(upstream.credentials_file);
    registries[id] = {
      baseUrl: upstream.url,
      allowedHosts: upstream.artifact_hosts,
      ...(headers === undefined ? {} : { headers }),
    };
  }
  return registries;
}

/** `user:password` becomes Basic, anything else Bearer. */
function credentials(file: string): Readonly<Record<string, string>> | undefined {
  if (file === '') return undefined;
  if (!existsSync(file))
    throw new WeirError('not_found', `the credentials file ${file} does not exist`, {
      next: 'create it or correct credentials_file',
    });
  const text = readFileSync(file, 'utf8').trim();
  return { authorization: text.includes(':') ? `Basic ${Buffer.from(text).toString('base64')}` : `Bearer ${text}` };
}
