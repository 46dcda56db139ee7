import { known, missing, release, settingsWith, signalTable } from './facts-for-tests.ts';
import { licence } from './licence.ts';
import { clear, hit, unknown } from './outcome.ts';
import type { SignalFacts } from './signal.ts';

const settings = settingsWith({ licences_denied: ['AGPL-3.0', 'GPL-*', 'sspl-1.0'] });

function declaring(text: string | undefined, artifact?: string): Partial<SignalFacts> {
  return {
    settings,
    release: known(release({ licence: text })),
    coreMetadata: artifact === undefined ? missing('not_fetched') : known({ licence: artifact }),
  };
}
const denied = (text: string, ...ids: readonly string[]) => hit('high', { licence: text, ids, kind: 'denied' });
const accepted = (text: string, ...ids: readonly string[]) => clear({ licence: text, ids });
const UNRECOGNISED = hit('low', { kind: 'unrecognised' });
const MISSING = hit('low', { kind: 'missing' });

signalTable(licence, [
  { promise: 'clears an accepted licence', change: declaring('MIT'), want: accepted('MIT', 'MIT') },
  {
    promise: 'clears where nothing is denied',
    change: { ...declaring('AGPL-3.0'), settings: settingsWith({}) },
    want: accepted('AGPL-3.0-only', 'AGPL-3.0-only'),
  },
  {
    promise: 'hits a denied licence by its old name',
    change: declaring('AGPL-3.0'),
    want: denied('AGPL-3.0-only', 'AGPL-3.0-only'),
  },
  {
    promise: 'hits a denied licence by its current name',
    change: declaring('AGPL-3.0-only'),
    want: denied('AGPL-3.0-only', 'AGPL-3.0-only'),
  },
  { promise: 'hits by prefix', change: declaring('GPL-3.0+'), want: denied('GPL-3.0-or-later', 'GPL-3.0-or-later') },
  {
    promise: 'hits in any case, known to SPDX or not',
    change: declaring('SSPL-1.0'),
    want: denied('SSPL-1.0', 'SSPL-1.0'),
  },
  {
    promise: 'hits joint terms with one denied part',
    change: declaring('MIT AND AGPL-3.0-only'),
    want: denied('MIT AND AGPL-3.0-only', 'AGPL-3.0-only', 'MIT'),
  },
  {
    promise: 'clears an accepted alternative',
    change: declaring('(AGPL-3.0-only OR MIT)'),
    want: accepted('AGPL-3.0-only OR MIT', 'AGPL-3.0-only', 'MIT'),
  },
  {
    promise: 'hits when every alternative is denied',
    change: declaring('AGPL-3.0 OR GPL-2.0'),
    want: denied('AGPL-3.0-only OR GPL-2.0-only', 'AGPL-3.0-only', 'GPL-2.0-only'),
  },
  {
    promise: 'reads an old free-text name',
    change: declaring('Apache License 2.0'),
    want: accepted('Apache-2.0', 'Apache-2.0'),
  },
  {
    promise: 'accepts licence references',
    change: declaring('LicenseRef-Ours'),
    want: accepted('LicenseRef-Ours', 'LicenseRef-Ours'),
  },
  {
    promise: 'takes the artifact where the index is silent',
    change: declaring(undefined, 'MIT'),
    want: accepted('MIT', 'MIT'),
  },
  {
    promise: 'takes the artifact where the index is empty',
    change: declaring('', 'AGPL-3.0'),
    want: denied('AGPL-3.0-only', 'AGPL-3.0-only'),
  },
  {
    promise: 'trusts the index before the artifact',
    change: declaring('MIT', 'AGPL-3.0'),
    want: accepted('MIT', 'MIT'),
  },
  {
    promise: 'takes the artifact of an unlisted release',
    change: { ...declaring('MIT', 'MIT'), release: missing('not_listed') },
    want: accepted('MIT', 'MIT'),
  },
  { promise: 'hits a missing licence', change: declaring(''), want: MISSING },
  { promise: 'hits a blank licence', change: declaring(' \t'), want: MISSING },
  { promise: 'hits an unknown licence', change: declaring('Banana-1.0'), want: UNRECOGNISED },
  { promise: 'hits free text', change: declaring('see the file'), want: UNRECOGNISED },
  { promise: 'hits an over-long text', change: declaring(`MIT${' OR MIT'.repeat(60)}`), want: UNRECOGNISED },
  { promise: 'hits deep nesting', change: declaring('('.repeat(200)), want: UNRECOGNISED },
  { promise: 'hits names of object properties', change: declaring('constructor'), want: UNRECOGNISED },
  { promise: 'does not know where nothing tells', change: declaring(undefined), want: unknown('not_told_by_index') },
  {
    promise: 'does not know an unlisted release',
    change: { ...declaring('MIT'), release: missing('not_listed') },
    want: unknown('not_listed'),
  },
  {
    promise: 'does not know without its dataset',
    change: { ...declaring('MIT'), intel: missing('not_in_bundle') },
    want: unknown('not_in_bundle'),
  },
]);
