// The lead of a spoke, composed: what exists once however many workers serve. It follows and verifies bundles and writes them
// to disk, renews the certificate, remembers and passes on when the hub was heard, reports, and answers on the admin port for
// all. It serves no request and has no log, so that nothing a client sends can reach it.

import { ENGINE } from '@weir/shared/bundle/manifest.ts';
import { describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import type { SpoolDisk } from './audit/spool-disk.ts';
import type { ActivationOutcome, BootOutcome } from './bundle/activate.ts';
import type { SpokeConfig } from './config.ts';
import { reportedLogs, type Crew, type Explained, type LogStatus, type Worker, type WorkerStatus } from './crew.ts';
import { createHubClock, type HubClock } from './hub-clock.ts';
import { startAdminServer, type AdminServer } from './io/admin-server.ts';
import { openBundleStore } from './io/bundle-store.ts';
import { createHubChannel, type HubChannel } from './io/hub-channel.ts';
import { createHubLink } from './io/hub-link.ts';
import { createHubTimeStore } from './io/hub-time-store.ts';
import type { IdentityStore, StoredIdentity } from './io/identity-store.ts';
import { renewAtHub } from './io/join-hub.ts';
import type { SpokeEvent } from './pipeline/event-row.ts';
import { openRetiredLogs } from './retired-logs.ts';
import { createPolicy, type SpokePolicy } from './policy.ts';
import { adapters } from './registries/index.ts';
import { SPOKE_VERSION } from './spoke-limits.ts';
import { followBundles } from './uplink/follow-bundles.ts';
import type { BundleOffer, StatusReport } from './uplink/hub-link.ts';
import { renewIdentity } from './uplink/renew-identity.ts';
import { createStatusReporter } from './uplink/report-status.ts';
import { closeAll } from './worker.ts';

const HUB_TIME_SAVE_MS = 15_000;
/** A worker that has not answered by then counts as absent from the answer. */
const ASK_WORKER_MS = 5_000;
const ADMIN_REQUEST_MS = 60_000;

/** What the lead has made before there are workers; a worker in the same process uses it too. */
export interface LeadParts {
  readonly identity: StoredIdentity;
  readonly channel: HubChannel;
  readonly policy: SpokePolicy;
  readonly boot: BootOutcome;
  readonly hubClock: HubClock;
}

export interface LeadOptions {
  readonly home: string;
  readonly config: SpokeConfig;
  readonly identities: IdentityStore;
  readonly identity: StoredIdentity;
  readonly clock: Clock;
  readonly cpuClock: Pick<Clock, 'monotonicMs'>;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly openDisk: (folder: string) => Promise<SpoolDisk>;
  readonly startCrew: (parts: LeadParts) => Promise<Crew>;
  /** Everything that all processes have counted, in the Prometheus text format. */
  readonly metricsText: (workers: readonly Worker[]) => Promise<string>;
  readonly metricsType: string;
}

export interface Lead {
  readonly registryPort: number;
  readonly adminPort: number;
  /** Digest of the active bundle, undefined while there is none. */
  activeBundle(): string | undefined;
  close(): Promise<void>;
}

/** @throws WeirError when the spoke cannot run at all */
export async function startLead(options: LeadOptions): Promise<Lead> {
  const { home, config, identities, clock, random, logger, metrics } = options;
  let { identity } = options;
  const startedAtMs = clock.nowMs();
  const closers: (() => Promise<void>)[] = [];
  const stopping = new AbortController();

  try {
    const hubTimes = createHubTimeStore(home);
    const hubClock = createHubClock(clock, hubTimes.read());
    const channel = createHubChannel(config.hub, identity);
    closers.push(() => Promise.resolve(channel.close()));
    const link = createHubLink(channel);
    let nack: StatusReport['nack'] = null;
    let settling: Promise<void> = Promise.resolve();
    const policy = createPolicy({
      disk: await openBundleStore(`${home}/bundles`),
      source: link,
      workspace: identity.workspace,
      unit: identity.unit,
      trustRoot: identity.trust_root,
      clock,
      cpuClock: options.cpuClock,
      logger,
      metrics,
      ownsDisk: true,
      settled(outcome) {
        settling = settled(outcome);
      },
    });
    const { holder, activator } = policy;
    const boot = await activator.boot();
    const crew = await options.startCrew({ identity, channel, policy, boot, hubClock });
    closers.push(() => crew.close());
    const retired = await openRetiredLogs({
      ...options,
      workers: crew.state().wanted,
      channel,
    });
    closers.push(() => retired.close());

    const staleness = (): StatusReport['staleness'] => hubClock.stalenessOf(holder.current());
    const activeOffer = (): BundleOffer | null => {
      const bundle = holder.current();
      return bundle === null
        ? null
        : { digest: bundle.digest, epoch: bundle.manifest.epoch, version: bundle.manifest.version };
    };

    function heard(hubTimeMs: number): void {
      hubClock.heard(hubTimeMs);
      const note = hubClock.note();
      if (note !== undefined) for (const worker of crew.workers()) worker.heard(note);
    }

    /** In the log of the first worker that takes it: it happened to the spoke, not to each of them. */
    async function tellOne(event: SpokeEvent): Promise<void> {
      for (const worker of crew.workers()) {
        if (await answered(worker.tell(event))) return;
      }
      logger.error({ outcome: event.outcome }, 'no worker could record an event');
    }

    async function settled(outcome: ActivationOutcome): Promise<void> {
      const { bundle, detail } = outcome;
      nack = outcome.nack === '' ? null : { code: outcome.nack, detail, bundle };
      reporter.changed();
      const row = { level: 'allow', status: 0, bundle: bundle.digest } as const;
      if (outcome.nack === '') {
        const event = `version ${bundle.version} of epoch ${bundle.epoch}`;
        await Promise.all(
          crew.workers().map(async (worker) => {
            // Each finds the bundle good for itself. One that does not is replaced by one that starts from the disk.
            await answered(worker.load());
            await answered(worker.tell({ ...row, outcome: 'bundle_activated', detail: event }));
          }),
        );
      } else {
        await tellOne({ ...row, outcome: 'bundle_refused', detail: `${outcome.nack}: ${detail}` });
      }
      const stage = outcome.stage === 'prepared' ? 'tested' : outcome.stage;
      void link
        .reportActivation({ bundle, stage, nack: outcome.nack, detail, active: activeOffer() }, stopping.signal)
        .catch((thrown: unknown) =>
          logger.debug({ reason: describeThrown(thrown) }, 'an activation report did not reach the hub'),
        );
    }

    async function answered(call: Promise<unknown>): Promise<boolean> {
      try {
        await call;
        return true;
      } catch (thrown) {
        logger.warn({ reason: describeThrown(thrown) }, 'a worker did not do what it was asked');
        return false;
      }
    }

    /** What the workers say that answer in time. */
    async function statuses(): Promise<readonly WorkerStatus[]> {
      const late = AbortSignal.timeout(ASK_WORKER_MS);
      const absent = new Promise<undefined>((resolve) => late.addEventListener('abort', () => resolve(undefined)));
      const all = await Promise.all(
        crew.workers().map((worker) => Promise.race([worker.status().catch(() => undefined), absent])),
      );
      return all.filter((status) => status !== undefined);
    }

    async function ready(): Promise<boolean> {
      return isReady(await statuses());
    }

    /** Outside of block mode, or by a signed setting, damage to the audit keeps nobody from being served. */
    function servesDamaged(): boolean {
      const settings = holder.current()?.settings;
      return settings !== undefined && (settings.mode !== 'block' || settings.audit?.on_damage === 'continue');
    }

    function isReady(workers: readonly WorkerStatus[]): boolean {
      return (
        holder.current() !== null &&
        crew.state().failing.length === 0 &&
        workers.length > 0 &&
        workers.every(({ logs, damaged }) => logs[0]?.healthy === true && (!damaged || servesDamaged()))
      );
    }

    const reporter = createStatusReporter({
      link,
      clock,
      random,
      heard,
      async status() {
        const serving = await statuses();
        const logs = reportedLogs(serving, retired.status());
        return {
          active: activeOffer(),
          mode: holder.current()?.settings.mode ?? 'block',
          staleness: staleness(),
          engine: ENGINE,
          version: SPOKE_VERSION,
          startedAtMs,
          site: config.site,
          logs,
          nack,
          spoolHealthy: serving.every((worker) => worker.logs[0]?.healthy === true),
        };
      },
    });

    const admin: AdminServer = await startAdminServer(config.admin.host, config.admin.port, {
      ready,
      async status() {
        const workers = await statuses();
        const hubTime = hubClock.note();
        const logs = [...workers.flatMap((worker) => worker.logs), ...retired.status()];
        return {
          ready: isReady(workers),
          workspace: identity.workspace,
          unit: identity.unit,
          spoke: identity.spoke,
          mode: holder.current()?.settings.mode ?? 'block',
          staleness: staleness(),
          hub_heard: hubTime === undefined ? null : new Date(hubTime.signedS * 1000).toISOString(),
          bundle: activeOffer(),
          nack,
          log: together(logs, workers),
          workers: { ...crew.state(), serving: workers },
          certificate_expires: new Date(identity.not_after_ms).toISOString(),
          registries: adapters
            .filter(({ id }) => config.upstreams[id as keyof typeof config.upstreams] !== undefined)
            .map(({ id, mount }) => ({ id, mount: `/${mount}/` })),
        };
      },
      async metrics() {
        const { wanted, failing } = crew.state();
        const workers = crew.workers();
        metrics.gauge('weir_spoke_workers', workers.length);
        metrics.gauge('weir_spoke_workers_wanted', wanted);
        metrics.gauge('weir_spoke_workers_failing', failing.length);
        return { contentType: options.metricsType, body: await options.metricsText(workers) };
      },
      async why(text): Promise<Explained | undefined> {
        const found = await Promise.all(crew.workers().map((worker) => worker.why(text)));
        const answer = found.find((each) => each !== undefined);
        if (answer !== undefined) return answer;
        const row = await retired.why(text);
        return row === undefined ? undefined : { row, rules: holder.current()?.rules ?? null };
      },
      check(purl, signal) {
        const [worker] = crew.workers();
        if (worker === undefined)
          throw new WeirError('unavailable', 'no worker of this spoke is running', { retry: 'later' });
        return worker.check(purl, AbortSignal.any([signal, AbortSignal.timeout(ADMIN_REQUEST_MS)]));
      },
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
          async activate(offer, aborted) {
            const outcome = await activator.activate(offer, aborted);
            // The next bundle may sweep this one's layers: not before every worker has read them.
            await settling;
            return outcome;
          },
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
            for (const worker of crew.workers()) worker.renewed();
            logger.info({ not_after: new Date(renewed.not_after_ms).toISOString() }, 'certificate renewed');
          },
        },
        signal,
      ),
      saveHubTime(signal),
    ]);
    logger.info(
      {
        registry_port: crew.registryPort,
        admin_port: admin.port,
        workers: crew.state().wanted,
        bundle: holder.current()?.digest ?? '',
      },
      'spoke started',
    );

    async function saveHubTime(aborted: AbortSignal): Promise<void> {
      while (!aborted.aborted) {
        await clock.sleep(HUB_TIME_SAVE_MS, aborted).catch(() => undefined);
        const last = hubClock.note();
        if (last === undefined) continue;
        try {
          hubTimes.write({ signedS: last.signedS, highestWallS: Math.max(last.highestWallS, clock.nowMs() / 1000) });
        } catch (thrown) {
          logger.warn({ reason: describeThrown(thrown) }, 'the time of the last contact could not be kept');
        }
      }
    }

    return {
      registryPort: crew.registryPort,
      adminPort: admin.port,
      activeBundle: () => holder.current()?.digest,
      async close() {
        await admin.close();
        await crew.close();
        stopping.abort(new WeirError('cancelled', 'the spoke is closing'));
        await background;
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

/** Several logs as one line of a status: positions add up, and one that cannot be written makes all unhealthy. */
function together(logs: readonly LogStatus[], workers: readonly WorkerStatus[]): object {
  const sum = (of: (log: LogStatus) => number): number => logs.reduce((total, log) => total + of(log), 0);
  const troubled = logs.find(({ upload }) => upload.trouble !== '') ?? logs[0];
  return {
    log: logs[0]?.log ?? '',
    nextIndex: sum(({ nextIndex }) => nextIndex),
    acknowledged: sum(({ acknowledged }) => acknowledged),
    healthy: workers.length > 0 && workers.every((worker) => worker.logs[0]?.healthy === true),
    upload: troubled?.upload ?? null,
    each: logs,
  };
}
