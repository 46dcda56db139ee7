// S19: whether the index shows any provenance. Presence is not verification and raises no trust; its absence is a fact
// that an overlay may use.
// hit (none shown): `{}`; low. clear (shown, not verified here): `{}`.

import { clear, hit, unknown } from './outcome.ts';
import type { Signal } from './signal.ts';

export const provenanceState: Signal = {
  id: 'S19',
  name: 'provenance_state',
  version: '1.0.0',
  lifecycle: 'experimental',
  question: 'Is this release published without provenance?',
  motivation: 'Without provenance nothing ties the artifact to the source it claims to be built from.',
  remediation: 'Prefer releases with provenance where they exist.',
  needs: ['release'],
  evaluate({ release }) {
    if (!release.known) return unknown(release.reason);
    if (release.value.trustRank === undefined) return unknown('not_told_by_index');
    return release.value.trustRank === 0 ? hit('low', {}) : clear();
  },
};
