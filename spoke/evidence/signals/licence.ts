// S43: under which licence the release can be used.
// clear and hit denied (high): `{licence, ids, kind?}`, the expression in one spelling and the licences it mentions;
// hit missing or unrecognised (low): `{kind}` alone. Upstream text enters only after it has been parsed.

import type { Settings } from '@weir/shared/bundle/layers.ts';
import { currentLicenceId, isUsable, licencesIn, licenceText, parseLicence } from '../licence-expression.ts';
import { memoByObject } from '../memo-by-object.ts';
import { namePatterns } from '../name-patterns.ts';
import { clear, hit, unknown } from './outcome.ts';
import type { Signal, SignalFacts } from './signal.ts';

const LIMITS = { text: 120, ids: 8 } as const;

export const licence: Signal = {
  id: 'S43',
  name: 'licence',
  version: '1.0.0',
  lifecycle: 'stable',
  question: 'Is the licence missing, unreadable or on the list of denied ones?',
  motivation: 'Obligations come with the first install, long before anyone reads the licence file.',
  remediation: 'Choose another package, or have the licence accepted.',
  needs: ['release', 'coreMetadata', 'intel', 'settings'],
  evaluate(facts) {
    if (!facts.intel.known) return unknown(facts.intel.reason);
    const intel = facts.intel.value;
    const declared = declaredLicence(facts);
    if (declared === undefined) return unknown(facts.release.known ? 'not_told_by_index' : facts.release.reason);
    if (declared.trim() === '') return hit('low', { kind: 'missing' });
    const expression = parseLicence(declared);
    if (expression === undefined) return hit('low', { kind: 'unrecognised' });
    const ids = licencesIn(expression);
    const value = { licence: licenceText(expression).slice(0, LIMITS.text), ids: ids.slice(0, LIMITS.ids) };
    const denied = deniedLicences(facts.settings);
    if (!isUsable(expression, (id) => denied.match(id.toLowerCase()) !== undefined))
      return hit('high', { ...value, kind: 'denied' });
    const known = ids.every((id) => intel.isKnownLicence(id) || /^(?:LicenseRef|DocumentRef)-/.test(id));
    return known ? clear(value) : hit('low', { kind: 'unrecognised' });
  },
};

/** What the artifact declares where the index is silent or empty; undefined when neither tells. */
function declaredLicence({ release, coreMetadata }: SignalFacts): string | undefined {
  const index = release.known ? release.value.licence : undefined;
  const artifact = coreMetadata.known ? coreMetadata.value.licence : undefined;
  return index === undefined || index === '' ? (artifact ?? index) : index;
}

/** Entries are SPDX identifiers or prefixes ending in '*' (`AGPL-*`); case does not matter. */
const deniedLicences = memoByObject((settings: Settings) =>
  namePatterns(settings.policy.licences_denied.map((id) => currentLicenceId(id).toLowerCase())),
);
