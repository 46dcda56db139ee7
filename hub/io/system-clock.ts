// The real clock.

import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '@weir/shared/ports/clock.ts';

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  async sleep(ms, signal) {
    await delay(Math.max(0, ms), undefined, signal === undefined ? {} : { signal });
  },
};
