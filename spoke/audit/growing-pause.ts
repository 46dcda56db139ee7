// How long to wait before something that keeps going wrong is done again: not at all after a calm time, then longer and
// longer. It keeps a failing disk, or a hub that closes every log, from making the spoke spin.

import type { Clock } from '@weir/shared/ports/clock.ts';

export interface PauseLimits {
  /** The second attempt waits this long, each one after it twice as long as the one before. */
  readonly firstMs: number;
  readonly maxMs: number;
  /** After so long without an attempt the next one waits not at all. */
  readonly calmMs: number;
}

export interface GrowingPause {
  /** Milliseconds to wait before the attempt that is about to be made. */
  next(): number;
}

export function growingPause(limits: PauseLimits, clock: Pick<Clock, 'monotonicMs'>): GrowingPause {
  let pauseMs = 0;
  let lastMs = Number.NEGATIVE_INFINITY;
  return {
    next() {
      const now = clock.monotonicMs();
      const isCalm = now - lastMs > limits.calmMs;
      pauseMs = isCalm ? 0 : Math.min(limits.maxMs, Math.max(limits.firstMs, pauseMs * 2));
      lastMs = now + pauseMs;
      return pauseMs;
    },
  };
}
