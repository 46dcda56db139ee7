// Reads a folder of policy sources from disk: regular files only, in path order, within limits.

import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { SourceFile } from '../store/policy-store.ts';

const FILES_MAX = 5_000;
const BYTES_MAX = 64 << 20;

/** Every file below the folder; names that begin with a dot and `node_modules` are passed over. */
export async function readSourceFolder(folder: string): Promise<readonly SourceFile[]> {
  const files: SourceFile[] = [];
  let bytes = 0;

  async function walk(at: string): Promise<void> {
    const entries = await readdir(at, { withFileTypes: true });
    for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
      const path = join(at, entry.name);
      if (entry.isDirectory()) await walk(path);
      else if (entry.isFile()) {
        const content = await readFile(path);
        bytes += content.byteLength;
        if (files.length >= FILES_MAX || bytes > BYTES_MAX) {
          throw new WeirError('too_large', `${folder} holds more than ${FILES_MAX} files or 64 MiB`);
        }
        files.push({ path: relative(folder, path).split(sep).join('/'), content: new Uint8Array(content) });
      }
    }
  }

  try {
    await walk(folder);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw thrown;
    throw new WeirError('not_found', `${folder} is not a folder`, { cause: thrown });
  }
  return files;
}

/** A whole file that a command was given. */
export async function readGivenFile(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (thrown) {
    throw new WeirError('not_found', `${path} cannot be read`, { cause: thrown });
  }
}
