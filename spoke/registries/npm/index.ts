// The npm registry as npm, pnpm and Yarn know it. The full packument is always what upstream is asked for; every other
// representation is made from it, so that none of them can show what another hides.

import { fullName, type PackageName } from '@weir/shared/domain/coordinate.ts';
import type { Adapter, ReleaseFile, Release, Releases, Route, UpstreamRequest } from '../adapter.ts';
import { match, matchAtRoot } from './match.ts';
import { attestationsName, attestationsPath, compareVersions, encodedName, readName, tarballName } from './name.ts';
import { ParsedPackument, readPackument } from './packument.ts';
import { advice, notice, renderRefusal } from './refusal.ts';
import { answerService } from './service.ts';
import { renderView } from './view.ts';

export const npm: Adapter = {
  id: 'npm',
  ecosystem: 'npm',
  mount: 'npm',
  abilities: {
    publishTime: true,
    perVersionMetadata: true,
    provenance: true,
    withdrawn: true,
    installHooks: true,
    successNotice: true,
  },
  match,
  matchAtRoot,
  normalizeName: readName,
  metadataRequest,
  readMetadata: readPackument,
  renderView,
  notice,
  advice,
  findFile,
  compareVersions,
  artifactContentType: (file) => (file.endsWith('.tgz') ? 'application/octet-stream' : 'application/json'),
  answerService,
  renderRefusal,
  clientFamily,
};

function metadataRequest(name: PackageName): UpstreamRequest {
  return { path: encodedName(name), accept: 'application/json' };
}

/** The tarball, or for attestations a file of their own in the release that is judged; their digest is in no index. */
function findFile(
  releases: Releases,
  route: Extract<Route, { kind: 'artifact' | 'sidecar' }>,
): { release: Release; file: ReleaseFile } | undefined {
  if (fullName(releases.name) !== fullName(route.coordinate)) return undefined;
  const release = findRelease(releases, route);
  const [tarball] = release?.files ?? [];
  if (release === undefined || tarball === undefined) return undefined;
  if (route.kind === 'artifact') return { release, file: tarball };
  if (tarball.metadataSha256 === null) return undefined;
  const { version } = release;
  return {
    release,
    file: {
      name: attestationsName(releases.name, version),
      // Beside the index document, so that a mirror is asked for its own copy.
      url: `./${attestationsPath(releases.name, version)}`,
      digests: {},
      size: null,
      metadataSha256: null,
    },
  };
}

/**
 * By the version in the file name, since views name every tarball that way. Lockfiles may hold the upstream's own spelling
 * of a file (versions of the early years were rewritten, file names were not), so that is looked for next; it must fit
 * exactly one version.
 */
function findRelease(releases: Releases, route: Extract<Route, { kind: 'artifact' | 'sidecar' }>): Release | undefined {
  const { version } = route.coordinate;
  if (version !== '' && (route.kind === 'sidecar' || route.file === tarballName(releases.name, version))) {
    const release =
      releases.parsed instanceof ParsedPackument
        ? releases.parsed.entries.get(version)?.release
        : releases.releases.find((candidate) => candidate.version === version);
    if (release !== undefined || route.kind === 'sidecar') return release;
  }
  const spelled = releases.releases.filter((release) => upstreamFile(release) === route.file);
  return spelled.length === 1 ? spelled[0] : undefined;
}

function upstreamFile(release: Release): string {
  const url = release.files[0]?.url ?? '';
  return url.slice(url.lastIndexOf('/') + 1);
}

/** Yarn from 2 on leaves its HTTP library's own name standing; whoever else uses that library is answered as Yarn is. */
function clientFamily(userAgent: string): string {
  if (userAgent.startsWith('got (')) return 'yarn';
  return /^(npm|pnpm|yarn)\//.exec(userAgent)?.[1] ?? 'other';
}
