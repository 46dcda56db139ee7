// Background jobs that one replica of the hub does for all: whoever holds the job's lock works, the others try again every
// moment and take over within seconds. A leader that is cut off may still be at work while the next one begins, so every
// job has to be one that two may do at once without harm: a lock saves work, it does not make it right.

import { describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';

export const LEADER_LIMITS = {
  /** Between attempts to become the leader; a dead leader is followed within this time. */
  tryMs: 2_000,
} as const;

/** The jobs there are; they label metrics. */
export const JOBS = ['partitions', 'tiles', 'copy', 'retention', 'push'] as const;
export type Job = (typeof JOBS)[number];

/** A lock by name that only one process of all replicas holds. */
export interface LeaderLock {
  /** Takes the lock when it is free, undefined otherwise. Throws when the lock's keeper cannot be reached. */
  take(name: string): Promise<Lease | undefined>;
}

export interface Lease {
  /** Aborted when the lock is gone without having been given back. */
  readonly lost: AbortSignal;
  /** Gives the lock to whoever wants it next; harmless when it is lost. */
  release(): Promise<void>;
}

export interface Leader {
  /** Works while leading, tries to lead otherwise, until the signal aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>;
  isLeading(): boolean;
}

export function createLeader(parts: {
  readonly lock: LeaderLock;
  readonly name: Job;
  /** One turn of the job. The signal aborts when this process no longer leads or stops. A failed turn is told and tried again. */
  readonly work: (signal: AbortSignal) => Promise<void>;
  /** Pause between turns, milliseconds. */
  readonly everyMs: number;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
}): Leader {
  const { lock, name, work, everyMs, clock, logger, metrics } = parts;
  let leading = false;

  async function take(): Promise<Lease | undefined> {
    try {
      return await lock.take(name);
    } catch (thrown) {
      logger.debug({ job: name, error: describeThrown(thrown) }, 'the lock of a background job could not be asked for');
      return undefined;
    }
  }

  function note(now: boolean): void {
    leading = now;
    metrics.gauge('weir_hub_leading', now ? 1 : 0, { job: name });
    metrics.count('weir_hub_leader_changes_total', { job: name });
    logger.info({ job: name }, now ? 'this hub leads a background job' : 'this hub no longer leads a background job');
  }

  async function lead(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await work(signal);
      } catch (thrown) {
        if (!signal.aborted) logger.error({ job: name, error: describeThrown(thrown) }, 'a background job failed');
      }
      await clock.sleep(everyMs, signal).catch(() => undefined);
    }
  }

  return {
    isLeading: () => leading,
    async run(signal) {
      while (!signal.aborted) {
        const lease = await take();
        if (lease === undefined) {
          await clock.sleep(LEADER_LIMITS.tryMs, signal).catch(() => undefined);
          continue;
        }
        note(true);
        try {
          await lead(AbortSignal.any([signal, lease.lost]));
        } finally {
          note(false);
          await lease.release();
        }
      }
    },
  };
}
