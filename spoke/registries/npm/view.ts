// The representations of a package that clients see: full, abbreviated, one version, dist-tags. All come from one set of
// remaining versions, so that they cannot disagree. Every tarball and attestation address is one of ours.

import semver from 'semver';
import { asWeirError, WeirError } from '@weir/shared/errors/weir-error.ts';
import { fullName, type PackageName } from '@weir/shared/domain/coordinate.ts';
import type { MetadataDocument, Releases, View, ViewContext } from '../adapter.ts';
import { retag } from './dist-tags.ts';
import { own, type JsonRecord, record } from './facts.ts';
import { attestationsPath, tarballPath } from './name.ts';
import { type Entry, parsedOf, type ParsedPackument } from './packument.ts';

export const REPRESENTATIONS = ['full', 'abbreviated', 'version', 'dist-tags'] as const;
export const ABBREVIATED_TYPE = 'application/vnd.npm.install-v1+json';

/** Fields of a version that installing clients read. */
const ABBREVIATED_FIELDS = [
  'name',
  'version',
  'deprecated',
  'dependencies',
  'optionalDependencies',
  'devDependencies',
  'bundleDependencies',
  'bundledDependencies',
  'peerDependencies',
  'peerDependenciesMeta',
  'acceptDependencies',
  'bin',
  'directories',
  'engines',
  'os',
  'cpu',
  'libc',
  'funding',
  '_hasShrinkwrap',
] as const;
/** Couch internals of old registries; `_attachments` may name tarballs. */
const DROPPED_FIELDS = new Set(['_attachments', '_rev', '_revisions']);

interface Kept {
  readonly packument: ParsedPackument;
  readonly entries: ReadonlyMap<string, Entry>;
  readonly tags: Readonly<Record<string, string>>;
  /** Whether anything was left out. */
  readonly filtered: boolean;
}

export function renderView(
  document: MetadataDocument,
  releases: Releases,
  hidden: ReadonlySet<string>,
  context: ViewContext,
): View {
  const kept = keep(parsedOf(document, releases), releases, hidden);
  const body = encode(render(kept, releases, hidden, context));
  return {
    contentType: context.representation === 'abbreviated' ? ABBREVIATED_TYPE : 'application/json',
    body,
    versions: [...kept.entries.keys()],
    preferred: (own(kept.tags, 'latest') as string | undefined) ?? '',
  };
}

function keep(packument: ParsedPackument, releases: Releases, hidden: ReadonlySet<string>): Kept {
  const remaining = new Map<string, Entry>();
  for (const [version, entry] of packument.entries) {
    if (!hidden.has(version)) remaining.set(version, entry);
  }
  const entries = remaining.size === 0 ? packument.entries : remaining;
  return {
    packument,
    entries,
    tags: retag(releases.tags, packument.entries, entries),
    filtered: entries.size !== packument.entries.size,
  };
}

function render(kept: Kept, releases: Releases, hidden: ReadonlySet<string>, context: ViewContext): JsonRecord {
  switch (context.representation) {
    case 'full':
      return fullDocument(kept, releases.name, context);
    case 'abbreviated':
      return abbreviatedDocument(kept, releases.name, context);
    case 'dist-tags':
      return kept.tags;
    case 'version':
      return oneVersion(kept, releases, hidden, context);
    default:
      throw new WeirError('unsupported', 'this registry has no such representation');
  }
}

function fullDocument(kept: Kept, name: PackageName, context: ViewContext): JsonRecord {
  const { root } = kept.packument;
  const document: [string, unknown][] = [];
  for (const [key, value] of Object.entries(root)) {
    if (key === 'versions' || key === 'time' || key === 'dist-tags' || DROPPED_FIELDS.has(key)) continue;
    document.push([key, value]);
  }
  document.push(
    ['dist-tags', kept.tags],
    ['versions', mapEntries(kept, (entry) => fullVersion(entry, name, context))],
    ['time', times(kept)],
  );
  return Object.fromEntries(document);
}

function abbreviatedDocument(kept: Kept, name: PackageName, context: ViewContext): JsonRecord {
  const time = times(kept);
  return {
    name: fullName(name),
    modified: time['modified'],
    'dist-tags': kept.tags,
    versions: mapEntries(kept, (entry) => abbreviatedVersion(entry, name, context)),
    time,
  };
}

