// Months of the ledger, made ahead of the rows that will fill them. Rows from further off, of spokes that were away for long or
// whose clocks are wrong, find the default partition at once; this job moves them to their months later.

import type { Clock } from '@weir/shared/ports/clock.ts';
import type { AuditStore } from '../store/audit-store.ts';

const DAY_MS = 86_400_000;

export const PARTITION_LIMITS = {
  /** Between turns. */
  everyMs: 3_600_000,
  /** Always there: the month of a row that is sent late by a day or two, and two that are to come. */
  backMs: 31 * DAY_MS,
  aheadMs: 62 * DAY_MS,
  /** Rows in the default partition get their month when it is within these; beyond, a claimed time means little. */
  strayBackMs: 400 * DAY_MS,
  strayAheadMs: 40 * DAY_MS,
} as const;

/** One turn. Harmless when two hubs do it at once. */
export async function makePartitions(
  store: Pick<AuditStore, 'ensurePartitions' | 'strayMonths'>,
  clock: Pick<Clock, 'nowMs'>,
  signal: AbortSignal,
): Promise<void> {
  const now = clock.nowMs();
  await store.ensurePartitions(now - PARTITION_LIMITS.backMs, now + PARTITION_LIMITS.aheadMs);
  for (const month of await store.strayMonths()) {
    if (signal.aborted) return;
    const recent = month + PARTITION_LIMITS.backMs >= now - PARTITION_LIMITS.strayBackMs;
    if (!recent || month > now + PARTITION_LIMITS.strayAheadMs) continue;
    await store.ensurePartitions(month, month);
  }
}
