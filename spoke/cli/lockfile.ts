// Reads the packages that a lockfile pins as package URLs. A file that it cannot read whole is an error: a check that
// silently skipped entries would be worth nothing.

import { basename } from 'node:path';
import { purl, type Ecosystem } from '@weir/shared/domain/coordinate.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

const ENTRIES_MAX = 20_000;

/** @returns distinct purls in order of name @throws WeirError `invalid_argument`, `unsupported`, `too_large` */
export function purlsOfLockfile(path: string, text: string): readonly string[] {
  const name = basename(path);
  const found = name.endsWith('.json') ? packageLock(text, name) : requirements(text, name);
  const distinct = [...new Set(found)].toSorted();
  if (distinct.length > ENTRIES_MAX) throw new WeirError('too_large', `${name} pins more than ${ENTRIES_MAX} packages`);
  return distinct;
}

interface LockedPackage {
  readonly name?: string;
  readonly version?: string;
  readonly link?: boolean;
  readonly resolved?: string;
}

function packageLock(text: string, name: string): readonly string[] {
  let lock: { readonly lockfileVersion?: number; readonly packages?: Readonly<Record<string, LockedPackage>> };
  try {
    lock = JSON.parse(text) as typeof lock;
  } catch (cause) {
    throw new WeirError('invalid_argument', `${name} is not JSON`, { cause });
  }
  if (lock.packages === undefined) {
    throw new WeirError('unsupported', `${name} is no package-lock.json of version 2 or later`, {
      next: 'run npm install with npm 7 or newer to upgrade it',
    });
  }
  return Object.entries(lock.packages).flatMap(([path, entry]) => {
    const inside = path.lastIndexOf('node_modules/');
    // The project itself, its workspaces and links are not installed from a registry.
    if (inside === -1 || entry.link === true || entry.version === undefined) return [];
    return [at('npm', entry.name ?? path.slice(inside + 'node_modules/'.length), entry.version)];
  });
}

function requirements(text: string, name: string): readonly string[] {
  const purls: string[] = [];
  for (const [index, raw] of text
    .replaceAll(/\\\r?\n/g, ' ')
    .split(/\r?\n/)
    .entries()) {
    const line = raw.replace(/(^|\s)#.*$/, '').trim();
    if (line === '' || line.startsWith('--') || /^-[a-z] ?/.test(line)) continue;
    const match = /^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==\s*([^\s;,]+)/.exec(line);
    if (match === null) {
      throw new WeirError('invalid_argument', `${name} line ${index + 1} pins no exact version`, {
        next: 'check a file with name==version lines, for example from pip freeze',
      });
    }
    purls.push(at('pypi', (match[1] ?? '').toLowerCase().replaceAll(/[-_.]+/g, '-'), match[2] ?? ''));
  }
  return purls;
}

function at(ecosystem: Ecosystem, full: string, version: string): string {
  const slash = full.startsWith('@') ? full.indexOf('/') : -1;
  const namespace = slash === -1 ? '' : full.slice(0, slash);
  return purl({ ecosystem, namespace, name: full.slice(slash + 1), version });
}
