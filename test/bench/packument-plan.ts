// What the packument benchmark and its upstream agree on, and the documents themselves: as large as those of packages that
// release several times a week for years.

export const VERSIONS = 3_000;
/** Asked for once each: the first ones warm the code up. */
export const DOCUMENTS = 24;

export function nameOf(document: number): string {
  return `bench-many-${document}`;
}

/** A full packument as text. @param origin of the registry that serves it */
export function packumentText(name: string, origin: string): string {
  const versions: Record<string, unknown> = {};
  const time: Record<string, string> = {};
  for (let i = 0; i < VERSIONS; i += 1) {
    const version = `${1 + Math.floor(i / 500)}.${Math.floor((i % 500) / 10)}.${i % 10}`;
    const digit = (i % 10).toString();
    time[version] = new Date(Date.UTC(2015, 0, 1) + i * 86_400_000).toISOString();
    versions[version] = {
      name,
      version,
      description: 'A package that releases often, with all that a manifest usually carries.',
      keywords: ['bench', 'many', 'versions'],
      homepage: 'https://example.test/bench',
      bugs: { url: 'https://example.test/bench/issues' },
      license: i < 1500 ? 'MIT' : 'Apache-2.0',
      author: { name: 'Somebody', email: 'somebody@example.test' },
      main: 'index.js',
      types: 'index.d.ts',
      repository: { type: 'git', url: 'git+https://example.test/bench.git' },
      engines: { node: '>=18' },
      scripts: { build: 'tsc', test: 'node --test', lint: 'eslint .' },
      dependencies: { 'left-pad': `^1.${i % 50}.0`, 'right-pad': '^2.0.0', 'middle-pad': `~3.${i % 7}.1` },
      devDependencies: { typescript: '^5.0.0', eslint: '^9.0.0', prettier: '^3.0.0', rimraf: '^6.0.0' },
      gitHead: digit.repeat(40),
      _id: `${name}@${version}`,
      _nodeVersion: '22.0.0',
      _npmVersion: '10.0.0',
      _npmUser: { name: 'somebody', email: 'somebody@example.test' },
      maintainers: [{ name: 'somebody', email: 'somebody@example.test' }],
      ...(i === 10 ? { deprecated: 'please upgrade' } : {}),
      ...(i === 20 ? { hasInstallScript: true } : {}),
      dist: {
        integrity: `sha512-${Buffer.alloc(64, i).toString('base64')}`,
        shasum: digit.repeat(40),
        tarball: `${origin}/${name}/-/${name}-${version}.tgz`,
        fileCount: 100,
        unpackedSize: 123_456,
        signatures: [{ keyid: `SHA256:${'k'.repeat(43)}`, sig: `MEUCIQ${digit.repeat(90)}` }],
      },
    };
  }
  const [latest = ''] = Object.keys(versions).slice(-1);
  const days = Object.values(time);
  return JSON.stringify({
    _id: name,
    name,
    'dist-tags': { latest },
    versions,
    time: { created: days[0], modified: days.at(-1), ...time },
    maintainers: [{ name: 'somebody', email: 'somebody@example.test' }],
    readme: '',
  });
}
