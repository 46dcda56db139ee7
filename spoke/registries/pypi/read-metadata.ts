// From an index page to releases. Files are grouped by version; what a version is said to be holds for all its files, so
// each fact is the worst of theirs: installers choose the file, and a file can join an old version at any time.

import type { PackageName } from '@weir/shared/domain/coordinate.ts';
import type { MetadataDocument, Release, ReleaseFile, Releases } from '../adapter.ts';
import { readFileName } from './file-name.ts';
import { compareParsed, equalityKey, isPrerelease, parseVersion } from '../../versions/pep440.ts';
import { type IndexFile, type ProjectIndex, malformed, readTimestamp } from './project-index.ts';
import { readHtmlIndex } from './read-html.ts';
import { readJsonIndex } from './read-json.ts';

/** What `Releases.parsed` holds for this adapter. */
export interface ParsedIndex {
  readonly kind: 'pypi-index';
  readonly index: ProjectIndex;
  /** Version of the release that a file belongs to, by file name. */
  readonly versionOf: ReadonlyMap<string, string>;
  readonly fileOf: ReadonlyMap<string, { readonly release: Release; readonly file: ReleaseFile }>;
}

export function readMetadata(document: MetadataDocument, name: PackageName): Releases {
  const index = readIndex(document, name.name);
  const groups = groupByVersion(index.files);
  const releases: Release[] = [];
  const versionOf = new Map<string, string>();
  const fileOf = new Map<string, { release: Release; file: ReleaseFile }>();
  for (const files of groups) {
    const release = readRelease(files, index, name.name);
    releases.push(release);
    for (const file of release.files) {
      versionOf.set(file.name, release.version);
      fileOf.set(file.name, { release, file });
    }
  }
  const latest = preferredVersion(index.files, (file) => versionOf.get(file.name) ?? '');
  return {
    name,
    releases,
    firstPublishedAt: firstTime(index.files),
    tags: latest === '' ? {} : { latest },
    projectState: index.status,
    parsed: { kind: 'pypi-index', index, versionOf, fileOf } satisfies ParsedIndex,
  };
}

/** The parsed form that belongs to these releases, read anew when it got lost on the way (a worker, a store). */
export function parsedOf(document: MetadataDocument, releases: Releases): ParsedIndex {
  const parsed = releases.parsed as ParsedIndex | undefined;
  return parsed?.kind === 'pypi-index' ? parsed : (readMetadata(document, releases.name).parsed as ParsedIndex);
}

/**
 * What a plain install takes: the highest final version with a file that is not yanked, else the highest pre-release,
 * else '' (only yanked or unknown versions are left).
 */
export function preferredVersion(files: readonly IndexFile[], versionOf: (file: IndexFile) => string): string {
  let best = '';
  let bestParsed: ReturnType<typeof parseVersion>;
  const standing = new Set(files.filter((file) => file.yanked === undefined).map(versionOf));
  for (const version of standing) {
    const parsed = parseVersion(version);
    if (parsed === undefined) continue;
    if (bestParsed !== undefined) {
      const phase = Number(isPrerelease(bestParsed)) - Number(isPrerelease(parsed));
      if (phase < 0 || (phase === 0 && compareParsed(parsed, bestParsed) <= 0)) continue;
    }
    best = version;
    bestParsed = parsed;
  }
  return best;
}

function readIndex(document: MetadataDocument, project: string): ProjectIndex {
  const type = (document.contentType.split(';')[0] ?? '').trim().toLowerCase();
  switch (type) {
    case 'application/vnd.pypi.simple.v1+json':
    case 'application/json':
      return readJsonIndex(document.bytes, document.baseUrl, project);
    case 'application/vnd.pypi.simple.v1+html':
    case 'application/xhtml+xml':
    case 'text/html':
      return readHtmlIndex(document.bytes, document.baseUrl, project);
    default:
      throw malformed('it is neither of the known HTML nor JSON types');
  }
}

/** In document order of the first file; versions that PEP 440 calls equal (1.0 and 1.0.0) are one group. */
function groupByVersion(files: readonly IndexFile[]): readonly IndexFile[][] {
  const groups = new Map<string, IndexFile[]>();
  const keys = new Map<string, string>();
  for (const file of files) {
    const key = keys.get(file.version) ?? versionKey(file.version);
    keys.set(file.version, key);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [file]);
    else group.push(file);
  }
  return [...groups.values()];
}

function versionKey(version: string): string {
  const parsed = parseVersion(version);
  return parsed === undefined ? '' : equalityKey(parsed);
}

function readRelease(files: readonly IndexFile[], index: ProjectIndex, project: string): Release {
  const version = files[0]?.version ?? '';
  return {
    version,
    publishedAt: lastTime(files),
    files: files.map(readReleaseFile),
    withdrawn: readWithdrawn(files, index),
    licence: undefined,
    installScripts: version === '' ? undefined : installScripts(files, project),
    trustRank: trustRank(files),
  };
}

function readReleaseFile(file: IndexFile): ReleaseFile {
  const { sha512, sha256, sha1 } = file.hashes;
  return {
    name: file.name,
    url: file.url,
    digests: {
      ...(sha512 === undefined ? {} : { sha512 }),
      ...(sha256 === undefined ? {} : { sha256 }),
      ...(sha1 === undefined ? {} : { sha1 }),
    },
    size: file.size ?? null,
    metadataSha256: file.coreMetadata === undefined ? null : (file.coreMetadata['sha256'] ?? ''),
  };
}

/** The newest file's time; unknown as soon as one file has none, for that file may be a minute old. */
function lastTime(files: readonly IndexFile[]): number | null {
  let last = 0;
  for (const file of files) {
    const time = readTimestamp(file.uploadTime);
    if (time === undefined) return null;
    last = Math.max(last, time);
  }
  return last;
}

function firstTime(files: readonly IndexFile[]): number | null {
  let first: number | null = null;
  for (const file of files) {
    const time = readTimestamp(file.uploadTime);
    if (time !== undefined && (first === null || time < first)) first = time;
  }
  return first;
}

/** The project's quarantine outranks a yank; a yank counts when no file is left without it. */
function readWithdrawn(files: readonly IndexFile[], index: ProjectIndex): Release['withdrawn'] {
  if (index.status === 'quarantined') return { state: 'quarantined', reason: index.statusReason };
  if (files.every((file) => file.yanked !== undefined)) {
    const reason = files.find((file) => file.yanked !== '')?.yanked ?? '';
    return { state: 'yanked', reason };
  }
  if (index.status === 'deprecated') return { state: 'deprecated', reason: index.statusReason };
  return null;
}

/**
 * Building a source archive runs its code, whatever the build backend. Told whenever the release has one: whether a wheel
 * beside it makes building unnecessary depends on the file that is asked for, which is the signal's to weigh.
 */
function installScripts(files: readonly IndexFile[], project: string): readonly string[] {
  return files.some((file) => readFileName(file.name, project).kind === 'sdist') ? ['setup.py'] : [];
}

/** Presence only: 1 when every file names a provenance document, 0 when one does not, unknown on older indexes. */
function trustRank(files: readonly IndexFile[]): 0 | 1 | undefined {
  if (files.some((file) => file.provenance === false)) return 0;
  return files.every((file) => file.provenance === true) ? 1 : undefined;
}
