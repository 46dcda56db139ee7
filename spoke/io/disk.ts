// File access of the caches as a port, so that a full or failing disk can be tried at every step. The real one is below;
// it works on plain descriptors, which cost a third of what streams do.

import {
  close as closeFile,
  fstat,
  mkdir,
  open as openFile,
  read as readFile,
  readdir,
  rename as renameFile,
  unlink,
  write as writeFile,
} from 'node:fs';
import { promisify } from 'node:util';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

export interface Disk {
  /** Makes the folder and its parents, readable by this user alone; harmless when it is there. */
  makeFolder(path: string): Promise<void>;
  /** Names in a folder, [] when there is none. */
  list(path: string): Promise<readonly string[]>;
  /** `new`: must not exist, read and write. `append`: made when missing. */
  open(path: string, how: 'read' | 'new' | 'append'): Promise<number>;
  sizeOf(file: number): Promise<number>;
  /** May read fewer bytes than there is room for; 0 at the end. */
  read(file: number, target: Uint8Array, position: number): Promise<number>;
  /** Writes all of it. `position` null appends. */
  write(file: number, bytes: Uint8Array, position: number | null): Promise<void>;
  close(file: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Harmless when it is gone. */
  remove(path: string): Promise<void>;
}

const FLAGS = { read: 'r', new: 'wx+', append: 'a' } as const;
const OWNER_ONLY = 0o600;
const FOLDER_OWNER_ONLY = 0o700;

const calls = {
  close: promisify(closeFile),
  fstat: promisify(fstat),
  mkdir: promisify(mkdir),
  open: promisify(openFile),
  readdir: promisify(readdir),
  rename: promisify(renameFile),
  unlink: promisify(unlink),
};

export const nodeDisk: Disk = {
  async makeFolder(path) {
    await calls.mkdir(path, { recursive: true, mode: FOLDER_OWNER_ONLY });
  },
  async list(path) {
    try {
      return await calls.readdir(path);
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  },
  open: (path, how) => calls.open(path, FLAGS[how], OWNER_ONLY),
  async sizeOf(file) {
    return (await calls.fstat(file)).size;
  },
  read: (file, target, position) =>
    new Promise((resolve, reject) => {
      readFile(file, target, 0, target.length, position, (error, count) => {
        if (error === null) resolve(count);
        else reject(error);
      });
    }),
  async write(file, bytes, position) {
    let done = 0;
    while (done < bytes.length) {
      const written = await writeSome(file, bytes, done, position === null ? null : position + done);
      // A write of nothing without an error would loop for ever.
      if (written === 0) throw Object.assign(new Error('the disk took no bytes'), { code: 'ENOSPC' });
      done += written;
    }
  },
  close: calls.close,
  rename: calls.rename,
  async remove(path) {
    try {
      await calls.unlink(path);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  },
};

/** The whole file, undefined when there is none or it is over the limit. */
export async function readWholeFile(disk: Disk, path: string, limitBytes: number): Promise<Buffer | undefined> {
  let file: number;
  try {
    file = await disk.open(path, 'read');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  try {
    const size = await disk.sizeOf(file);
    if (size > limitBytes) return undefined;
    const bytes = Buffer.allocUnsafeSlow(size);
    let done = 0;
    while (done < size) {
      const count = await disk.read(file, bytes.subarray(done), done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  } finally {
    await disk.close(file);
  }
}

export function isMissing(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'ENOENT';
}

/** A failed write as our own error: a full disk apart from a broken one. */
export function diskFault(thrown: unknown): WeirError {
  const code = (thrown as { code?: unknown } | null)?.code;
  const internal = { error_code: String(code) };
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new WeirError('resource_exhausted', 'the cache disk of the spoke is full', {
      cause: thrown,
      retry: 'later',
      next: 'free space on the cache disk or lower the size of the cache',
      detail: { fault: 'disk_full' },
      internal,
    });
  }
  return new WeirError('unavailable', 'the cache disk of the spoke does not work', {
    cause: thrown,
    retry: 'later',
    next: 'check the cache disk of the spoke',
    detail: { fault: 'disk_failed' },
    internal,
  });
}

function writeSome(file: number, bytes: Uint8Array, from: number, position: number | null): Promise<number> {
  return new Promise((resolve, reject) => {
    writeFile(file, bytes, from, bytes.length - from, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}
