// S31: whether installing the release runs code from it.
// hit: `{kinds}`, sorted, from a closed list; medium. clear: `{}`.

import type { Release } from '../../registries/adapter.ts';
import { clear, hit, unknown } from './outcome.ts';
import type { Signal, SignalFacts } from './signal.ts';

const KINDS: ReadonlySet<string> = new Set(['preinstall', 'install', 'postinstall', 'prepare', 'setup.py', 'node-gyp']);

export const installScript: Signal = {
  id: 'S31',
  name: 'install_script',
  version: '1.0.0',
  lifecycle: 'stable',
  question: 'Does installing this release run code from it?',
  motivation: 'Install scripts run before anyone has looked, with the rights of whoever installs.',
  remediation: 'Install with scripts disabled, or choose a wheel over a source archive.',
  needs: ['release'],
  evaluate(facts) {
    if (!facts.release.known) return unknown(facts.release.reason);
    const scripts = facts.release.value.installScripts;
    if (scripts === undefined) return unknown('not_told_by_index');
    const running = buildsNothing(facts, facts.release.value) ? scripts.filter((kind) => kind !== 'setup.py') : scripts;
    if (running.length === 0) return clear();
    const kinds = new Set(running.map((kind) => (KINDS.has(kind) ? kind : 'other')));
    return hit('medium', { kinds: [...kinds].toSorted() });
  },
};

/**
 * A wheel is unpacked, never built. Judging a release as a whole, installers prefer any wheel; the source archive beside
 * it is judged on its own when it is asked for. A wheel's metadata is judged as the wheel.
 */
function buildsNothing({ name, file }: SignalFacts, release: Release): boolean {
  if (name.ecosystem !== 'pypi') return false;
  const files = file.known ? [file.value] : release.files;
  return files.some((candidate) => /\.whl(?:\.metadata)?$/.test(candidate.name));
}
