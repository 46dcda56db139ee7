// Versions of Python packages, ordered as the version specifiers standard orders them: epoch, release, then
// development, pre-, final and post-releases, then local labels. Numbers have no upper bound, so they are bigints.

const MAX_LENGTH = 256;

const NUMBERED = String.raw`[-_.]?(\d*)`;
const VERSION = new RegExp(
  [
    String.raw`^v?(?:(\d+)!)?(\d+(?:\.\d+)*)`,
    `(?:[-_.]?(alpha|a|beta|b|preview|pre|rc|c)${NUMBERED})?`,
    String.raw`(?:-(\d+)|[-_.]?(?:post|rev|r)${NUMBERED})?`,
    `(?:[-_.]?(dev)${NUMBERED})?`,
    String.raw`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`,
  ].join(''),
);

const PHASES: Readonly<Record<string, 'a' | 'b' | 'rc'>> = {
  a: 'a',
  alpha: 'a',
  b: 'b',
  beta: 'b',
  c: 'rc',
  pre: 'rc',
  preview: 'rc',
  rc: 'rc',
};

export interface Pep440Version {
  readonly epoch: bigint;
  /** Without trailing zeros: 1.0 and 1 are the same version. */
  readonly release: readonly bigint[];
  readonly pre: { readonly phase: 'a' | 'b' | 'rc'; readonly number: bigint } | undefined;
  readonly post: bigint | undefined;
  readonly dev: bigint | undefined;
  /** Parts of the local label; numeric parts sort above alphabetic ones. */
  readonly local: readonly (bigint | string)[];
}

/** Reads a version in any spelling the standard accepts; undefined for everything else and beyond 256 characters. */
export function parsePep440(text: string): Pep440Version | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const match = VERSION.exec(text.trim().toLowerCase());
  if (match === null) return undefined;
  const [, epoch, release = '', phase, phaseNumber, dashPost, wordPost, dev, devNumber, local] = match;
  const post = dashPost ?? wordPost;
  return {
    epoch: BigInt(epoch ?? 0),
    release: withoutTrailingZeros(release.split('.').map((part) => BigInt(part))),
    pre: phase === undefined ? undefined : { phase: PHASES[phase] ?? 'rc', number: BigInt(phaseNumber || 0) },
    post: post === undefined ? undefined : BigInt(post || 0),
    dev: dev === undefined ? undefined : BigInt(devNumber || 0),
    local: local === undefined ? [] : local.split(/[-_.]/).map((part) => (/^\d+$/.test(part) ? BigInt(part) : part)),
  };
}

/** Negative when a comes before b, 0 when they are the same version, positive otherwise. */
export function comparePep440(a: Pep440Version, b: Pep440Version): number {
  return (
    compareNumbers(a.epoch, b.epoch) ||
    compareReleases(a.release, b.release) ||
    compareNumbers(phaseRank(a), phaseRank(b)) ||
    compareNumbers(a.pre?.number ?? 0n, b.pre?.number ?? 0n) ||
    // Absent sorts first for a post-release, last for a development release.
    compareNumbers(a.post ?? -1n, b.post ?? -1n) ||
    compareDevelopment(a.dev, b.dev) ||
    compareLocals(a.local, b.local)
  );
}

/** The one spelling shared by all equal versions. */
export function normalPep440(version: Pep440Version): string {
  const epoch = version.epoch === 0n ? '' : `${version.epoch}!`;
  const pre = version.pre === undefined ? '' : `${version.pre.phase}${version.pre.number}`;
  const post = version.post === undefined ? '' : `.post${version.post}`;
  const dev = version.dev === undefined ? '' : `.dev${version.dev}`;
  const local = version.local.length === 0 ? '' : `+${version.local.join('.')}`;
  return `${epoch}${version.release.join('.')}${pre}${post}${dev}${local}`;
}

/** Alpha, beta, candidate or development release. */
export function isPep440Prerelease(version: Pep440Version): boolean {
  return version.pre !== undefined || version.dev !== undefined;
}

/** A development release of the final release itself precedes every pre-release; without a phase it is the final one. */
function phaseRank(version: Pep440Version): number {
  if (version.pre !== undefined) return ['a', 'b', 'rc'].indexOf(version.pre.phase) + 1;
  return version.post === undefined && version.dev !== undefined ? 0 : 4;
}

function compareNumbers<T extends bigint | number>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareReleases(a: readonly bigint[], b: readonly bigint[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i += 1) {
    const order = compareNumbers(a[i] ?? 0n, b[i] ?? 0n);
    if (order !== 0) return order;
  }
  return 0;
}

function compareDevelopment(a: bigint | undefined, b: bigint | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? 1 : -1;
  return compareNumbers(a, b);
}

function compareLocals(a: readonly (bigint | string)[], b: readonly (bigint | string)[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) {
    const order = compareLocalParts(a[i] ?? '', b[i] ?? '');
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareLocalParts(a: bigint | string, b: bigint | string): number {
  if (typeof a === 'bigint') return typeof b === 'bigint' ? compareNumbers(a, b) : 1;
  if (typeof b === 'bigint') return -1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function withoutTrailingZeros(parts: readonly bigint[]): readonly bigint[] {
  let end = parts.length;
  while (end > 1 && parts[end - 1] === 0n) end -= 1;
  return parts.slice(0, end);
}
