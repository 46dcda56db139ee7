// A write-once copy in a directory: a mounted archive, a disk that is carried away. Objects appear whole and durable, and are
// read-only once they are there for good; that they stay is up to the file system and its owner.

import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, chmod, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { type CopyTarget, OBJECT_BYTES_MAX } from '../audit/copy-target.ts';

const READ_ONLY = 0o444;
const CHANGING = 0o644;
const TEMPORARY = /^\.[0-9a-f]{12}\.tmp$/;

/** The folder is made when it is missing; its parent must exist. */
export async function createFolderTarget(path: string): Promise<CopyTarget> {
  const root = resolve(path);
  try {
    await mkdir(root, { mode: 0o755 });
    await syncFolder(dirname(root));
  } catch (thrown) {
    if (codeOf(thrown) !== 'EEXIST') throw troubled(thrown, 'the folder of the copy cannot be made');
  }

  async function read(object: string): Promise<Buffer | undefined> {
    try {
      await using file = await open(join(root, object), 'r');
      const { size } = await file.stat();
      if (size > OBJECT_BYTES_MAX) throw new WeirError('too_large', `${object} is larger than any object of a copy`);
      return await file.readFile();
    } catch (thrown) {
      if (thrown instanceof WeirError) throw thrown;
      if (codeOf(thrown) === 'ENOENT' || codeOf(thrown) === 'ENOTDIR') return undefined;
      throw troubled(thrown, `${object} cannot be read`);
    }
  }

  async function write(object: string, bytes: Uint8Array, mode: number): Promise<void> {
    const target = join(root, object);
    const folder = dirname(target);
    const temporary = join(folder, `.${randomBytes(6).toString('hex')}.tmp`);
    try {
      await makeFolders(root, folder);
      const file = await open(temporary, 'wx', CHANGING);
      try {
        await file.writeFile(bytes);
        await file.chmod(mode);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, target);
      await syncFolder(folder);
    } catch (thrown) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw troubled(thrown, `${object} cannot be written`);
    }
    if ((await read(object))?.equals(bytes) !== true) throw wrong(object, 'does not read back as it was written');
  }

  return {
    name: `folder:${root}`,
    kind: 'folder',
    read,
    async keep(object, bytes) {
      const known = await read(object);
      if (known === undefined) return write(object, bytes, READ_ONLY);
      if (!known.equals(bytes)) throw wrong(object, 'is in the copy with other bytes');
      // Whoever wrote it may have ended before it was read-only, or before its name was durable.
      await chmod(join(root, object), READ_ONLY);
      await syncFolder(dirname(join(root, object)));
    },
    replace: (object, bytes) => write(object, bytes, CHANGING),
    async remove(object) {
      await rm(join(root, object), { force: true });
    },
    asFirstWritten: () => undefined,
    async list(folder) {
      try {
        const names = await readdir(join(root, folder));
        return names.filter((name) => !TEMPORARY.test(name)).toSorted();
      } catch (thrown) {
        if (codeOf(thrown) === 'ENOENT') return [];
        throw troubled(thrown, `${folder} cannot be read`);
      }
    },
  };
}

/** Makes what is missing between `root` and `folder`, each name durable before the next one is made in it. */
async function makeFolders(root: string, folder: string): Promise<void> {
  try {
    await access(folder, constants.F_OK);
    return;
  } catch {
    // It, or something above it, is missing.
  }
  if (folder !== root) await makeFolders(root, dirname(folder));
  try {
    await mkdir(folder, { mode: 0o755 });
  } catch (thrown) {
    if (codeOf(thrown) !== 'EEXIST') throw thrown;
  }
  await syncFolder(dirname(folder));
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}

function codeOf(thrown: unknown): string {
  const { code } = thrown as NodeJS.ErrnoException;
  return code ?? '';
}

function troubled(thrown: unknown, what: string): WeirError {
  return thrown instanceof WeirError
    ? thrown
    : new WeirError('unavailable', `${what} (${codeOf(thrown)})`, { cause: thrown, retry: 'later' });
}

function wrong(object: string, what: string): WeirError {
  return new WeirError('integrity', `${object} ${what}`, { detail: { object } });
}
