// S01: a look-up in the signed malicious-package records.
// hit: `{id}`, the record; critical. clear: `{}`.

import { fullName } from '@weir/shared/domain/coordinate.ts';
import { affects } from '../affected-versions.ts';
import { clear, hit, unknown } from './outcome.ts';
import type { Signal } from './signal.ts';

export const knownMalicious: Signal = {
  id: 'S01',
  name: 'known_malicious',
  version: '1.0.0',
  lifecycle: 'stable',
  question: 'Is this release, or every release of its name, recorded as malicious?',
  motivation: 'Malicious releases stay in mirrors, caches and lockfiles long after a registry has removed them.',
  remediation: 'Remove the package and rotate every secret the machine could read.',
  needs: ['name', 'intel'],
  evaluate({ name, version, intel }) {
    if (!intel.known) return unknown(intel.reason);
    let undecided = '';
    for (const record of intel.value.malicious(name.ecosystem, fullName(name))) {
      const affected = affects(record, version);
      if (affected === 'yes') return hit('critical', { id: record.id });
      if (affected === 'incomparable') undecided = version === '' ? 'version_unknown' : 'version_not_comparable';
    }
    return undecided === '' ? clear() : unknown(undecided);
  },
};
