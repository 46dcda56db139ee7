// What the house rules look at: every source file of the repository with its imports, read from git's list of files so
// that build output and installed packages never count.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface Import {
  readonly specifier: string;
  /** Repository path for internal imports, undefined for packages and node built-ins. */
  readonly file: string | undefined;
  readonly typeOnly: boolean;
}

export interface Source {
  /** Repository path, '/'-separated. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
  readonly isTest: boolean;
}

/** Tracked files and new ones that git does not ignore. */
export function repositoryFiles(): readonly string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  return listed.split('\n').filter((path) => path !== '' && existsSync(join(ROOT, path)));
}

export function readText(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

const IMPORT = /^\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm;
const DYNAMIC = /\bimport\(\s*'([^']+)'\s*\)/g;

export function sources(): readonly Source[] {
  return repositoryFiles()
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts') && !path.startsWith('proto/gen/'))
    .map((path) => {
      const text = readText(path);
      const imports: Import[] = [];
      for (const [, typeOnly, specifier = ''] of text.matchAll(IMPORT)) {
        imports.push({ specifier, file: resolve(path, specifier), typeOnly: typeOnly !== undefined });
      }
      for (const [, specifier = ''] of text.matchAll(DYNAMIC)) {
        imports.push({ specifier, file: resolve(path, specifier), typeOnly: false });
      }
      return { path, text, imports, isTest: path.endsWith('.test.ts') || path.startsWith('test/') };
    });
}

function resolve(from: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return posix.normalize(posix.join(posix.dirname(from), specifier));
  const workspace = /^@weir\/(proto|shared|hub|spoke|test)\/(.+)$/.exec(specifier);
  if (workspace === null) return undefined;
  return workspace[1] === 'proto' ? `proto/gen/${workspace[2]}` : `${workspace[1]}/${workspace[2]}`;
}

/** `spoke/io/x.ts` → `spoke/io`; `spoke/main.ts` → `spoke`. */
export function folder(path: string, depth = 2): string {
  return path.split('/').slice(0, -1).slice(0, depth).join('/');
}
