// Slows guessing down: an address that fails too often in a window is refused for the rest of it, before any credential is
// looked at. Addresses are counted in a bounded table; when it is full the oldest entry goes.

import type { Clock } from '@weir/shared/ports/clock.ts';

export interface FailureLimiter {
  isBlocked(address: string): boolean;
  noteFailure(address: string): void;
}

export const FAILURE_LIMITS = { failures: 20, windowMs: 60_000, addresses: 10_000 } as const;

export function createFailureLimiter(
  clock: Clock,
  limits: { readonly [Name in keyof typeof FAILURE_LIMITS]: number } = FAILURE_LIMITS,
): FailureLimiter {
  const table = new Map<string, { failures: number; readonly untilMs: number }>();
  return {
    isBlocked(address) {
      const entry = table.get(address);
      return entry !== undefined && entry.untilMs > clock.monotonicMs() && entry.failures >= limits.failures;
    },
    noteFailure(address) {
      const now = clock.monotonicMs();
      const entry = table.get(address);
      if (entry !== undefined && entry.untilMs > now) {
        entry.failures += 1;
        return;
      }
      table.delete(address);
      if (table.size >= limits.addresses) {
        for (const oldest of table.keys()) {
          table.delete(oldest);
          break;
        }
      }
      table.set(address, { failures: 1, untilMs: now + limits.windowMs });
    },
  };
}
