// Small working stand-ins for ports that the audit tests do not look at.

import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';

export const uncounted: Metrics = { count: () => undefined, gauge: () => undefined, observe: () => undefined };

/** Wall and monotonic time stand still but for sleeping, which passes in one turn of the event loop. */
export function instantClock(): Clock & { readonly slept: number[] } {
  const slept: number[] = [];
  let now = 0;
  return {
    slept,
    nowMs: () => now,
    monotonicMs: () => now,
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      slept.push(ms);
      now += ms;
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    },
  };
}

/** Waits for a condition, turn by turn; fails when it never comes true. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 20_000,
): Promise<void> {
  const started = performance.now();
  while (!(await condition())) {
    if (performance.now() - started > withinMs) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
