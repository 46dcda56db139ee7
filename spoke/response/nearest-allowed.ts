// What to take instead of a refused version: the nearest one that the same policy lets through.

import type { Level } from '@weir/shared/domain/level.ts';

export interface JudgedVersion {
  readonly version: string;
  readonly level: Level;
}

/**
 * Nearest allowed version, '' when there is none. In this order: the newest older one of the same major, the oldest newer
 * one of the same major, the newest older one, the oldest newer one; a pre-release only when no stable version is allowed
 * or when a pre-release was asked for.
 * @param asked the refused version; when '' the newest allowed one is named
 * @param compare the registry's order of versions
 */
export function nearestAllowed(
  asked: string,
  versions: readonly JudgedVersion[],
  compare: (a: string, b: string) => number,
): string {
  const allowed: string[] = [];
  for (const { version, level } of versions) {
    if ((level === 'allow' || level === 'warn') && version !== asked) allowed.push(version);
  }
  const stable = isPrerelease(asked) ? allowed : allowed.filter((version) => !isPrerelease(version));
  return pick(asked, stable.length > 0 ? stable : allowed, compare);
}

function pick(asked: string, allowed: readonly string[], compare: (a: string, b: string) => number): string {
  const major = majorOf(asked);
  const best: (string | undefined)[] = [undefined, undefined, undefined, undefined];
  for (const version of allowed) {
    const newer = asked !== '' && compare(version, asked) > 0;
    const tier = (majorOf(version) === major ? 0 : 2) + (newer ? 1 : 0);
    const current = best[tier];
    const closer = current === undefined || (newer ? compare(version, current) < 0 : compare(version, current) > 0);
    if (closer) best[tier] = version;
  }
  return best.find((version) => version !== undefined) ?? '';
}

/** Text before the first dot, without a leading v or an epoch: enough to tell release lines of either registry apart. */
function majorOf(version: string): string {
  return /^v?(?:\d+!)?(\d*)/.exec(version)?.[1] ?? '';
}

/** A letter or hyphen after the numbers marks a pre-release in both registries; local and post-release marks do not. */
function isPrerelease(version: string): boolean {
  const text = version
    .replace(/^v/i, '')
    .replace(/\+.*$/, '')
    .replace(/[.-]?post\d*$/i, '');
  return /[a-z-]/i.test(text);
}
