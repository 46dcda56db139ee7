// One project's index page, as the HTML (PEP 503) and the JSON (PEP 691) form both mean it: read once, rendered in either.
// Only what is named here survives a view, so nothing that an upstream adds can carry its addresses to a client.

import { WeirError } from '@weir/shared/errors/weir-error.ts';

/** Most files that one page may list. */
export const INDEX_FILES_MAX = 100_000;

export interface IndexFile {
  readonly name: string;
  /** Absolute http(s) address upstream, without fragment. Never shown. */
  readonly url: string;
  /** The release it belongs to: the normal version, '' when the file name does not tell. */
  readonly version: string;
  /** Hex digests by algorithm. */
  readonly hashes: Readonly<Record<string, string>>;
  readonly requiresPython: string | undefined;
  readonly size: number | undefined;
  /** As upstream wrote it (RFC 3339, UTC or with offset). */
  readonly uploadTime: string | undefined;
  /** The reason, '' when none is given; undefined when not yanked. */
  readonly yanked: string | undefined;
  /** Digests of the `.metadata` sidecar, {} when there is one without digests, undefined when there is none. */
  readonly coreMetadata: Readonly<Record<string, string>> | undefined;
  /** Whether the index names a provenance document; undefined when it does not speak of provenance at all. */
  readonly provenance: boolean | undefined;
}

export interface ProjectIndex {
  /** Minor version of the simple API, as far as this reader knows it. */
  readonly minor: number;
  readonly files: readonly IndexFile[];
  /** The `versions` list as upstream wrote it; undefined when it has none (HTML, API 1.0). */
  readonly versions: readonly string[] | undefined;
  /** PEP 792; '' when not told. */
  readonly status: string;
  readonly statusReason: string;
}

/** Highest minor version of the simple API whose fields are known here. */
export const KNOWN_MINOR = 4;

export function malformed(what: string, cause?: unknown): WeirError {
  return new WeirError('upstream_failed', `the upstream index page cannot be read: ${what}`, { cause, retry: 'later' });
}

/** Major must be 1; anything newer is not understood and must not be guessed at. */
export function readMinor(text: string): number {
  const match = /^([0-9]{1,4})\.([0-9]{1,4})$/.exec(text);
  if (match === null) throw malformed('it states no simple API version');
  if (match[1] !== '1') throw malformed('it speaks a newer major version of the simple API');
  return Math.min(Number(match[2]), KNOWN_MINOR);
}

/** Absolute http(s) address without credentials; undefined when the text leads anywhere else. */
export function resolveUrl(text: string, base: string): URL | undefined {
  if (!URL.canParse(text, base)) return undefined;
  const url = new URL(text, base);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return undefined;
  return url.username === '' && url.password === '' ? url : undefined;
}

export function isHashName(text: string): boolean {
  return /^[a-z][a-z0-9_]{1,19}$/.test(text);
}

export function isHexDigest(text: string): boolean {
  return text.length <= 256 && text.length % 2 === 0 && /^[0-9a-fA-F]+$/.test(text);
}

/** A page that speaks of provenance for one file and is silent for another says that the other has none. */
export function settleProvenance(files: readonly IndexFile[]): readonly IndexFile[] {
  if (!files.some((file) => file.provenance !== undefined)) return files;
  return files.map((file) => (file.provenance === undefined ? { ...file, provenance: false } : file));
}

/** One entry per file name: of several with the same name only the first can ever be asked for, so only it is listed. */
export function firstByName(files: readonly IndexFile[]): readonly IndexFile[] {
  const seen = new Set<string>();
  return files.filter((file) => {
    if (seen.has(file.name)) return false;
    seen.add(file.name);
    return true;
  });
}

/** Unix seconds; undefined for texts that are no full timestamp with a zone. */
export function readTimestamp(text: string | undefined): number | undefined {
  if (text === undefined || text.length > 40) return undefined;
  if (!/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/.test(text)) return undefined;
  const milliseconds = Date.parse(text.replace(' ', 'T').replace(/(\.\d{3})\d+/, '$1'));
  return Number.isNaN(milliseconds) || milliseconds < 0 ? undefined : Math.floor(milliseconds / 1000);
}