/** An exact version, a tag, or a range, resolved among the remaining versions. */
function oneVersion(kept: Kept, releases: Releases, hidden: ReadonlySet<string>, context: ViewContext): JsonRecord {
  const wanted = context.detail;
  const tagged = own(kept.tags, wanted) as string | undefined;
  const version = kept.entries.has(wanted) ? wanted : (tagged ?? newestInRange(kept, wanted));
  const entry = version === undefined ? undefined : kept.entries.get(version);
  if (entry !== undefined) return fullVersion(entry, releases.name, context);
  const upstream = own(releases.tags, wanted) as string | undefined;
  const withheld = [wanted, upstream].find((candidate) => candidate !== undefined && hidden.has(candidate));
  if (withheld !== undefined) {
    throw new WeirError('forbidden', 'this version is withheld by policy', { detail: { version: withheld } });
  }
  throw new WeirError('not_found', 'the package has no such version or tag');
}

function newestInRange(kept: Kept, range: string): string | undefined {
  if (semver.validRange(range, { loose: true }) === null) return undefined;
  const latest = own(kept.tags, 'latest') as string | undefined;
  if (latest !== undefined && semver.satisfies(latest, range, { loose: true })) return latest;
  return semver.maxSatisfying([...kept.entries.keys()], range, { loose: true }) ?? undefined;
}

function fullVersion(entry: Entry, name: PackageName, context: ViewContext): JsonRecord {
  const full: Record<string, unknown> = { ...entry.json, dist: distOf(entry, name, context) };
  const mark = markOf(entry, context);
  if (mark !== undefined) full['deprecated'] = mark;
  // Written by npm versions of the early years: the address that a publisher's own install came from.
  if (Object.hasOwn(full, '_resolved')) delete full['_resolved'];
  return full;
}

function abbreviatedVersion(entry: Entry, name: PackageName, context: ViewContext): JsonRecord {
  const short: Record<string, unknown> = {};
  for (const field of ABBREVIATED_FIELDS) {
    const value = own(entry.json, field);
    if (value !== undefined) short[field] = value;
  }
  const mark = markOf(entry, context);
  if (mark !== undefined) short['deprecated'] = mark;
  if ((entry.release.installScripts?.length ?? 0) > 0) short['hasInstallScript'] = true;
  short['dist'] = distOf(entry, name, context);
  return short;
}

/** Our own deprecation text for a version that upstream has not deprecated. */
function markOf(entry: Entry, context: ViewContext): string | undefined {
  return entry.release.withdrawn === null ? context.flagged?.get(entry.release.version) : undefined;
}

/** Signatures cover name, version and integrity, not the address, so the address may be ours. */
function distOf(entry: Entry, name: PackageName, context: ViewContext): JsonRecord {
  const { version } = entry.release;
  const dist = record(own(entry.json, 'dist')) ?? {};
  const tarball = `${context.publicBase}/${tarballPath(name, version)}`;
  const attestations = record(own(dist, 'attestations'));
  if (attestations === undefined) return { ...dist, tarball };
  const url = `${context.publicBase}/${attestationsPath(name, version)}`;
  return { ...dist, tarball, attestations: { ...attestations, url } };
}

function mapEntries(kept: Kept, map: (entry: Entry) => JsonRecord): JsonRecord {
  const versions: Record<string, JsonRecord> = {};
  // Keys are versions, hence never `__proto__`.
  for (const [version, entry] of kept.entries) versions[version] = map(entry);
  return versions;
}

/**
 * Publish times of the remaining versions, `created`, and `modified`: upstream's own while nothing is left out, else the
 * newest remaining publish time, because clients take "not modified since" as "nothing younger in here".
 */
function times(kept: Kept): Record<string, unknown> {
  const { time } = kept.packument;
  const shown: Record<string, unknown> = {};
  const created = own(time, 'created');
  const modified = own(time, 'modified');
  if (typeof created === 'string') shown['created'] = created;
  const newest = kept.filtered ? newestTime(kept) : undefined;
  if (typeof modified === 'string') shown['modified'] = newest ?? modified;
  for (const version of kept.entries.keys()) {
    const published = own(time, version);
    if (typeof published === 'string') shown[version] = published;
  }
  if (kept.entries.size === 0 && own(time, 'unpublished') !== undefined) {
    shown['unpublished'] = { time: own(record(own(time, 'unpublished')), 'time') };
  }
  return shown;
}

function newestTime(kept: Kept): unknown {
  let newest: Entry | undefined;
  for (const entry of kept.entries.values()) {
    if ((entry.release.publishedAt ?? -1) > (newest?.release.publishedAt ?? -1)) newest = entry;
  }
  return newest === undefined ? undefined : own(kept.packument.time, newest.release.version);
}

function encode(document: JsonRecord): Buffer {
  try {
    return Buffer.from(JSON.stringify(document));
  } catch (thrown) {
    // Nesting deep enough to exhaust the stack parses, but cannot be written.
    throw asWeirError(thrown, 'upstream_failed', 'the index document is nested too deeply');
  }
}
