// Names of packages, versions and tarballs as the npm registry spells them. Identifiers are compared byte for byte; names
// of the early years (capitals, a few marks) are still names.

import semver from 'semver';
import { fullName, type PackageName } from '@weir/shared/domain/coordinate.ts';

export const NAME_CHARS_MAX = 214;
export const VERSION_CHARS_MAX = 256;

const PART = /^[A-Za-z0-9\-_.!~*'()]+$/;
/** Characters that stand unencoded in an address; everything that reads as a version is made of them. */
const VERSION_CHARS = /^[0-9A-Za-z.+-]+$/;

/** Reads `name` or `@scope/name`; undefined when the registry has no such name. The name `-` would read as a route. */
export function readName(text: string): PackageName | undefined {
  if (text.length === 0 || text.length > NAME_CHARS_MAX) return undefined;
  if (!text.startsWith('@')) {
    return isPart(text) && !text.startsWith('_') ? { ecosystem: 'npm', namespace: '', name: text } : undefined;
  }
  const slash = text.indexOf('/');
  const scope = text.slice(1, slash);
  const name = text.slice(slash + 1);
  return slash > 0 && isPart(scope) && isPart(name) ? { ecosystem: 'npm', namespace: `@${scope}`, name } : undefined;
}

function isPart(text: string): boolean {
  return PART.test(text) && !text.startsWith('.') && text !== '-' && text !== 'node_modules' && text !== 'favicon.ico';
}

/** A version key of a packument as a semver object, read as loosely as npm itself does; undefined when it is none. */
export function readVersion(text: string): semver.SemVer | undefined {
  if (text.length > VERSION_CHARS_MAX || !VERSION_CHARS.test(text)) return undefined;
  return semver.parse(text, { loose: true }) ?? undefined;
}

/** The file under which this registry serves a version, whatever upstream calls it. */
export function tarballName(name: PackageName, version: string): string {
  return `${name.name}-${version}.tgz`;
}

/** Path of a tarball below the mount, no leading '/'. */
export function tarballPath(name: PackageName, version: string): string {
  return `${fullName(name)}/-/${tarballName(name, version)}`;
}

/** The version that a tarball's file name spells; '' when it spells none. */
export function versionOfFile(name: PackageName, file: string): string {
  const prefix = `${name.name}-`;
  if (!file.startsWith(prefix) || !file.endsWith('.tgz')) return '';
  const version = file.slice(prefix.length, -'.tgz'.length);
  return readVersion(version) === undefined ? '' : version;
}

/** Path of a package's documents below a registry, as npm itself encodes it. */
export function encodedName(name: PackageName): string {
  return fullName(name).replace('/', '%2f');
}

/** Path of the attestations of one version below a registry, no leading '/'. */
export function attestationsPath(name: PackageName, version: string): string {
  return `-/npm/v1/attestations/${encodedName(name)}@${version}`;
}

/** Name of the attestations as a file, for rows and caches; no client asks by it. */
export function attestationsName(name: PackageName, version: string): string {
  return `${name.name}-${version}.attestations.json`;
}

/** Semver order, read loosely; what is no version sorts below every version, in code unit order. */
export function compareVersions(a: string, b: string): number {
  const left = readVersion(a);
  const right = readVersion(b);
  if (left !== undefined && right !== undefined) {
    return left.compare(right) || left.compareBuild(right) || codeUnits(a, b);
  }
  if (left !== undefined) return 1;
  if (right !== undefined) return -1;
  return codeUnits(a, b);
}

function codeUnits(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
