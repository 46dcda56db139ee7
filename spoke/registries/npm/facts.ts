// What one version's entry in a packument says about it. Entries come from whoever published the package: every field
// may be missing, of another type or hostile, and nothing here trusts its shape.

import type { Release, ReleaseFile } from '../adapter.ts';

const TEXT_CHARS_MAX = 500;
const INSTALL_HOOKS = ['preinstall', 'install', 'postinstall'] as const;
const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;
const BASE64_LENGTH = { sha512: 88, sha256: 44, sha1: 28 } as const;

export type JsonRecord = Readonly<Record<string, unknown>>;

/** The value when it is an object (not an array, not null); undefined otherwise. */
export function record(value: unknown): JsonRecord | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonRecord) : undefined;
}

/** An own property; inherited names such as `constructor` are not there. */
export function own(object: JsonRecord | undefined, key: string): unknown {
  return object !== undefined && Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Unix seconds of an RFC 3339 time; null when it is none. Other spellings would depend on this machine's zone. */
export function readTime(value: unknown): number | null {
  if (typeof value !== 'string' || !ISO_TIME.test(value)) return null;
  const milliseconds = Date.parse(value);
  return Number.isFinite(milliseconds) && milliseconds >= 0 ? Math.floor(milliseconds / 1000) : null;
}

/** SPDX string, or the object and list forms of the early years; '' when the entry declares none. */
export function readLicence(entry: JsonRecord): string {
  const value = own(entry, 'license') ?? own(entry, 'licence') ?? own(entry, 'licenses');
  if (!Array.isArray(value)) return clip(licenceName(value));
  const names = value
    .slice(0, 20)
    .map(licenceName)
    .filter((name) => name !== '');
  return clip(names.length > 1 ? `(${names.join(' OR ')})` : (names[0] ?? ''));
}

function licenceName(value: unknown): string {
  if (typeof value === 'string') return value.trim();
  const named = record(value);
  const type = own(named, 'type') ?? own(named, 'name');
  return typeof type === 'string' ? type.trim() : '';
}

/**
 * Hooks that npm runs when it installs the tarball. `prepare` is not among them: clients run it for git and folder
 * dependencies only. `node-gyp` is the build that npm starts by itself for a package with native sources.
 */
export function readInstallScripts(entry: JsonRecord): readonly string[] {
  const scripts = record(own(entry, 'scripts'));
  const hooks: string[] = INSTALL_HOOKS.filter((hook) => {
    const command = own(scripts, hook);
    return typeof command === 'string' ? command.trim() !== '' : command !== undefined && command !== null;
  });
  const builds = own(entry, 'gypfile') === true && !hooks.includes('install') && !hooks.includes('preinstall');
  if (builds) hooks.push('node-gyp');
  if (hooks.length === 0 && own(entry, 'hasInstallScript') === true) hooks.push('install');
  return hooks;
}

/** Ranks as the clients' own trust check does: staged publish > trusted publisher with provenance > provenance > none. */
export function readTrustRank(entry: JsonRecord): 0 | 1 | 2 | 3 {
  const user = record(own(entry, '_npmUser'));
  if (isSet(own(user, 'approver'))) return 3;
  const provenance = isSet(own(record(own(record(own(entry, 'dist')), 'attestations')), 'provenance'));
  if (!provenance) return 0;
  return isSet(own(user, 'trustedPublisher')) ? 2 : 1;
}

/** A deprecation counts when it says something; `""` and `false` are how it is taken back. */
export function readWithdrawn(entry: JsonRecord): Release['withdrawn'] {
  const value = own(entry, 'deprecated');
  if (typeof value === 'string' && value !== '') return { state: 'deprecated', reason: clip(value) };
  return value === true ? { state: 'deprecated', reason: '' } : null;
}

/** Digests that the index promises; of several hashes of one algorithm only the first is taken, which is the stricter. */
export function readDigests(dist: JsonRecord): ReleaseFile['digests'] {
  const digests: { sha512?: string; sha256?: string; sha1?: string } = {};
  const integrity = own(dist, 'integrity');
  if (typeof integrity === 'string' && integrity.length <= 1024) {
    for (const part of integrity.split(/\s+/)) {
      const match = /^(sha512|sha256|sha1)-([A-Za-z0-9+/]+={0,2})(?:\?.*)?$/.exec(part);
      if (match === null) continue;
      const algorithm = match[1] as keyof typeof BASE64_LENGTH;
      const base64 = match[2] ?? '';
      if (base64.length !== BASE64_LENGTH[algorithm] || digests[algorithm] !== undefined) continue;
      digests[algorithm] = Buffer.from(base64, 'base64').toString('hex');
    }
  }
  const shasum = own(dist, 'shasum');
  if (digests.sha1 === undefined && typeof shasum === 'string' && /^[0-9a-fA-F]{40}$/.test(shasum)) {
    digests.sha1 = shasum.toLowerCase();
  }
  return digests;
}

/** Address of the tarball when it is an absolute http or https URL without credentials. */
export function readTarball(dist: JsonRecord): string | undefined {
  const value = own(dist, 'tarball');
  if (typeof value !== 'string' || value.length > 2048) return undefined;
  const url = URL.parse(value);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return undefined;
  return url.username === '' && url.password === '' ? value : undefined;
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== '';
}

function clip(text: string): string {
  return text.length <= TEXT_CHARS_MAX ? text : text.slice(0, TEXT_CHARS_MAX);
}
