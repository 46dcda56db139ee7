import { file, known, missing, release, signalTable } from './facts-for-tests.ts';
import { installScript } from './install-script.ts';
import { clear, hit, unknown } from './outcome.ts';
import type { SignalFacts } from './signal.ts';

const NO_FILE = missing('not_an_artifact_request');
const scripts = (...installScripts: readonly string[]) => ({ release: known(release({ installScripts })) });

/** A Python release with these files, asked for as a whole or for one of them. */
function python(files: readonly string[], asked?: string): Partial<SignalFacts> {
  return {
    name: { ecosystem: 'pypi', namespace: '', name: 'quiet-river' },
    release: known(release({ installScripts: ['setup.py'], files: files.map((name) => file({ name })) })),
    file: asked === undefined ? NO_FILE : known(file({ name: asked })),
  };
}
const [WHEEL, SDIST] = ['quiet_river-1.0.0-py3-none-any.whl', 'quiet_river-1.0.0.tar.gz'];

signalTable(installScript, [
  {
    promise: 'hits a postinstall script',
    change: scripts('postinstall'),
    want: hit('medium', { kinds: ['postinstall'] }),
  },
  {
    promise: 'sorts and counts each kind once',
    change: scripts('prepare', 'install', 'prepare'),
    want: hit('medium', { kinds: ['install', 'prepare'] }),
  },
  { promise: 'clears a release without scripts', change: scripts(), want: clear() },
  {
    promise: 'lets no upstream text through',
    change: scripts('<script>', 'x'.repeat(9999)),
    want: hit('medium', { kinds: ['other'] }),
  },
  {
    promise: 'hits a release that has to be built',
    change: python([SDIST]),
    want: hit('medium', { kinds: ['setup.py'] }),
  },
  { promise: 'clears a release that has a wheel', change: python([SDIST, WHEEL]), want: clear() },
  { promise: 'clears the wheel itself', change: python([SDIST, WHEEL], WHEEL), want: clear() },
  { promise: "clears the wheel's metadata", change: python([SDIST, WHEEL], `${WHEEL}.metadata`), want: clear() },
  {
    promise: 'hits the source archive beside the wheel',
    change: python([SDIST, WHEEL], SDIST),
    want: hit('medium', { kinds: ['setup.py'] }),
  },
  {
    promise: 'does not know where the index does not tell',
    change: { release: known(release({ installScripts: undefined })) },
    want: unknown('not_told_by_index'),
  },
  {
    promise: 'does not know an unlisted release',
    change: { release: missing('not_listed') },
    want: unknown('not_listed'),
  },
]);
