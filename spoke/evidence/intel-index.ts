// Host-side look-ups over the intel layer: exact names in maps, never a scan per decision and never inside wasm.

import type { Intel } from '@weir/shared/bundle/layers.ts';
import type { Ecosystem } from '@weir/shared/domain/coordinate.ts';
import { NearNames } from './near-names.ts';

export interface IntelIndex {
  /** Records that may concern a package (normalised full name), withdrawn ones excluded. */
  malicious(ecosystem: Ecosystem, name: string): readonly Intel['malicious']['records'][number][];
  /** Position in the popularity list from 0, undefined when not listed. */
  popularity(ecosystem: Ecosystem, name: string): number | undefined;
  /** Popular names within edit distance `max` of a name, nearest and most popular first; none of its own scope. */
  nearPopular(
    ecosystem: Ecosystem,
    name: string,
    max: number,
  ): readonly { readonly name: string; readonly distance: number }[];
  /** Whether a text is a known SPDX licence identifier; case does not matter. */
  isKnownLicence(id: string): boolean;
}

/** Builds the index once per activated bundle; the intel itself must not change afterwards. */
export function buildIntelIndex(intel: Intel): IntelIndex {
  const malicious = new Map<string, Intel['malicious']['records']>();
  for (const record of intel.malicious.records) {
    if (record.withdrawn) continue;
    const key = keyOf(record.ecosystem, record.name);
    const records = malicious.get(key);
    if (records === undefined) malicious.set(key, [record]);
    else records.push(record);
  }
  const popular = new Map<string, number>();
  const near = new Map<Ecosystem, NearNames>();
  for (const ecosystem of ['npm', 'pypi'] as const) {
    const names = [...new Set(intel.popular.names[ecosystem] ?? [])];
    for (const [rank, name] of names.entries()) popular.set(keyOf(ecosystem, name), rank);
    near.set(ecosystem, new NearNames(names));
  }
  const licences = new Set(intel.licences.ids.map((id) => id.toLowerCase()));
  return {
    malicious: (ecosystem, name) => malicious.get(keyOf(ecosystem, name)) ?? [],
    popularity: (ecosystem, name) => popular.get(keyOf(ecosystem, name)),
    nearPopular: (ecosystem, name, max) => near.get(ecosystem)?.find(name, max) ?? [],
    isKnownLicence: (id) => licences.has(id.toLowerCase()),
  };
}

function keyOf(ecosystem: Ecosystem, name: string): string {
  return `${ecosystem}:${name}`;
}
