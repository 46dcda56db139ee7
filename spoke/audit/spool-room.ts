// How much room a spool has left: what waits for the hub's receipt, how fast that grows, when it will be full; and the alarm
// that rings well before.

import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';

/** Share of the limit at which the alarm rings, and that at which it is quiet again. */
export const ALARM_AT = 0.8;
const QUIET_AT = 0.7;
/** Growth is measured over the last so many milliseconds, in steps of the second number. */
const GROWTH_MS = 180_000;
const SAMPLE_MS = 5_000;

export interface SpoolDepth {
  readonly unreceiptedBytes: number;
  readonly limitBytes: number;
}

export interface SpoolRoom {
  /** Bytes a second by which unreceipted rows have grown over the last minutes; negative while they drain. */
  readonly growthBytesPerS: number;
  /** Seconds until nothing more fits if that goes on, null while it does not grow. */
  readonly secondsUntilFull: number | null;
  /** 80 % of the limit were reached, and it has not fallen below 70 % since. */
  readonly nearlyFull: boolean;
}

export interface SpoolGauge {
  /** Takes a sample when one is due. Cheap. */
  note(depth: () => SpoolDepth): void;
  room(depth: SpoolDepth): SpoolRoom;
}

export function createSpoolGauge(parts: {
  readonly log: string;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
}): SpoolGauge {
  const { log, clock, logger, metrics } = parts;
  const samples: { readonly atMs: number; readonly bytes: number }[] = [];
  let nearlyFull = false;

  function room({ unreceiptedBytes, limitBytes }: SpoolDepth): SpoolRoom {
    const oldest = samples[0];
    const passedMs = oldest === undefined ? 0 : clock.monotonicMs() - oldest.atMs;
    const growth = oldest === undefined || passedMs <= 0 ? 0 : ((unreceiptedBytes - oldest.bytes) / passedMs) * 1_000;
    const left = Math.max(0, limitBytes - unreceiptedBytes);
    return {
      growthBytesPerS: Math.round(growth),
      secondsUntilFull: growth > 0 ? Math.round(left / growth) : null,
      nearlyFull,
    };
  }

  return {
    room,
    note(depthNow) {
      const atMs = clock.monotonicMs();
      if (atMs - (samples.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY) < SAMPLE_MS) return;
      const depth = depthNow();
      const { unreceiptedBytes, limitBytes } = depth;
      samples.push({ atMs, bytes: unreceiptedBytes });
      while (atMs - (samples[0]?.atMs ?? atMs) > GROWTH_MS) samples.shift();
      const share = unreceiptedBytes / limitBytes;
      metrics.gauge('weir_spoke_spool_unreceipted_bytes', unreceiptedBytes);
      const was = nearlyFull;
      nearlyFull = share >= (was ? QUIET_AT : ALARM_AT);
      metrics.gauge('weir_spoke_spool_nearly_full', nearlyFull ? 1 : 0);
      if (nearlyFull && !was) {
        const { secondsUntilFull } = room(depth);
        logger.error(
          { log, unreceipted_bytes: unreceiptedBytes, limit_bytes: limitBytes, seconds_until_full: secondsUntilFull },
          'the audit spool is nearly full: check that the hub can be reached',
        );
      }
      if (was && !nearlyFull) logger.info({ log }, 'the audit spool has room again');
    },
  };
}
