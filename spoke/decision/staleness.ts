// How stale is the bundle? Seconds since the hub last signed a time, measured so that no clock of this machine can make it
// look fresher than it is: the monotonic clock counts on whatever the wall clock does, and a wall clock that jumps back
// costs one level. Pure: the caller reads the clocks and keeps what must survive a restart.

import type { Settings } from '@weir/shared/bundle/layers.ts';
import { type Staleness, STALENESS_LEVELS } from '@weir/shared/policy/host-reasons.ts';
import type { Level } from '@weir/shared/domain/level.ts';

/** How far the wall clock may lag behind what it showed before; NTP corrections stay below. */
const BACKWARDS_TOLERANCE_S = 120;

const ORDER = ['fresh', 'warn', 'restrict', 'deny'] as const satisfies readonly Staleness[];

/** What is remembered of the last hub-signed time. */
export interface HubTime {
  /** Unix seconds that the hub signed. */
  readonly signedS: number;
  /** Readings of this machine's clocks when that time was received, or when it was read back from disk. */
  readonly readAt: Reading;
  /** Highest wall time this spoke has ever seen (kept on disk), unix seconds. */
  readonly highestWallS: number;
}

export interface Reading {
  /** Unix seconds. */
  readonly wallS: number;
  /** Milliseconds; comparable only within one process. */
  readonly monotonicMs: number;
}

export interface StalenessState {
  readonly staleness: Staleness;
  /** Age of the last hub-signed time, seconds. */
  readonly ageS: number;
  readonly clockWentBack: boolean;
  /** Level that it gives every verdict. */
  readonly level: Level;
}

export function stalenessOf(hub: HubTime, now: Reading, thresholds: Settings['staleness']): StalenessState {
  const ageWhenRead = Math.max(0, hub.readAt.wallS - hub.signedS);
  const countedS = ageWhenRead + Math.max(0, now.monotonicMs - hub.readAt.monotonicMs) / 1000;
  const ageS = Math.max(countedS, now.wallS - hub.signedS);
  const seenS = Math.max(hub.highestWallS, hub.readAt.wallS, hub.signedS);
  const clockWentBack = now.wallS < seenS - BACKWARDS_TOLERANCE_S;
  const byAge = stepOf(ageS, thresholds);
  const staleness = clockWentBack ? tighter(byAge) : byAge;
  return { staleness, ageS, clockWentBack, level: STALENESS_LEVELS[staleness] };
}

/** A reading that is no number cannot be compared and counts as the stalest. */
function stepOf(ageS: number, thresholds: Settings['staleness']): Staleness {
  if (!(ageS < thresholds.deny_s)) return 'deny';
  if (!(ageS < thresholds.restrict_s)) return 'restrict';
  return ageS < thresholds.warn_s ? 'fresh' : 'warn';
}

function tighter(staleness: Staleness): Staleness {
  return ORDER[ORDER.indexOf(staleness) + 1] ?? 'deny';
}
