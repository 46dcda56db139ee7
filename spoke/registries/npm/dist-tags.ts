// Where dist-tags point once versions are hidden. A tag never dangles: it moves to the nearest version that says the same
// thing, or it goes.

import type { SemVer } from 'semver';
import { readVersion } from './name.ts';
import type { Entry } from './packument.ts';

/**
 * - `latest` (and any tag on a stable version): the newest remaining stable version not newer than the tagged one.
 * - a tag on a pre-release: the newest remaining one of the same channel, of the same release line where there is one.
 * - `latest` on a pre-release means that the package has had nothing else: a stable version not newer, else as above.
 * A tag for which nothing remains is removed; `latest` never moves from a stable version to a pre-release.
 * @param tags as upstream has them @param entries all versions @param kept those still shown
 */
export function retag(
  tags: Readonly<Record<string, string>>,
  entries: ReadonlyMap<string, Entry>,
  kept: ReadonlyMap<string, Entry>,
): Record<string, string> {
  let index: TagIndex | undefined;
  const moved: [string, string][] = [];
  for (const [tag, target] of Object.entries(tags)) {
    if (kept.has(target)) {
      moved.push([tag, target]);
      continue;
    }
    // Also a version that upstream does not list, or lists in a form that is dropped: the tag must not dangle either.
    const hidden = entries.get(target)?.semver ?? readVersion(target);
    if (hidden === undefined) continue;
    index ??= buildIndex(kept);
    const instead =
      hidden.prerelease.length === 0
        ? newestStable(index, hidden)
        : ((tag === 'latest' ? newestStable(index, hidden) : undefined) ?? newestOfChannel(index, hidden));
    if (instead !== undefined) moved.push([tag, instead]);
  }
  return Object.fromEntries(moved);
}

interface TagIndex {
  /** Ascending. */
  readonly stable: readonly Entry[];
  /** Newest by channel, and by channel and release line. */
  readonly channels: ReadonlyMap<string, Entry>;
}

/** Built only when some tag has to move; looked up per tag, so that many tags on many versions stay cheap. */
function buildIndex(kept: ReadonlyMap<string, Entry>): TagIndex {
  const stable: Entry[] = [];
  const channels = new Map<string, Entry>();
  for (const entry of kept.values()) {
    if (entry.semver.prerelease.length === 0) {
      stable.push(entry);
      continue;
    }
    for (const key of [channelOf(entry.semver), lineOf(entry.semver)]) {
      const best = channels.get(key);
      if (best === undefined || isNewer(entry, best)) channels.set(key, entry);
    }
  }
  return { stable: stable.toSorted((a, b) => a.semver.compare(b.semver)), channels };
}

function newestStable(index: TagIndex, limit: SemVer): string | undefined {
  let low = 0;
  let high = index.stable.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = index.stable[middle];
    if (entry !== undefined && entry.semver.compare(limit) <= 0) low = middle + 1;
    else high = middle;
  }
  return index.stable[low - 1]?.release.version;
}

function newestOfChannel(index: TagIndex, target: SemVer): string | undefined {
  const entry = index.channels.get(lineOf(target)) ?? index.channels.get(channelOf(target));
  return entry?.release.version;
}

/** Leading letters of the first pre-release identifier: `beta` of `beta.3`, `canary` of `canary-0f3a-20230309`. */
function channelOf(version: SemVer): string {
  return /^[A-Za-z]*/.exec(String(version.prerelease[0] ?? ''))?.[0] ?? '';
}

function lineOf(version: SemVer): string {
  return `${channelOf(version)} ${version.major}.${version.minor}.${version.patch}`;
}

/** By release line, then by publish time (identifiers such as commit hashes have no order), then by semver. */
function isNewer(a: Entry, b: Entry): boolean {
  const line = a.semver.compareMain(b.semver);
  if (line !== 0) return line > 0;
  const left = a.release.publishedAt;
  const right = b.release.publishedAt;
  if (left !== null && right !== null && left !== right) return left > right;
  return a.semver.compare(b.semver) > 0;
}
