// The bundle that decides now. One reference, swapped whole: a request takes it once and keeps what it took, so requests in
// flight finish on the bundle they began with. A retired bundle is not closed under them; when the last one lets go of it,
// its memory goes with the garbage.

import type { Manifest } from '@weir/shared/bundle/manifest.ts';
import type { BundleLayers } from '@weir/shared/bundle/read-layers.ts';
import type { Digest } from '@weir/shared/domain/digest.ts';

/** A verified, compiled and self-tested bundle. `Prepared` is what the pipeline makes of it at activation. */
export interface ActiveBundle<Prepared> extends Omit<BundleLayers, 'floor' | 'overlay' | 'selftest'> {
  readonly manifest: Manifest;
  readonly digest: Digest;
  readonly prepared: Prepared;
}

export interface BundleHolder<Prepared> {
  /** Null until a bundle has been activated: then everything is refused. */
  current(): ActiveBundle<Prepared> | null;
  swap(next: ActiveBundle<Prepared>): void;
}

/** @param swapped called after each swap, for caches that a new bundle empties */
export function createBundleHolder<Prepared>(
  swapped: (next: ActiveBundle<Prepared>) => void = () => undefined,
): BundleHolder<Prepared> {
  let active: ActiveBundle<Prepared> | null = null;
  return {
    current: () => active,
    swap(next) {
      active = next;
      swapped(next);
    },
  };
}
