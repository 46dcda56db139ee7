import { buildIntelIndex } from '../intel-index.ts';
import { intelWith, known, missing, signalTable } from './facts-for-tests.ts';
import { clear, hit, unknown } from './outcome.ts';
import type { SignalFacts } from './signal.ts';
import { typosquatDistance } from './typosquat-distance.ts';

const POPULAR = ['lodash', 'react', 'express', 'ms', 'cross-env', 'preact', '@types/node', '@babel/core', 'left-pad'];
const intel = known(buildIntelIndex(intelWith({ npm: POPULAR, pypi: ['requests', 'python-dateutil'] })));

function named(name: string, namespace = ''): Partial<SignalFacts> {
  return { intel, name: { ecosystem: 'npm', namespace, name } };
}
function python(name: string): Partial<SignalFacts> {
  return { intel, name: { ecosystem: 'pypi', namespace: '', name } };
}

signalTable(typosquatDistance, [
  { promise: 'hits a dropped letter', change: named('lodas'), want: hit('high', { near: 'lodash', distance: 1 }) },
  { promise: 'hits a swap of neighbours', change: named('loadsh'), want: hit('high', { near: 'lodash', distance: 1 }) },
  { promise: 'hits an added letter', change: named('expresss'), want: hit('high', { near: 'express', distance: 1 }) },
  { promise: 'hits a changed letter', change: named('expresz'), want: hit('high', { near: 'express', distance: 1 }) },
  {
    promise: 'hits a missing separator',
    change: named('crossenv'),
    want: hit('high', { near: 'cross-env', distance: 0 }),
  },
  { promise: 'hits other case', change: named('Lodash'), want: hit('high', { near: 'lodash', distance: 0 }) },
  {
    promise: 'allows two slips in a long name',
    change: python('pythondateutl'),
    want: hit('high', { near: 'python-dateutil', distance: 1 }),
  },
  {
    promise: 'reports two slips as less certain',
    change: python('pythn-dateutl'),
    want: hit('medium', { near: 'python-dateutil', distance: 2 }),
  },
  {
    promise: 'hits in the other ecosystem by its own list',
    change: python('reqeusts'),
    want: hit('high', { near: 'requests', distance: 1 }),
  },
  { promise: 'does not mix ecosystems', change: named('reqeusts'), want: clear() },
  { promise: 'clears two slips in a middling name', change: named('loadhs'), want: clear() },
  { promise: 'clears short names', change: named('mz'), want: clear() },
  { promise: 'clears a popular name near a popular name', change: named('preact'), want: clear() },
  { promise: 'clears a name like no other', change: named('quiet-river'), want: clear() },
  {
    promise: 'hits a slip in the scope',
    change: named('core', '@bable'),
    want: hit('high', { near: '@babel/core', distance: 1 }),
  },
  { promise: 'clears names of the same scope', change: named('nodes', '@types'), want: clear() },
  { promise: 'survives the longest name', change: named('x'.repeat(214)), want: clear() },
  {
    promise: 'survives names beyond ASCII',
    change: named('lödash'),
    want: hit('high', { near: 'lodash', distance: 1 }),
  },
  { promise: 'survives names made of separators', change: named('-_.'), want: clear() },
  {
    promise: 'does not know without its dataset',
    change: { intel: missing('not_in_bundle') },
    want: unknown('not_in_bundle'),
  },
]);
