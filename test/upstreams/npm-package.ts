// Describes a small npm package and builds what a registry holds of it: the tarball and the manifest entry.

import { createHash } from 'node:crypto';
import { packTarball } from './archives.ts';

export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** RFC 3339. */
  readonly publishedAt: string;
  readonly license?: string;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly deprecated?: string;
  /** Pretend that the registry holds a provenance attestation. */
  readonly attested?: boolean;
  /** Beside package.json and index.js. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface BuiltNpmPackage {
  readonly source: NpmPackage;
  /** `<name without scope>-<version>.tgz`. */
  readonly file: string;
  readonly tarball: Buffer;
  readonly shasum: string;
  readonly integrity: string;
  /** The version's entry in a packument but for `dist.tarball`, which is the server's to say. */
  readonly manifest: Readonly<Record<string, unknown>>;
}

export async function buildNpm(source: NpmPackage): Promise<BuiltNpmPackage> {
  const manifest = {
    name: source.name,
    version: source.version,
    description: `A sample package: ${source.name}`,
    main: 'index.js',
    ...(source.license === undefined ? {} : { license: source.license }),
    ...(source.scripts === undefined ? {} : { scripts: source.scripts }),
    ...(source.dependencies === undefined ? {} : { dependencies: source.dependencies }),
  };
  const tarball = await packTarball(
    {
      'package.json': `${JSON.stringify(manifest, null, 2)}\n`,
      'index.js': `module.exports = ${JSON.stringify(`${source.name} ${source.version}`)};\n`,
      ...source.files,
    },
    'package',
  );
  return {
    source,
    file: `${source.name.replace(/^@[^/]+\//, '')}-${source.version}.tgz`,
    tarball,
    shasum: createHash('sha1').update(tarball).digest('hex'),
    integrity: `sha512-${createHash('sha512').update(tarball).digest('base64')}`,
    manifest: {
      ...manifest,
      ...(source.deprecated === undefined ? {} : { deprecated: source.deprecated }),
      _id: `${source.name}@${source.version}`,
    },
  };
}

/** The registry's document of one package; the newest stable version by order of building is `latest`. */
export function packumentOf(
  builds: readonly BuiltNpmPackage[],
  tarballUrl: (build: BuiltNpmPackage) => string,
): Record<string, unknown> {
  const name = builds[0]?.source.name ?? '';
  const times = builds.map((build) => build.source.publishedAt).toSorted();
  const stable = builds.filter((build) => !build.source.version.includes('-'));
  const latest = (stable.at(-1) ?? builds.at(-1))?.source.version ?? '';
  return {
    _id: name,
    name,
    'dist-tags': { latest },
    versions: Object.fromEntries(builds.map((build) => [build.source.version, entryOf(build, tarballUrl(build))])),
    time: {
      created: times[0],
      modified: times.at(-1),
      ...Object.fromEntries(builds.map((build) => [build.source.version, build.source.publishedAt])),
    },
    readme: '',
  };
}

function entryOf(build: BuiltNpmPackage, tarball: string): Readonly<Record<string, unknown>> {
  return {
    ...build.manifest,
    ...(hasInstallScript(build.source) ? { hasInstallScript: true } : {}),
    dist: {
      tarball,
      shasum: build.shasum,
      integrity: build.integrity,
      ...(build.source.attested === true
        ? {
            attestations: {
              url: tarball.replace(/\/-\/[^/]+$/, '/-/attestations'),
              provenance: { predicateType: 'https://slsa.dev/provenance/v1' },
            },
          }
        : {}),
    },
  };
}

function hasInstallScript(source: NpmPackage): boolean {
  return ['preinstall', 'install', 'postinstall'].some((hook) => source.scripts?.[hook] !== undefined);
}
