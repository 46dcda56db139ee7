// The packages of the tour: the tests' own samples on local upstreams, or a few well-known names on the registries that this
// machine's clients use. Nothing real is called malicious but by the tour's own intel record, in its own temporary federation.

import { SAMPLES, MALICIOUS_VERSION, sampleNpmPackages, samplePythonReleases } from '../upstreams/sample-packages.ts';
import { startPypiIndex } from '../upstreams/pypi-index.ts';
import { startVerdaccio } from '../upstreams/verdaccio.ts';
import type { Cast } from './stage.ts';

export interface Theatre extends AsyncDisposable {
  /** '' = what this machine's clients use. */
  readonly npmUpstream: string;
  readonly pypiUpstream: string;
  readonly cast: Cast;
  /** Names to look for a version inside the cooldown, when the cast has none yet. */
  readonly freshCandidates: readonly string[];
}

export async function openTheatre(upstream: 'local' | 'machine'): Promise<Theatre> {
  if (upstream === 'machine') {
    return {
      npmUpstream: '',
      pypiUpstream: '',
      cast: {
        plain: 'is-number@7.0.0',
        pipPlain: 'six',
        malware: { name: 'is-odd', version: '3.0.1' },
        pipMalware: { name: 'colorama', version: '0.4.6' },
        fresh: '',
        scripted: 'esbuild',
      },
      freshCandidates: ['typescript', 'eslint', 'vite', 'undici', 'webpack', 'prettier', 'rollup', 'next'],
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
  const stack = new AsyncDisposableStack();
  const now = new Date();
  const npm = stack.use(await startVerdaccio({ packages: sampleNpmPackages(now) }));
  const pypi = stack.use(await startPypiIndex({ releases: samplePythonReleases(now) }));
  return {
    npmUpstream: npm.origin,
    pypiUpstream: pypi.indexUrl,
    cast: {
      plain: SAMPLES.app,
      pipPlain: SAMPLES.app,
      malware: { name: SAMPLES.malware, version: MALICIOUS_VERSION },
      pipMalware: { name: SAMPLES.malware, version: MALICIOUS_VERSION },
      fresh: SAMPLES.fresh,
      scripted: SAMPLES.scripted,
    },
    freshCandidates: [],
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
