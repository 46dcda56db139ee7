// What a version means in its ecosystem: its normal form, its order and whether it is a pre-release. Text that is no
// version of the ecosystem has no order; callers must say what that means for them.

import semver from 'semver';
import type { Ecosystem } from '@weir/shared/domain/coordinate.ts';
import { compareParsed, equalityKey, isPrerelease, parseVersion } from '../versions/pep440.ts';

interface VersionOrder {
  /** The spelling shared by all equal versions; the text itself when it is no version of the ecosystem. */
  normal(version: string): string;
  /** Negative, 0 or positive; undefined when either is no version of the ecosystem. */
  compare(a: string, b: string): number | undefined;
  /** undefined when it is no version of the ecosystem. */
  isPrerelease(version: string): boolean | undefined;
}

/** Semantic versions; build metadata does not tell versions apart. */
const npm: VersionOrder = {
  normal: (version) => semver.parse(version)?.version ?? version,
  compare: (a, b) => {
    const [left, right] = [semver.parse(a), semver.parse(b)];
    return left === null || right === null ? undefined : left.compare(right);
  },
  isPrerelease: (version) => {
    const parsed = semver.parse(version);
    return parsed === null ? undefined : parsed.prerelease.length > 0;
  },
};

const pypi: VersionOrder = {
  normal: (version) => {
    const parsed = parseVersion(version);
    return parsed === undefined ? version : equalityKey(parsed);
  },
  compare: (a, b) => {
    const [left, right] = [parseVersion(a), parseVersion(b)];
    return left === undefined || right === undefined ? undefined : compareParsed(left, right);
  },
  isPrerelease: (version) => {
    const parsed = parseVersion(version);
    return parsed === undefined ? undefined : isPrerelease(parsed);
  },
};

export const VERSION_ORDERS: Readonly<Record<Ecosystem, VersionOrder>> = { npm, pypi };
