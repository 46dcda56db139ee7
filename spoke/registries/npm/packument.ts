// Reads a full packument into releases. It is parsed once; the parsed form travels with the releases so that every
// representation is made from the same object and duplicate keys, escapes and the like have exactly one reading.

import { isUtf8 } from 'node:buffer';
import type { SemVer } from 'semver';
import { asWeirError, WeirError } from '@weir/shared/errors/weir-error.ts';
import { fullName, type PackageName } from '@weir/shared/domain/coordinate.ts';
import type { MetadataDocument, Release, Releases } from '../adapter.ts';
import {
  type JsonRecord,
  own,
  readDigests,
  readInstallScripts,
  readLicence,
  readTarball,
  readTime,
  readTrustRank,
  readWithdrawn,
  record,
} from './facts.ts';
import { readVersion, tarballName } from './name.ts';

export const PACKUMENT_LIMITS = {
  bytes: 100 << 20,
  versions: 50_000,
  tags: 20_000,
} as const;

/** One version that is served: its entry as upstream has it, its semver form, and its release. */
export interface Entry {
  readonly json: JsonRecord;
  readonly semver: SemVer;
  readonly release: Release;
}

/** What `Releases.parsed` is for this adapter. */
export class ParsedPackument {
  readonly root: JsonRecord;
  /** By version, document order. */
  readonly entries: ReadonlyMap<string, Entry>;
  readonly time: JsonRecord;

  constructor(root: JsonRecord, entries: ReadonlyMap<string, Entry>, time: JsonRecord) {
    this.root = root;
    this.entries = entries;
    this.time = time;
  }
}

/**
 * A version whose key is no version, or whose entry names another package or version or has no usable tarball address,
 * is dropped: it is in no view and its artifact is in no index, so it is never served.
 * @throws WeirError `upstream_failed` when the document is no packument of `name`, `too_large` past a limit
 */
export function readPackument(document: MetadataDocument, name: PackageName): Releases {
  const root = parse(document.bytes);
  const wanted = fullName(name);
  if (own(root, 'name') !== wanted) throw broken('the index document names another package');
  const versions = own(root, 'versions') ?? {};
  const versionsRecord = record(versions);
  if (versionsRecord === undefined) throw broken('the index document has no list of versions');
  const time = record(own(root, 'time')) ?? {};
  const keys = Object.keys(versionsRecord);
  if (keys.length > PACKUMENT_LIMITS.versions) throw tooLarge('versions', PACKUMENT_LIMITS.versions);

  const entries = new Map<string, Entry>();
  for (const version of keys) {
    const entry = readEntry(name, wanted, version, versionsRecord[version], time);
    if (entry !== undefined) entries.set(version, entry);
  }
  const releases = Array.from(entries.values(), (entry) => entry.release);
  return {
    name,
    releases,
    firstPublishedAt: readTime(own(time, 'created')) ?? earliest(releases),
    tags: readTags(root),
    projectState: projectState(root, time, entries),
    parsed: new ParsedPackument(root, entries, time),
  };
}

/** The parsed form of releases made by `readPackument`; parses again when it has been dropped to save memory. */
export function parsedOf(document: MetadataDocument, releases: Releases): ParsedPackument {
  if (releases.parsed instanceof ParsedPackument) return releases.parsed;
  return readPackument(document, releases.name).parsed as ParsedPackument;
}

function parse(bytes: Uint8Array): JsonRecord {
  if (bytes.byteLength > PACKUMENT_LIMITS.bytes) throw tooLarge('bytes', PACKUMENT_LIMITS.bytes);
  if (!isUtf8(bytes)) throw broken('the index document is not UTF-8');
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch (thrown) {
    throw asWeirError(thrown, 'upstream_failed', 'the index document is not JSON');
  }
  const root = record(value);
  if (root === undefined) throw broken('the index document is not an object');
  return root;
}

function readEntry(
  name: PackageName,
  wanted: string,
  version: string,
  value: unknown,
  time: JsonRecord,
): Entry | undefined {
  const json = record(value);
  const semver = readVersion(version);
  if (json === undefined || semver === undefined) return undefined;
  if (own(json, 'version') !== version || own(json, 'name') !== wanted) return undefined;
  const dist = record(own(json, 'dist'));
  const url = dist === undefined ? undefined : readTarball(dist);
  if (dist === undefined || url === undefined) return undefined;
  const attested = record(own(dist, 'attestations')) !== undefined;
  return {
    json,
    semver,
    release: {
      version,
      publishedAt: readTime(own(time, version)),
      files: [
        {
          name: tarballName(name, version),
          url,
          digests: readDigests(dist),
          size: null,
          metadataSha256: attested ? '' : null,
        },
      ],
      withdrawn: readWithdrawn(json),
      licence: readLicence(json),
      installScripts: readInstallScripts(json),
      trustRank: readTrustRank(json),
    },
  };
}

/** Tags as upstream has them, also such that point at nothing. */
function readTags(root: JsonRecord): Readonly<Record<string, string>> {
  const tags = Object.entries(record(own(root, 'dist-tags')) ?? {});
  if (tags.length > PACKUMENT_LIMITS.tags) throw tooLarge('tags', PACKUMENT_LIMITS.tags);
  return Object.fromEntries(tags.filter((tag): tag is [string, string] => typeof tag[1] === 'string'));
}

/** `unpublished`: all versions were taken back. `security_holding`: the registry put a placeholder over a bad package. */
function projectState(root: JsonRecord, time: JsonRecord, entries: ReadonlyMap<string, Entry>): string {
  if (entries.size === 0) return own(time, 'unpublished') === undefined ? '' : 'unpublished';
  const tagged = own(record(own(root, 'dist-tags')), 'latest');
  if (typeof tagged !== 'string' || !/-security(?:\.\d+)?$/.test(tagged)) return '';
  const repository = record(own(entries.get(tagged)?.json, 'repository'));
  const url = own(repository, 'url') ?? own(entries.get(tagged)?.json, 'repository');
  return typeof url === 'string' && url.includes('npm/security-holder') ? 'security_holding' : '';
}

function earliest(releases: readonly Release[]): number | null {
  let first: number | null = null;
  for (const { publishedAt } of releases) {
    if (publishedAt !== null && (first === null || publishedAt < first)) first = publishedAt;
  }
  return first;
}

function broken(message: string): WeirError {
  return new WeirError('upstream_failed', message);
}

function tooLarge(what: string, limit: number): WeirError {
  return new WeirError('too_large', `the index document has more ${what} than this registry reads`, {
    detail: { limit },
  });
}
