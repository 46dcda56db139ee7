// The catalogue that the tour and the tests install from: small packages of our own making, each there for one rule.
// None of them does harm; the "malware" is called so only in the intel records that tests and tour publish for it.

import type { NpmPackage } from './npm-package.ts';
import type { PythonRelease } from './python-distribution.ts';

/** Names by the part they play; the same in both ecosystems but for npm's scope. */
export const SAMPLES = {
  /** Allowed, three old versions. */
  plain: 'weir-sample-plain',
  /** Two old versions and one published a moment ago: the cooldown hides the newest. */
  fresh: 'weir-sample-fresh',
  /** Version 1.0.0 is fine; an intel record calls 1.0.1 malicious. */
  malware: 'weir-sample-malware',
  /** One edit away from `plain`, young, unpopular. */
  lookalike: 'weir-sample-plian',
  /** npm: a harmless postinstall; PyPI: only a source archive. */
  scripted: 'weir-sample-scripted',
  /** npm: 2.0.0 is deprecated; PyPI: 2.0.0 is yanked. */
  withdrawn: 'weir-sample-withdrawn',
  /** Under a licence that the sample settings deny. */
  copyleft: 'weir-sample-copyleft',
  /** app → middle → plain. */
  app: 'weir-sample-app',
  middle: 'weir-sample-middle',
  /** 1.0.0 attested, 1.1.0 not. */
  untrusted: 'weir-sample-untrusted',
  /** A name that belongs to the unit itself: it must never be asked for upstream. */
  internal: 'weir-internal-billing',
  /** npm only. */
  scoped: '@weir-sample/scoped',
} as const;

/** Licence of `copyleft`; a settings layer denies it with `licences_denied`. */
export const DENIED_LICENCE = 'AGPL-3.0-only';
export const MALICIOUS_VERSION = '1.0.1';

const OLD = { a: '2021-03-01T09:00:00.000Z', b: '2022-04-02T09:00:00.000Z', c: '2023-05-03T09:00:00.000Z' };

/** @param now publish time of what is "new" */
export function sampleNpmPackages(now: Date): readonly NpmPackage[] {
  const fresh = now.toISOString();
  const yesterday = new Date(now.getTime() - 24 * 3600 * 1000).toISOString();
  const mit = { license: 'MIT' };
  return [
    { name: SAMPLES.plain, version: '1.0.0', publishedAt: OLD.a, ...mit },
    { name: SAMPLES.plain, version: '1.1.0', publishedAt: OLD.b, ...mit },
    { name: SAMPLES.plain, version: '2.0.0', publishedAt: OLD.c, ...mit },
    { name: SAMPLES.fresh, version: '1.0.0', publishedAt: OLD.a, ...mit },
    { name: SAMPLES.fresh, version: '1.1.0', publishedAt: OLD.b, ...mit },
    { name: SAMPLES.fresh, version: '1.2.0', publishedAt: fresh, ...mit },
    { name: SAMPLES.malware, version: '1.0.0', publishedAt: OLD.a, ...mit },
    { name: SAMPLES.malware, version: MALICIOUS_VERSION, publishedAt: OLD.c, ...mit },
    { name: SAMPLES.lookalike, version: '1.0.0', publishedAt: yesterday, ...mit },
    {
      name: SAMPLES.scripted,
      version: '1.0.0',
      publishedAt: OLD.b,
      scripts: { postinstall: 'node postinstall.js' },
      files: { 'postinstall.js': "require('node:fs').writeFileSync('ran-postinstall.txt', 'yes');\n" },
      ...mit,
    },
    { name: SAMPLES.withdrawn, version: '1.0.0', publishedAt: OLD.a, ...mit },
    {
      name: SAMPLES.withdrawn,
      version: '2.0.0',
      publishedAt: OLD.b,
      deprecated: 'superseded, it loses data',
      ...mit,
    },
    { name: SAMPLES.copyleft, version: '1.0.0', publishedAt: OLD.b, license: DENIED_LICENCE },
    { name: SAMPLES.middle, version: '1.0.0', publishedAt: OLD.b, dependencies: { [SAMPLES.plain]: '^1.0.0' }, ...mit },
    { name: SAMPLES.app, version: '1.0.0', publishedAt: OLD.c, dependencies: { [SAMPLES.middle]: '^1.0.0' }, ...mit },
    { name: SAMPLES.untrusted, version: '1.0.0', publishedAt: OLD.a, attested: true, ...mit },
    { name: SAMPLES.untrusted, version: '1.1.0', publishedAt: OLD.b, ...mit },
    { name: SAMPLES.internal, version: '99.0.0', publishedAt: OLD.b, ...mit },
    { name: SAMPLES.scoped, version: '1.0.0', publishedAt: OLD.a, ...mit },
    { name: SAMPLES.scoped, version: '1.0.1', publishedAt: OLD.b, ...mit },
  ];
}

/** @param now publish time of what is "new" */
export function samplePythonReleases(now: Date): readonly PythonRelease[] {
  const fresh = now.toISOString();
  const yesterday = new Date(now.getTime() - 24 * 3600 * 1000).toISOString();
  const mit = { license: 'MIT' };
  return [
    { name: SAMPLES.plain, version: '1.0.0', publishedAt: OLD.a, ...mit },
    { name: SAMPLES.plain, version: '1.1.0', publishedAt: OLD.b, ...mit },
    { name: SAMPLES.plain, version: '2.0.0', publishedAt: OLD.c, requiresPython: '>=3.8', ...mit },
    { name: SAMPLES.fresh, version: '1.0.0', publishedAt: OLD.a, ...mit },
    { name: SAMPLES.fresh, version: '1.1.0', publishedAt: OLD.b, ...mit },
    { name: SAMPLES.fresh, version: '1.2.0', publishedAt: fresh, ...mit },
    { name: SAMPLES.malware, version: '1.0.0', publishedAt: OLD.a, ...mit },
    { name: SAMPLES.malware, version: MALICIOUS_VERSION, publishedAt: OLD.c, ...mit },
    { name: SAMPLES.lookalike, version: '1.0.0', publishedAt: yesterday, ...mit },
    { name: SAMPLES.scripted, version: '1.0.0', publishedAt: OLD.b, formats: ['sdist'], ...mit },
    { name: SAMPLES.withdrawn, version: '1.0.0', publishedAt: OLD.a, ...mit },
    { name: SAMPLES.withdrawn, version: '2.0.0', publishedAt: OLD.b, yanked: 'superseded, it loses data', ...mit },
    { name: SAMPLES.copyleft, version: '1.0.0', publishedAt: OLD.b, license: DENIED_LICENCE },
    { name: SAMPLES.middle, version: '1.0.0', publishedAt: OLD.b, requires: [`${SAMPLES.plain} <2`], ...mit },
    { name: SAMPLES.app, version: '1.0.0', publishedAt: OLD.c, requires: [`${SAMPLES.middle} >=1`], ...mit },
    { name: SAMPLES.untrusted, version: '1.0.0', publishedAt: OLD.a, attested: true, ...mit },
    { name: SAMPLES.untrusted, version: '1.1.0', publishedAt: OLD.b, ...mit },
    { name: SAMPLES.internal, version: '99.0.0', publishedAt: OLD.b, ...mit },
  ];
}
