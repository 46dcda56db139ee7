// One worker, composed: its share of the requests, its log and the upload of it, its part of the caches. What exists once per
// spoke (following bundles, renewing the certificate, reporting) is the lead's and reaches it through its options.

import { readFileSync } from 'node:fs';
import { hashActor } from '@weir/shared/audit/hash-actor.ts';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import { readRequestCode } from '@weir/shared/domain/request-code.ts';
import { asWeirError, describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import type { ProcessMetrics } from '@weir/shared/telemetry/metrics.ts';
import type { SpoolDisk } from './audit/spool-disk.ts';
import type { BootOutcome } from './bundle/activate.ts';
import type { BundleHolder } from './bundle/active-bundle.ts';
import type { SpokeConfig } from './config.ts';
import type { Worker } from './crew.ts';
import type { HubClock } from './hub-clock.ts';
import { cacheFolders } from './io/cache-keeper.ts';
import type { BlobKeeper, DocumentKeeper } from './io/cache-share.ts';
import { openArtifactCache } from './io/artifact-cache.ts';
import { createArtifactSource } from './io/artifact-source.ts';
import type { HubChannel } from './io/hub-channel.ts';
import type { StoredIdentity } from './io/identity-store.ts';
import { METADATA_CACHE_LIMITS } from './io/io-limits.ts';
import { startListener, type Listener } from './io/listener.ts';
import { openMetadataCache } from './io/metadata-cache.ts';
import { createUpstream } from './io/upstream.ts';
import { upstreamRegistries } from './io/upstream-settings.ts';
import { createPipeline } from './pipeline.ts';
import { checkPurl } from './pipeline/check.ts';
import { countRows, createCounters } from './pipeline/counters.ts';
import { eventRow, type SpokeEvent } from './pipeline/event-row.ts';
import type { ActivePolicy, MetadataPort, PipelinePorts } from './pipeline/ports.ts';
import { createTurnedAway } from './pipeline/turned-away.ts';
import type { Releases } from './registries/adapter.ts';
import { adapters } from './registries/index.ts';
import { DRAIN_MS, LAST_ROWS_MS, SPOKE_VERSION } from './spoke-limits.ts';
import { openWorkerLog } from './worker-log.ts';

export interface WorkerOptions {
  /** `w0`, `w1`, …; also the name of its log's folder. */
  readonly name: string;
  /** How many workers the spoke has: budgets of the spoke are divided by it. */
  readonly workers: number;
  readonly home: string;
  readonly config: SpokeConfig;
  readonly identity: StoredIdentity;
  readonly channel: HubChannel;
  readonly policy: BundleHolder<ActivePolicy>;
  /** What became of the bundles on disk when this process started. */
  readonly boot: BootOutcome;
  /** Why this worker runs again, '' at the start of the spoke. */
  readonly restarted: string;
  /** Loads the bundle that the disk names as current. */
  readonly load: Worker['load'];
  /** Takes the certificate that the identity file has now. */
  readonly renewed: () => void;
  /** Who keeps the cache folders; this worker itself when absent. */
  readonly keepers?: { readonly blobs: BlobKeeper; readonly documents: DocumentKeeper };
  readonly hubClock: HubClock;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: ProcessMetrics;
  readonly openDisk: (folder: string) => Promise<SpoolDisk>;
  /** HTTP_PROXY and the like for upstream. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface StartedWorker extends Worker {
  readonly registryPort: number;
}

/** Between two counter rows. */
const COUNTERS_MS = 60_000;
const PSEUDONYMS_MAX = 10_000;
const STALENESS_GAUGE = { fresh: 0, warn: 1, restrict: 2, deny: 3 } as const;

/** @throws WeirError when the worker cannot run at all: port taken, damaged log, unusable folders */
export async function startWorker(options: WorkerOptions): Promise<StartedWorker> {
  const { name, workers, home, config, env, identity, policy, hubClock, clock, random, logger, metrics } = options;
  const closers: (() => Promise<void>)[] = [];
  try {
    const log = await openWorkerLog(options);
    closers.push(() => log.close());

    const registries = upstreamRegistries(config);
    const upstream = createUpstream({
      registries,
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
    const folders = cacheFolders(home);
    const { keepers } = options;
    const cache = await openArtifactCache({
      folder: folders.artifacts,
      ...(keepers === undefined ? {} : { keeper: keepers.blobs }),
      limits: { totalBytes: config.limits.cache_bytes },
      logger,
      metrics,
    });
    closers.push(() => cache.close());
    const documents = await openMetadataCache<Releases>({
      upstream,
      folder: folders.documents,
      ...(keepers === undefined ? {} : { keeper: keepers.documents }),
      limits: {
        freshMs: config.limits.metadata_fresh_s * 1000,
        staleMs: config.limits.metadata_stale_s * 1000,
        memoryBytes: Math.floor(METADATA_CACHE_LIMITS.memoryBytes / workers),
      },
      clock,
      logger,
      metrics,
    });
    closers.push(() => documents.close());

    const metadata: MetadataPort = {
      async read(adapter, packageName, signal) {
        const request = adapter.metadataRequest(packageName);
        const read = (document: Parameters<typeof adapter.readMetadata>[0]): Releases =>
          adapter.readMetadata(document, packageName);
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
    const hotBytes = Math.floor(config.limits.hot_bytes / workers);
    const counted = countRows(log);
    const ports: PipelinePorts = {
      adapters: adapters.filter(({ id }) => id in registries),
      policy: () => policy.current()?.prepared,
      staleness: () => hubClock.stalenessOf(policy.current()),
      metadata,
      artifacts: createArtifactSource({ cache, upstream, hotBytes, metrics }),
      log: counted,
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
    const tell = (event: SpokeEvent): Promise<void> => record(eventRow(ports, event));
    const note = (outcome: string, detail: string): Promise<void> =>
      tell({ outcome, level: 'allow', status: 0, detail, bundle: '' });

    for (const { pointer, nack, detail } of options.boot.refusals)
      await note('bundle_refused', `${pointer} on disk: ${nack}: ${detail}`);
    await note(
      options.restarted === '' ? 'spoke_started' : 'worker_restarted',
      `weir ${SPOKE_VERSION}, bundle from ${options.boot.from ?? 'nowhere'}${options.restarted === '' ? '' : `, after ${options.restarted}`}`,
    );

    const handle = createPipeline(ports);
    const turnedAway = createTurnedAway(ports);
    const listener: Listener = await startListener({
      host: config.listen.host,
      port: config.listen.port,
      ...(config.tls === null
        ? {}
        : { tls: { cert: readFileSync(config.tls.certificate_file), key: readFileSync(config.tls.key_file) } }),
      handler: (request, reply) => handle(request, reply),
      async onTurnedAway({ fault, status }) {
        const row = turnedAway.next(fault, status);
        if (row === undefined) return false;
        await log.append(row);
        return undefined;
      },
      limits: { connections: Math.ceil(config.limits.connections / workers) },
      logger,
      metrics,
    });
    closers.push(() => listener.close(DRAIN_MS));

    const counters = createCounters(
      ports,
      () => listener.traffic(),
      () => counted.rows + log.recordedAgain(),
    );
    const counting = new AbortController();
    const counts = countMinutes(counting.signal);
    const shipping = new AbortController();
    const shipped = log.ship(shipping.signal);
    let closing: Promise<void> | undefined;

    /** Rows about the spoke itself: worth a loud line when they cannot be kept, never worth stopping for. */
    async function record(row: RowDraft): Promise<void> {
      try {
        await log.append(row);
      } catch (thrown) {
        const error = asWeirError(thrown, 'spool_failed', 'the event could not be recorded');
        logger.error({ code: error.code, outcome: row.outcome }, 'an event row could not be made durable');
      }
    }

    async function recordCounters(): Promise<void> {
      const untold = turnedAway.untold();
      if (untold !== undefined) await record(untold);
      await record(counters.next());
    }

    async function countMinutes(signal: AbortSignal): Promise<void> {
      while (!signal.aborted) {
        await clock.sleep(COUNTERS_MS, signal).catch(() => undefined);
        if (!signal.aborted) await recordCounters();
      }
    }

    async function close(): Promise<void> {
      await listener.close(DRAIN_MS);
      counting.abort();
      await counts;
      await recordCounters();
      await note('spoke_stopped', '');
      const deadline = clock.monotonicMs() + LAST_ROWS_MS;
      while (!log.isEmpty() && clock.monotonicMs() < deadline) await clock.sleep(25);
      shipping.abort(new WeirError('cancelled', 'the spoke is closing'));
      await shipped;
      await closeAll(closers, logger);
    }

    return {
      name,
      registryPort: listener.port,
      status() {
        return Promise.resolve({
          name,
          pid: process.pid,
          bundle: policy.current()?.digest ?? null,
          damaged: log.damaged(),
          logs: log.status(),
        });
      },
      metrics() {
        log.measure();
        const { refused, servedBytes } = listener.traffic();
        metrics.gauge('weir_spoke_http_refused', refused);
        metrics.gauge('weir_spoke_http_served_bytes', servedBytes);
        metrics.gauge('weir_spoke_rows', counted.rows);
        metrics.gauge('weir_spoke_staleness', STALENESS_GAUGE[ports.staleness()]);
        return metrics.values(false);
      },
      async why(text) {
        const code = readRequestCode(text);
        const row = code === undefined ? undefined : await log.findByCode(code);
        return row === undefined ? undefined : { row, rules: policy.current()?.rules ?? null };
      },
      check: (purl, signal) => checkPurl(ports, purl, signal),
      tell,
      load: options.load,
      heard: (time) => hubClock.take(time),
      renewed: options.renewed,
      close: () => (closing ??= close()),
    };
  } catch (thrown) {
    await closeAll(closers, logger);
    throw thrown;
  }
}

/** Closes in reverse order; what does not close is logged. */
export async function closeAll(closers: readonly (() => Promise<void>)[], logger: Logger): Promise<void> {
  for (const close of closers.toReversed()) {
    await close().catch((thrown: unknown) =>
      logger.warn({ reason: describeThrown(thrown) }, 'a part did not close cleanly'),
    );
  }
}
