// Full-jitter exponential backoff: after a hub restart a thousand spokes must not come back in the same second.

import type { Random } from '@weir/shared/ports/random.ts';

export interface BackoffLimits {
  readonly baseMs: number;
  readonly maxMs: number;
}

export const RECONNECT: BackoffLimits = { baseMs: 500, maxMs: 30_000 };

/** Wait before attempt `failures` (1 = after the first failure): uniform in [0, min(max, base·2^failures)). */
export function backoffMs(failures: number, random: Random, limits: BackoffLimits = RECONNECT): number {
  const ceiling = Math.min(limits.maxMs, limits.baseMs * 2 ** Math.min(failures, 16));
  return random.unit() * ceiling;
}
