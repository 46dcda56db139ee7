// When the hub was last heard, and so how stale the bundle is. One process of the spoke hears the hub; the others are told
// how long ago that was, because readings of a monotonic clock mean nothing outside the process that took them.

import type { Settings } from '@weir/shared/bundle/layers.ts';
import type { Staleness } from '@weir/shared/policy/host-reasons.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import { stalenessOf, type HubTime } from './decision/staleness.ts';

/** A hub time as another process can take it over. */
export interface HubTimeNote {
  /** Unix seconds that the hub signed. */
  readonly signedS: number;
  /** Milliseconds that have passed since it was received, or read back from disk. */
  readonly agoMs: number;
  /** Wall time of that moment, unix seconds. */
  readonly wallS: number;
  readonly highestWallS: number;
}

/** The part of a bundle that staleness is measured by. */
export interface DatedBundle {
  readonly manifest: { readonly issued_at: number; readonly expires: number };
  readonly settings: Pick<Settings, 'staleness'>;
}

export interface HubClock {
  /** The hub spoke. @param hubTimeMs unix milliseconds, as the hub says */
  heard(hubTimeMs: number): void;
  /** Undefined before the first contact of this installation. */
  note(): HubTimeNote | undefined;
  /** Takes over what another process heard, unless this one has heard later. */
  take(note: HubTimeNote): void;
  stalenessOf(bundle: DatedBundle | null): Staleness;
}

/** @param remembered what an earlier run heard, undefined when there was none */
export function createHubClock(
  clock: Pick<Clock, 'nowMs' | 'monotonicMs'>,
  remembered?: { readonly signedS: number; readonly highestWallS: number },
): HubClock {
  let last: HubTime | undefined = remembered === undefined ? undefined : { ...remembered, readAt: reading() };

  function reading(): HubTime['readAt'] {
    return { wallS: clock.nowMs() / 1000, monotonicMs: clock.monotonicMs() };
  }

  return {
    heard(hubTimeMs) {
      const now = reading();
      const signedS = Math.max(hubTimeMs / 1000, last?.signedS ?? 0);
      last = { signedS, readAt: now, highestWallS: Math.max(now.wallS, last?.highestWallS ?? 0) };
    },
    note() {
      if (last === undefined) return undefined;
      const { signedS, readAt, highestWallS } = last;
      return { signedS, agoMs: clock.monotonicMs() - readAt.monotonicMs, wallS: readAt.wallS, highestWallS };
    },
    take({ signedS, agoMs, wallS, highestWallS }) {
      if (last !== undefined && last.signedS > signedS) return;
      const monotonicMs = clock.monotonicMs() - Math.max(0, agoMs);
      last = {
        signedS,
        readAt: { wallS, monotonicMs },
        highestWallS: Math.max(highestWallS, last?.highestWallS ?? 0),
      };
    },
    stalenessOf(bundle) {
      if (bundle === null) return 'fresh';
      // A bundle that ran out while it was active is as stale as can be; at boot it would not even be loaded.
      if (clock.nowMs() / 1000 >= bundle.manifest.expires) return 'deny';
      // Before the first contact of this installation the bundle's own date is the last word of the hub.
      const since = last ?? { signedS: bundle.manifest.issued_at, readAt: reading(), highestWallS: 0 };
      return stalenessOf(since, reading(), bundle.settings.staleness).staleness;
    },
  };
}
