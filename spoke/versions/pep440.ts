// Python versions (PEP 440): reading, the normal form, equality and order. One implementation for the adapter, which orders
// what it shows, and for the evidence, which matches what is malicious: they must never disagree.

/** Longer texts are no versions; real ones stay below 60 characters. */
export const VERSION_CHARS_MAX = 200;

/** Numbers are kept as digit strings without leading zeros, so that no version is too big to compare exactly. */
export interface Pep440Version {
  readonly epoch: string;
  readonly release: readonly string[];
  readonly pre: { readonly phase: 'a' | 'b' | 'rc'; readonly number: string } | null;
  readonly post: string | null;
  readonly dev: string | null;
  /** Lower-case segments of the local label, [] when none. */
  readonly local: readonly string[];
}

const SEPARATOR = '[-_.]?';
const PATTERN = new RegExp(
  [
    '^v?(?:(?<epoch>[0-9]+)!)?(?<release>[0-9]+(?:\\.[0-9]+)*)',
    `(?:${SEPARATOR}(?<phase>alpha|a|beta|b|preview|pre|c|rc)${SEPARATOR}(?<preNumber>[0-9]+)?)?`,
    `(?:-(?<implicitPost>[0-9]+)|(?<post>${SEPARATOR}(?:post|rev|r)${SEPARATOR}(?<postNumber>[0-9]+)?))?`,
    `(?<dev>${SEPARATOR}dev${SEPARATOR}(?<devNumber>[0-9]+)?)?`,
    '(?:\\+(?<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?$',
  ].join(''),
);

const PHASES: Readonly<Record<string, 'a' | 'b' | 'rc'>> = {
  a: 'a',
  alpha: 'a',
  b: 'b',
  beta: 'b',
  c: 'rc',
  rc: 'rc',
  pre: 'rc',
  preview: 'rc',
};

/** Reads any spelling that PEP 440 allows; undefined for everything else, the empty text included. */
export function parseVersion(text: string): Pep440Version | undefined {
  if (text.length > VERSION_CHARS_MAX) return undefined;
  // White space around a version is to be ignored, as is case.
  const groups = PATTERN.exec(text.trim().toLowerCase())?.groups;
  if (groups?.['release'] === undefined) return undefined;
  const phase = PHASES[groups['phase'] ?? ''];
  return {
    epoch: digits(groups['epoch']),
    release: groups['release'].split('.').map(digits),
    pre: phase === undefined ? null : { phase, number: digits(groups['preNumber']) },
    post: postOf(groups),
    dev: groups['dev'] === undefined ? null : digits(groups['devNumber']),
    local: groups['local'] === undefined ? [] : groups['local'].split(/[-_.]/).map(localSegment),
  };
}

function postOf(groups: Readonly<Record<string, string | undefined>>): string | null {
  if (groups['implicitPost'] !== undefined) return digits(groups['implicitPost']);
  return groups['post'] === undefined ? null : digits(groups['postNumber']);
}

/** The normal spelling, trailing zeros of the release kept: `1.0RC1` → `1.0rc1`. */
export function normalVersion(version: Pep440Version): string {
  return spell(version, version.release);
}

/** One text per class of equal versions: `1.0` and `1.0.0` have the same key. Not for showing. */
export function equalityKey(version: Pep440Version): string {
  return spell(version, withoutTrailingZeros(version.release));
}

function spell(version: Pep440Version, release: readonly string[]): string {
  const epoch = version.epoch === '0' ? '' : `${version.epoch}!`;
  const pre = version.pre === null ? '' : `${version.pre.phase}${version.pre.number}`;
  const post = version.post === null ? '' : `.post${version.post}`;
  const dev = version.dev === null ? '' : `.dev${version.dev}`;
  const local = version.local.length === 0 ? '' : `+${version.local.join('.')}`;
  return `${epoch}${release.join('.')}${pre}${post}${dev}${local}`;
}

/** Whether resolvers skip it unless asked: alpha, beta, candidate or development release. */
export function isPrerelease(version: Pep440Version): boolean {
  return version.pre !== null || version.dev !== null;
}

/** PEP 440's order over texts: negative when a < b. What is no version sorts below every version, byte-wise. */
export function compareVersions(a: string, b: string): number {
  const left = parseVersion(a);
  const right = parseVersion(b);
  if (left !== undefined && right !== undefined) return compareParsed(left, right);
  if (left !== undefined) return 1;
  if (right !== undefined) return -1;
  return a < b ? -1 : a > b ? 1 : 0;
}

export function compareParsed(a: Pep440Version, b: Pep440Version): number {
  return (
    compareDigits(a.epoch, b.epoch) ||
    compareRelease(a.release, b.release) ||
    comparePre(a, b) ||
    compareOptional(a.post, b.post, 'absent is lower') ||
    compareOptional(a.dev, b.dev, 'absent is higher') ||
    compareLocal(a.local, b.local)
  );
}

function compareRelease(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i += 1) {
    const order = compareDigits(a[i] ?? '0', b[i] ?? '0');
    if (order !== 0) return order;
  }
  return 0;
}

/** A bare development release precedes every phase of its release; a release without phase follows them all. */
function comparePre(a: Pep440Version, b: Pep440Version): number {
  const rank = rankOfPhase(a) - rankOfPhase(b);
  return rank !== 0 ? rank : compareDigits(a.pre?.number ?? '0', b.pre?.number ?? '0');
}

function rankOfPhase(version: Pep440Version): number {
  if (version.pre !== null) return { a: 1, b: 2, rc: 3 }[version.pre.phase];
  return version.post === null && version.dev !== null ? 0 : 4;
}

function compareOptional(a: string | null, b: string | null, absence: 'absent is lower' | 'absent is higher'): number {
  if (a !== null && b !== null) return compareDigits(a, b);
  if (a === b) return 0;
  const present = absence === 'absent is lower' ? 1 : -1;
  return a === null ? -present : present;
}

/** No label < any label; segment by segment, letters < numbers, a longer label wins over its own prefix. */
function compareLocal(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) {
    const order = compareLocalSegment(a[i] ?? '', b[i] ?? '');
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareLocalSegment(a: string, b: string): number {
  const numericA = /^[0-9]+$/.test(a);
  const numericB = /^[0-9]+$/.test(b);
  if (numericA && numericB) return compareDigits(a, b);
  if (numericA !== numericB) return numericA ? 1 : -1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareDigits(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

function digits(text: string | undefined): string {
  return (text ?? '0').replace(/^0+(?=[0-9])/, '');
}

function localSegment(text: string): string {
  return /^[0-9]+$/.test(text) ? digits(text) : text;
}

function withoutTrailingZeros(release: readonly string[]): readonly string[] {
  let end = release.length;
  while (end > 1 && release[end - 1] === '0') end -= 1;
  return release.slice(0, end);
}
