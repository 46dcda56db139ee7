// The program of a worker that is a process of its own: takes its order from the lead over the channel, serves until it is
// told to stop, and ends with the lead. It reads identity and bundle from disk by the same checks as a start.

import { join } from 'node:path';
import { describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import { createLogger, type LogLevel } from '@weir/shared/telemetry/logger.ts';
import { SPOKE_METRICS } from '@weir/shared/telemetry/metric-declarations.ts';
import { createMetrics } from '@weir/shared/telemetry/metrics.ts';
import type { SpokeConfig } from './config.ts';
import { createHubClock, type HubTimeNote } from './hub-clock.ts';
import { openBundleStore } from './io/bundle-store.ts';
import { distantKeepers } from './io/cache-keeper.ts';
import { createHubChannel } from './io/hub-channel.ts';
import { createIdentityStore } from './io/identity-store.ts';
import { createPeer, type PeerChannel } from './io/peer.ts';
import { openUnlocked } from './io/spool-disk.ts';
import { systemClock, threadClock } from './io/system-clock.ts';
import { systemRandom } from './io/system-random.ts';
import { workerAnswers } from './io/worker-link.ts';
import { createPolicy } from './policy.ts';
import { startWorker, type StartedWorker, type WorkerOptions } from './worker.ts';

/** What a worker is told first. */
export interface StartOrder {
  readonly name: string;
  readonly workers: number;
  readonly home: string;
  readonly config: SpokeConfig;
  readonly logLevel: LogLevel;
  /** Undefined before the first contact with the hub. */
  readonly hubTime: HubTimeNote | undefined;
  /** Why it runs again, '' at the start of the spoke. */
  readonly restarted: string;
}

async function start(order: StartOrder, keepers: WorkerOptions['keepers']): Promise<StartedWorker> {
  const { name, workers, home, config, logLevel, hubTime, restarted } = order;
  const identities = createIdentityStore(home);
  const identity = identities.read();
  const clock = systemClock;
  const logger = createLogger({
    level: logLevel,
    stream: process.stdout,
    base: { part: 'spoke', unit: identity.unit, spoke: identity.spoke, worker: name },
  });
  const metrics = createMetrics({
    declared: SPOKE_METRICS,
    onUndeclared: (metric) => logger.warn({ metric }, 'an undeclared metric was dropped'),
  });
  const hubClock = createHubClock(clock);
  if (hubTime !== undefined) hubClock.take(hubTime);
  const channel = createHubChannel(config.hub, identity);
  const { activator, holder } = createPolicy({
    disk: await openBundleStore(join(home, 'bundles'), { sweep: false }),
    source: nowhere,
    workspace: identity.workspace,
    unit: identity.unit,
    trustRoot: identity.trust_root,
    clock,
    cpuClock: threadClock,
    logger,
    metrics,
    ownsDisk: false,
  });
  const worker = await startWorker({
    name,
    workers,
    home,
    config,
    identity,
    channel,
    policy: holder,
    boot: await activator.boot(),
    restarted,
    async load() {
      const { refusals } = await activator.reload();
      const [refusal] = refusals;
      if (refusal !== undefined) throw new WeirError('untrusted', `${refusal.nack}: ${refusal.detail}`);
      return holder.current()?.digest ?? null;
    },
    renewed() {
      try {
        channel.replaceIdentity(identities.read());
      } catch (thrown) {
        logger.error({ reason: describeThrown(thrown) }, 'the renewed certificate could not be read');
      }
    },
    ...(keepers === undefined ? {} : { keepers }),
    hubClock,
    clock,
    random: systemRandom,
    logger,
    metrics,
    openDisk: openUnlocked,
    env: process.env,
  });
  return {
    ...worker,
    async close() {
      await worker.close();
      channel.close();
    },
  };
}

/** Bundles reach a worker over the disk only. */
const nowhere: Parameters<typeof createPolicy>[0]['source'] = {
  fetchEnvelope: () => Promise.reject(new WeirError('unsupported', 'a worker fetches no bundle')),
  fetchLayer() {
    throw new WeirError('unsupported', 'a worker fetches no bundle');
  },
};

let worker: StartedWorker | undefined;
const running = (): StartedWorker => {
  if (worker === undefined) throw new WeirError('unavailable', 'this worker has not started yet', { retry: 'later' });
  return worker;
};
// A signal to the whole group (a terminal's Ctrl-C, a service manager's stop) is the lead's to act on.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
const channel: PeerChannel = {
  send: (message, done) => void process.send?.(message, undefined, undefined, done),
  on: process.on.bind(process),
};
const keepers = distantKeepers();
keepers.over(
  createPeer(channel, {
    ...keepers.answers,
    ...workerAnswers(running),
    async start(order: StartOrder) {
      worker = await start(order, keepers);
    },
    async close() {
      await running().close();
      // After the answer has left.
      setImmediate(() => process.disconnect?.());
    },
  }),
);
// Without its lead a worker would enforce what may have been revoked, and keep port and log from the next start.
process.on('disconnect', () => process.exit(worker === undefined ? 1 : 0));
