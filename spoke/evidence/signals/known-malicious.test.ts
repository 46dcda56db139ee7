import { buildIntelIndex } from '../intel-index.ts';
import type { SignalFacts } from './signal.ts';
import { intelWith, known, missing, signalTable } from './facts-for-tests.ts';
import { knownMalicious } from './known-malicious.ts';
import { clear, hit, unknown } from './outcome.ts';

type Change = NonNullable<Parameters<typeof intelWith>[0]['malicious']>[number];

function judging(version: string, ...malicious: readonly Change[]): Partial<SignalFacts> {
  return { version, intel: known(buildIntelIndex(intelWith({ malicious }))) };
}
function judgingPython(version: string, ...malicious: readonly Change[]): Partial<SignalFacts> {
  const records = malicious.map((record) => ({ ecosystem: 'pypi' as const, ...record }));
  return { ...judging(version, ...records), name: { ecosystem: 'pypi', namespace: '', name: 'quiet-river' } };
}
const HIT = hit('critical', { id: 'MAL-TEST-1' });

signalTable(knownMalicious, [
  { promise: 'hits a listed version', change: judging('1.0.0', { versions: ['0.9.0', '1.0.0'] }), want: HIT },
  { promise: 'clears an unlisted version', change: judging('1.0.1', { versions: ['1.0.0'] }), want: clear() },
  { promise: 'hits every version when the record names none', change: judging('7.0.0', {}), want: HIT },
  { promise: 'hits the whole name even without a version', change: judging('', {}), want: HIT },
  {
    promise: 'hits an open range from the beginning',
    change: judging('??', { ranges: [{ introduced: '0', fixed: '' }] }),
    want: HIT,
  },
  {
    promise: 'hits inside a range',
    change: judging('1.5.0', { ranges: [{ introduced: '1.0.0', fixed: '2.0.0' }] }),
    want: HIT,
  },
  {
    promise: 'hits the first version of a range',
    change: judging('1.0.0', { ranges: [{ introduced: '1.0.0', fixed: '2.0.0' }] }),
    want: HIT,
  },
  {
    promise: 'clears the version that fixed it',
    change: judging('2.0.0', { ranges: [{ introduced: '1.0.0', fixed: '2.0.0' }] }),
    want: clear(),
  },
  {
    promise: 'counts a pre-release of the fix as affected',
    change: judging('2.0.0-rc.1', { ranges: [{ introduced: '1.0.0', fixed: '2.0.0' }] }),
    want: HIT,
  },
  {
    promise: 'clears a pre-release of the first bad version',
    change: judging('1.0.0-rc.1', { ranges: [{ introduced: '1.0.0', fixed: '' }] }),
    want: clear(),
  },
  {
    promise: 'orders numbers as numbers',
    change: judging('1.10.0', { ranges: [{ introduced: '1.9.0', fixed: '' }] }),
    want: HIT,
  },
  {
    promise: 'hits in the second of two ranges',
    change: judging('3.0.0', {
      ranges: [
        { introduced: '1.0.0', fixed: '2.0.0' },
        { introduced: '3.0.0', fixed: '' },
      ],
    }),
    want: HIT,
  },
  {
    promise: 'hits a list beside a range',
    change: judging('9.0.0', { versions: ['9.0.0'], ranges: [{ introduced: '1.0.0', fixed: '2.0.0' }] }),
    want: HIT,
  },
  {
    promise: 'reports the first record that matches',
    change: judging('1.0.0', { id: 'A', versions: ['2.0.0'] }, { id: 'B' }),
    want: hit('critical', { id: 'B' }),
  },
  { promise: 'ignores withdrawn records', change: judging('1.0.0', { withdrawn: true }), want: clear() },
  { promise: 'ignores other names', change: judging('1.0.0', { name: 'quiet-rivers' }), want: clear() },
  { promise: 'ignores the same name elsewhere', change: judging('1.0.0', { ecosystem: 'pypi' }), want: clear() },
  {
    promise: 'finds a spelling of the same npm version',
    change: judging('v1.0.0', { versions: ['1.0.0'] }),
    want: HIT,
  },
  {
    promise: 'finds a spelling of the same Python version',
    change: judgingPython('1.0', { versions: ['1.0.0'] }),
    want: HIT,
  },
  {
    promise: 'orders Python versions by their standard',
    change: judgingPython('1.0rc1', { ranges: [{ introduced: '0', fixed: '1.0' }] }),
    want: HIT,
  },
  {
    promise: 'clears a Python post-release of the fix',
    change: judgingPython('1.0.post1', { ranges: [{ introduced: '0.1', fixed: '1.0' }] }),
    want: clear(),
  },
  {
    promise: 'does not know a version outside the order',
    change: judging('banana', { ranges: [{ introduced: '1.0.0', fixed: '2.0.0' }] }),
    want: unknown('version_not_comparable'),
  },
  {
    promise: 'does not know against bounds outside the order',
    change: judging('1.0.0', { ranges: [{ introduced: 'banana', fixed: '' }] }),
    want: unknown('version_not_comparable'),
  },
  {
    promise: 'needs only one readable bound to exclude',
    change: judging('3.0.0', { ranges: [{ introduced: 'banana', fixed: '2.0.0' }] }),
    want: clear(),
  },
  {
    promise: 'does not know without a version',
    change: judging('', { versions: ['1.0.0'] }),
    want: unknown('version_unknown'),
  },
  {
    promise: 'does not know without its dataset',
    change: { intel: missing('not_in_bundle') },
    want: unknown('not_in_bundle'),
  },
  {
    promise: 'is not fooled by names of object properties',
    change: { ...judging('1.0.0'), name: { ecosystem: 'npm', namespace: '', name: '__proto__' } },
    want: clear(),
  },
  {
    promise: 'finds a scoped name',
    change: { ...judging('1.0.0', { name: '@a/b' }), name: { ecosystem: 'npm', namespace: '@a', name: 'b' } },
    want: HIT,
  },
]);
