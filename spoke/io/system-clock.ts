// The real clock.

import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '@weir/shared/ports/clock.ts';

/** Longest single timer Node keeps exactly; longer sleeps are chained. */
const TIMER_MAX_MS = 2_000_000_000;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  async sleep(ms, signal) {
    let leftMs = Math.max(0, ms);
    do {
      const step = Math.min(leftMs, TIMER_MAX_MS);
      await delay(step, undefined, { ...(signal === undefined ? {} : { signal }), ref: true });
      leftMs -= step;
    } while (leftMs > 0);
  },
};

/** Time that this thread has worked, for deadlines that must not count waiting for a busy machine. */
export const threadClock: Pick<Clock, 'monotonicMs'> = {
  monotonicMs(): number {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  },
};
