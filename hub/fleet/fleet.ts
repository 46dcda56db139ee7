// Who is connected, what they run and how far behind they are. Written by the spokes' own reports, read by the fleet view.

import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { SpokeStatus } from './spoke-status.ts';
import type { FleetRecord, FleetStore } from '../store/fleet-store.ts';

/** How often a spoke is asked to report, and after how long a silence it counts as gone. */
export const REPORT_INTERVAL_MS = 30_000;
const SILENCE_MS = 75_000;

interface SpokeKey {
  readonly unit: string;
  readonly spoke: string;
}

export interface FleetSpoke extends FleetRecord {
  readonly connected: boolean;
}

export interface Fleet {
  /** @returns hub time and when the next report is expected */
  report(spoke: SpokeKey, status: SpokeStatus): Promise<{ readonly hubTimeMs: number; readonly intervalMs: number }>;
  noteActivation(
    spoke: SpokeKey,
    outcome: Pick<SpokeStatus, 'active' | 'nack' | 'nackDetail' | 'nacked'>,
  ): Promise<void>;
  /** A watch stream opened; call the result when it closes. */
  watching(spoke: SpokeKey): Promise<() => Promise<void>>;
  list(
    unit: string,
    page: { readonly size: number; readonly cursor: string },
  ): Promise<{ readonly spokes: readonly FleetSpoke[]; readonly nextCursor: string }>;
}

export function createFleet(options: {
  readonly store: FleetStore;
  readonly clock: Clock;
  readonly metrics: Metrics;
}): Fleet {
  const { store, clock, metrics } = options;
  const streams = new Map<string, number>();

  function change(key: string, by: 1 | -1): number {
    const count = (streams.get(key) ?? 0) + by;
    if (count <= 0) streams.delete(key);
    else streams.set(key, count);
    metrics.gauge('weir_hub_spokes_connected', streams.size);
    return count;
  }

  return {
    async report({ unit, spoke }, status) {
      const now = clock.nowMs();
      await store.putStatus(unit, spoke, status, now);
      if (status.nack !== '') metrics.count('weir_hub_nacks_reported_total');
      return { hubTimeMs: now, intervalMs: REPORT_INTERVAL_MS };
    },
    async noteActivation({ unit, spoke }, outcome) {
      await store.noteActivation(unit, spoke, outcome, clock.nowMs());
    },
    async watching({ unit, spoke }) {
      const key = `${unit}/${spoke}`;
      change(key, 1);
      try {
        await store.setWatching(unit, spoke, true, clock.nowMs());
      } catch (thrown) {
        change(key, -1);
        throw thrown;
      }
      return async () => {
        // A spoke that reconnects opens its new stream before the old one ends: only the last one counts.
        if (change(key, -1) <= 0) await store.setWatching(unit, spoke, false, clock.nowMs());
      };
    },
    async list(unit, page) {
      const { spokes, nextCursor } = await store.listFleet(unit, page);
      const now = clock.nowMs();
      return {
        spokes: spokes.map((spoke) => ({
          ...spoke,
          connected:
            spoke.watching && !spoke.denied && spoke.lastSeenMs !== null && now - spoke.lastSeenMs < SILENCE_MS,
        })),
        nextCursor,
      };
    },
  };
}
