// S05: an internal name requested from a public registry. Needs nothing from upstream, so it is judged first.
// hit: `{pattern}`, the settings entry that claims the name; critical. clear: `{}`.

import type { Settings } from '@weir/shared/bundle/layers.ts';
import { fullName } from '@weir/shared/domain/coordinate.ts';
import { memoByObject } from '../memo-by-object.ts';
import { namePatterns } from '../name-patterns.ts';
import { clear, hit } from './outcome.ts';
import type { Signal } from './signal.ts';

export const namespaceShadow: Signal = {
  id: 'S05',
  name: 'namespace_shadow',
  version: '1.0.0',
  lifecycle: 'stable',
  question: 'Does a public registry offer a name that belongs to this organisation?',
  motivation: 'Whoever registers an internal name in public gets it installed; even asking for it gives the name away.',
  remediation: 'Take the package from the internal registry.',
  needs: ['name', 'settings'],
  evaluate({ name, settings }) {
    const pattern = internalNames(settings)[name.ecosystem].match(fullName(name));
    return pattern === undefined ? clear() : hit('critical', { pattern });
  },
};

/** Python names are one name in many spellings; patterns are brought to the spelling that requests are in. */
const internalNames = memoByObject((settings: Settings) => ({
  npm: namePatterns(settings.internal_names.npm),
  pypi: namePatterns(settings.internal_names.pypi.map((name) => name.toLowerCase().replaceAll(/[-_.]+/g, '-'))),
}));
