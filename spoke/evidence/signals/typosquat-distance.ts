// S02: how many typing mistakes separate the name from a popular one.
// hit: `{near, distance}`, the nearest popular name; high at distance 0 and 1, medium beyond. clear: `{}`.

import { fullName } from '@weir/shared/domain/coordinate.ts';
import { foldName } from '../near-names.ts';
import { clear, hit, unknown } from './outcome.ts';
import type { Signal } from './signal.ts';

export const typosquatDistance: Signal = {
  id: 'S02',
  name: 'typosquat_distance',
  version: '1.0.0',
  lifecycle: 'stable',
  question: 'Is the name a slip of the finger away from a popular package, without being popular itself?',
  motivation: 'Impostors wait for mistyped names; a popular package near a popular package is just another package.',
  remediation: 'Compare the name with the popular one letter by letter.',
  needs: ['name', 'intel'],
  evaluate({ name, intel }) {
    if (!intel.known) return unknown(intel.reason);
    const full = fullName(name);
    if (intel.value.popularity(name.ecosystem, full) !== undefined) return clear();
    const [nearest] = intel.value.nearPopular(name.ecosystem, full, tolerance(foldName(full).length));
    if (nearest === undefined) return clear();
    return hit(nearest.distance <= 1 ? 'high' : 'medium', { near: nearest.name, distance: nearest.distance });
  },
};

/** Short names are close to everything, so they must differ by separators or case alone. */
function tolerance(length: number): number {
  if (length <= 4) return 0;
  return length <= 8 ? 1 : 2;
}
