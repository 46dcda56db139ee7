// The spoke's entry: one process, or a lead and several workers. It enforces as soon as a verified bundle is at hand and goes
// on whatever happens to the hub; without one it refuses everything. `lead.ts` and `worker.ts` compose the two halves.

import type { Worker } from './crew.ts';
import { createLogger, type LogLevel, type LogStream } from '@weir/shared/telemetry/logger.ts';
import { SPOKE_METRICS } from '@weir/shared/telemetry/metric-declarations.ts';
import { createMetrics, type RegistryMetrics } from '@weir/shared/telemetry/metrics.ts';
import type { SpoolDisk } from './audit/spool-disk.ts';
import type { SpokeConfig } from './config.ts';
import { createIdentityStore } from './io/identity-store.ts';
import { openSpoolDisk } from './io/spool-disk.ts';
import { systemClock, threadClock } from './io/system-clock.ts';
import { systemRandom } from './io/system-random.ts';
import { startLead, type Lead } from './lead.ts';
import { startWorker } from './worker.ts';

export { SPOKE_VERSION } from './spoke-limits.ts';

export interface SpokeOptions {
  readonly home: string;
  readonly config: SpokeConfig;
  readonly logStream: LogStream;
  readonly logLevel?: LogLevel;
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
  const logger = createLogger({
    level: options.logLevel ?? 'info',
    stream: options.logStream,
    base: { part: 'spoke', unit: identity.unit, spoke: identity.spoke },
  });
  const metrics: RegistryMetrics = createMetrics({
    declared: SPOKE_METRICS,
    onUndeclared: (name) => logger.warn({ metric: name }, 'an undeclared metric was dropped'),
  });
  const each = { home, config, clock: systemClock, random: systemRandom, logger, metrics };
  return startLead({
    ...each,
    identities,
    identity,
    cpuClock: threadClock,
    metricsType: metrics.contentType,
    async metricsText(workers: readonly Worker[]) {
      await Promise.all(workers.map((worker) => worker.metrics()));
      return metrics.text();
    },
    async startCrew({ channel, policy, boot, hubClock }) {
      const worker = await startWorker({
        ...each,
        name: 'w0',
        workers: 1,
        identity,
        channel,
        policy: policy.holder,
        boot,
        restarted: '',
        // They share the lead's, which has just been swapped.
        load: () => Promise.resolve(policy.holder.current()?.digest ?? null),
        renewed: () => undefined,
        hubClock,
        openDisk: options.openDisk ?? openSpoolDisk,
        env: options.env,
      });
      return {
        registryPort: worker.registryPort,
        workers: () => [worker],
        state: () => ({ wanted: 1, restarts: 0, failing: [] }),
        close: () => worker.close(),
      };
    },
  });
}
