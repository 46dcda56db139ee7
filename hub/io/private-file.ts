// Small files that only the hub may read: keys, passwords, tokens. Written whole or not at all, readable by the owner only.

import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

const FILE_BYTES_MAX = 1 << 20;

/** Replaces the file's content durably (temp file, fsync, rename, fsync of the folder), mode 0600. */
export async function writePrivateFile(path: string, content: string): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } catch (thrown) {
    await file.close();
    await rm(temporary, { force: true });
    throw thrown;
  }
  await file.close();
  await rename(temporary, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The file's text, undefined when it does not exist. */
export async function readSmallFile(path: string): Promise<string | undefined> {
  let content: Buffer;
  try {
    content = await readFile(path);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw thrown;
  }
  if (content.byteLength > FILE_BYTES_MAX) throw new WeirError('too_large', `${path} is larger than 1 MiB`);
  return content.toString('utf8');
}
