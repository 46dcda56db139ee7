// Builds small packuments for tests of this adapter.

import { fullName, type PackageName } from '@weir/shared/domain/coordinate.ts';
import type { MetadataDocument } from '../adapter.ts';

export const UPSTREAM = 'https://registry.example.test';

export interface VersionSketch {
  readonly version: string;
  /** RFC 3339; absent = the index has no time for it. */
  readonly time?: string;
  /** Merged over the entry. */
  readonly entry?: Readonly<Record<string, unknown>>;
}

/** A packument with one well-formed entry per sketch; `over` replaces whole members. */
export function packument(
  name: PackageName,
  sketches: readonly VersionSketch[],
  over: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const full = fullName(name);
  const versions = sketches.map(({ version, entry }): [string, unknown] => [
    version,
    {
      name: full,
      version,
      license: 'MIT',
      dist: {
        tarball: `${UPSTREAM}/${full}/-/${name.name}-${version}.tgz`,
        shasum: '0'.repeat(40),
        integrity: `sha512-${Buffer.alloc(64, version).toString('base64')}`,
      },
      ...entry,
    },
  ]);
  const times = sketches.filter(({ time }) => time !== undefined).map(({ version, time }) => [version, time]);
  return {
    _id: full,
    name: full,
    'dist-tags': { latest: sketches.at(-1)?.version },
    versions: Object.fromEntries(versions),
    time: { created: '2020-01-01T00:00:00.000Z', modified: '2026-01-01T00:00:00.000Z', ...Object.fromEntries(times) },
    ...over,
  };
}

/** The document as upstream would send it. */
export function documentOf(value: unknown): MetadataDocument {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return { bytes: Buffer.from(text), contentType: 'application/json', baseUrl: `${UPSTREAM}/x` };
}
