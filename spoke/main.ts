// The spoke's entry: one process, or a lead and several workers. It enforces as soon as a verified bundle is at hand and goes
// on whatever happens to the hub; without one it refuses everything. `lead.ts` and `worker.ts` compose the two halves.

import { fileURLToPath } from 'node:url';
import { createLogger, type LogLevel, type LogStream } from '@weir/shared/telemetry/logger.ts';
import { SPOKE_METRICS } from '@weir/shared/telemetry/metric-declarations.ts';
import { aggregateMetrics, createMetrics, type ProcessMetrics } from '@weir/shared/telemetry/metrics.ts';
import type { SpoolDisk } from './audit/spool-disk.ts';
import type { SpokeConfig } from './config.ts';
import type { Crew, Worker } from './crew.ts';
import { openCacheKeeper } from './io/cache-keeper.ts';
import { createIdentityStore } from './io/identity-store.ts';
import { openUnlocked } from './io/spool-disk.ts';
import { systemClock, threadClock } from './io/system-clock.ts';
import { systemRandom } from './io/system-random.ts';
import { startWorkerProcesses } from './io/worker-processes.ts';
import { startLead, type Lead, type LeadParts } from './lead.ts';
import type { StartOrder } from './worker-process.ts';
import { startWorker } from './worker.ts';

export { SPOKE_VERSION } from './spoke-limits.ts';

export interface SpokeOptions {
  readonly home: string;
  readonly config: SpokeConfig;
  readonly logStream: LogStream;
  readonly logLevel?: LogLevel;
  /** How many; with one, which is the default, lead and worker are one process. */
  readonly workers?: number;
  /** Where the audit spool lies; the real disk unless a test brings its own. Of a spoke in one process only. */
  readonly openDisk?: (folder: string) => Promise<SpoolDisk>;
  /** HTTP_PROXY and the like for upstream. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Closing stops taking requests, lets those under way finish, and hands over the last rows. */
export type Spoke = Lead;

/** @throws WeirError when the spoke cannot run at all: no identity, ports taken, damaged log, unusable folders */
export async function startSpoke(options: SpokeOptions): Promise<Spoke> {
  const { home, config } = options;
  const identities = createIdentityStore(home);
  const identity = identities.read();
  const logLevel = options.logLevel ?? 'info';
  const logger = createLogger({
    level: logLevel,
    stream: options.logStream,
    base: { part: 'spoke', unit: identity.unit, spoke: identity.spoke },
  });
  const metrics: ProcessMetrics = createMetrics({
    declared: SPOKE_METRICS,
    onUndeclared: (name) => logger.warn({ metric: name }, 'an undeclared metric was dropped'),
  });
  const openDisk = options.openDisk ?? openUnlocked;
  const each = { openDisk, home, config, clock: systemClock, random: systemRandom, logger, metrics };
  const workers = options.workers ?? 1;
  const alone = workers === 1;
  return startLead({
    ...each,
    identities,
    identity,
    cpuClock: threadClock,
    metricsType: metrics.contentType,
    async metricsText(crew: readonly Worker[]) {
      const values = await Promise.all(crew.map((worker) => worker.metrics().catch(() => [])));
      return alone ? metrics.text() : aggregateMetrics([...values, await metrics.values(true)]);
    },
    startCrew: (parts) => (alone ? workerHere(parts) : workersApart(parts)),
  });

  async function workerHere({ channel, policy, boot, hubClock }: LeadParts): Promise<Crew> {
    const worker = await startWorker({
      ...each,
      name: 'w0',
      workers,
      identity,
      channel,
      policy: policy.holder,
      boot,
      restarted: '',
      // They share the lead's, which has just been swapped.
      load: () => Promise.resolve(policy.holder.current()?.digest ?? null),
      renewed: () => undefined,
      hubClock,
      env: options.env,
    });
    return {
      registryPort: worker.registryPort,
      workers: () => [worker],
      state: () => ({ wanted: 1, restarts: 0, failing: [] }),
      close: () => worker.close(),
    };
  }

  async function workersApart({ policy, hubClock }: LeadParts): Promise<Crew> {
    const keeper = await openCacheKeeper({ ...each, cacheBytes: config.limits.cache_bytes });
    const crew = await startWorkerProcesses({
      ...each,
      count: workers,
      ...config.listen,
      program: fileURLToPath(import.meta.resolve('./worker-process.ts')),
      startOrder: (name, port, restarted): StartOrder => ({
        name,
        workers,
        home,
        config: { ...config, listen: { ...config.listen, port } },
        logLevel,
        hubTime: hubClock.note(),
        restarted,
      }),
      answers: (name) => keeper.answers(name),
      began: (name, pid, peer) => keeper.attach(name, pid, peer),
      async welcome(worker) {
        const note = hubClock.note();
        if (note !== undefined) worker.heard(note);
        // What became active while it started.
        if (policy.holder.current() !== null) await worker.load();
      },
      ended: (name) => keeper.detach(name),
    }).catch(async (thrown: unknown) => {
      await keeper.close();
      throw thrown;
    });
    return {
      ...crew,
      async close() {
        await crew.close();
        await keeper.close();
      },
    };
  }
}
