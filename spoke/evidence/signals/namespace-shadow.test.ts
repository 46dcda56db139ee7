import { missing, settingsWith, signalTable } from './facts-for-tests.ts';
import { namespaceShadow } from './namespace-shadow.ts';
import { clear, hit } from './outcome.ts';
import type { SignalFacts } from './signal.ts';

const settings = settingsWith({}, { npm: ['@corp/*', 'corp-tool', 'acme-*'], pypi: ['Corp_Tool', 'acme.*'] });

function named(name: string, namespace = '', ecosystem: 'npm' | 'pypi' = 'npm'): Partial<SignalFacts> {
  return { settings, name: { ecosystem, namespace, name } };
}

signalTable(namespaceShadow, [
  { promise: 'hits an exact name', change: named('corp-tool'), want: hit('critical', { pattern: 'corp-tool' }) },
  { promise: 'hits a prefix', change: named('acme-billing'), want: hit('critical', { pattern: 'acme-*' }) },
  { promise: 'hits a whole scope', change: named('anything', '@corp'), want: hit('critical', { pattern: '@corp/*' }) },
  { promise: 'clears a longer name', change: named('corp-tools'), want: clear() },
  { promise: 'clears a name that only contains the prefix', change: named('not-acme-x'), want: clear() },
  { promise: 'clears a look-alike scope', change: named('anything', '@corpo'), want: clear() },
  {
    promise: 'reads Python patterns in any spelling',
    change: named('corp-tool', '', 'pypi'),
    want: hit('critical', { pattern: 'corp-tool' }),
  },
  {
    promise: 'reads Python prefixes in any spelling',
    change: named('acme-x', '', 'pypi'),
    want: hit('critical', { pattern: 'acme-*' }),
  },
  { promise: 'takes a bracket for what it is', change: named('[a-z]'), want: clear() },
  {
    promise: 'lets * cover everything',
    change: { ...named('x'), settings: settingsWith({}, { npm: ['*'] }) },
    want: hit('critical', { pattern: '*' }),
  },
  { promise: 'clears where nothing is internal', change: { settings: settingsWith({}) }, want: clear() },
  {
    promise: 'needs nothing from upstream',
    change: { ...named('corp-tool'), releases: missing('x'), release: missing('x'), intel: missing('x') },
    want: hit('critical', { pattern: 'corp-tool' }),
  },
]);
