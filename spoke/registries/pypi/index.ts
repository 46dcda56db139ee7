// The dialect of Python package indexes: the simple API in HTML and JSON, files, metadata sidecars. The upstream base is
// the index address as pip's `--index-url` has it (the folder that holds one page per project).

import type { Adapter, ReleaseFile, Release, Releases, Route } from '../adapter.ts';
import { readCoreMetadata } from './core-metadata.ts';
import { normalizeName } from './names.ts';
import { compareVersions } from '../../versions/pep440.ts';
import { type ParsedIndex, readMetadata } from './read-metadata.ts';
import { renderRefusal } from './refusal.ts';
import { standIn } from './stand-in.ts';
import { METADATA_SUFFIX, match } from './route.ts';
import { answerService } from './service.ts';
import { renderView } from './view.ts';

/** JSON carries upload times and sizes; older indexes answer with HTML. */
const ACCEPT = 'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1';

export const pypi: Adapter = {
  id: 'pypi',
  ecosystem: 'pypi',
  mount: 'pypi',
  abilities: {
    publishTime: true,
    perVersionMetadata: false,
    provenance: true,
    withdrawn: true,
    installHooks: true,
    successNotice: false,
  },
  match,
  normalizeName,
  metadataRequest: (name) => ({ path: `${name.name}/`, accept: ACCEPT }),
  readMetadata,
  renderView,
  standIn,
  // Neither pip nor uv prints anything on success. What is hidden they learn from a yank (`ViewContext.flagged`); a version
  // that is served cannot be marked so, since they would avoid it.
  notice: () => [],
  advice: () => [],
  findFile,
  coreMetadataFile: (file) => (file.metadataSha256 === null ? undefined : sidecarOf(file, file.metadataSha256)),
  readCoreMetadata,
  compareVersions,
  artifactContentType: (file) =>
    file.endsWith(METADATA_SUFFIX) ? 'text/plain; charset=utf-8' : 'application/octet-stream',
  answerService: (route) => answerService(route),
  renderRefusal,
  clientFamily,
};

/**
 * The file itself for an artifact; for a sidecar a file of its own, with the sidecar's address and digest, in the release
 * that is judged.
 */
function findFile(
  releases: Releases,
  route: Extract<Route, { kind: 'artifact' | 'sidecar' }>,
): { release: Release; file: ReleaseFile } | undefined {
  if (route.kind === 'artifact') return lookUp(releases, route.file);
  const found = lookUp(releases, route.file.slice(0, -METADATA_SUFFIX.length));
  if (found === undefined || found.file.metadataSha256 === null) return undefined;
  return { release: found.release, file: sidecarOf(found.file, found.file.metadataSha256) };
}

function lookUp(releases: Releases, name: string): { release: Release; file: ReleaseFile } | undefined {
  const parsed = releases.parsed as ParsedIndex | undefined;
  if (parsed?.kind === 'pypi-index') return parsed.fileOf.get(name);
  for (const release of releases.releases) {
    const file = release.files.find((candidate) => candidate.name === name);
    if (file !== undefined) return { release, file };
  }
  return undefined;
}

/** The sidecar is at the file's address with `.metadata` after the path (PEP 658). */
function sidecarOf(file: ReleaseFile, sha256: string): ReleaseFile {
  const url = new URL(file.url);
  url.pathname += METADATA_SUFFIX;
  return {
    name: `${file.name}${METADATA_SUFFIX}`,
    url: url.href,
    digests: sha256 === '' ? {} : { sha256 },
    size: null,
    metadataSha256: null,
  };
}

function clientFamily(userAgent: string): string {
  const product = (userAgent.split(/[/ ]/, 1)[0] ?? '').toLowerCase();
  return product === 'pip' || product === 'uv' ? product : 'other';
}
