// Host-side look-ups over the intel layer: exact names in maps, never a scan per decision and never inside wasm.

import type { Intel } from '@weir/shared/bundle/layers.ts';
import type { Ecosystem } from '@weir/shared/domain/coordinate.ts';

export interface IntelIndex {
  /** Records that may concern a package (normalised full name), withdrawn ones excluded. */
  malicious(ecosystem: Ecosystem, name: string): readonly Intel['malicious']['records'][number][];
  /** Position in the popularity list from 0, undefined when not listed. */
  popularity(ecosystem: Ecosystem, name: string): number | undefined;
  /** Popular names within edit distance `max` of a name, nearest and most popular first. */
  nearPopular(
    ecosystem: Ecosystem,
    name: string,
    max: number,
  ): readonly { readonly name: string; readonly distance: number }[];
  isKnownLicence(id: string): boolean;
}
