// The spool's folder on a real disk: zero-filled segments, O_DSYNC writes on the libuv pool, small files replaced by
// temp + fsync + rename + fsync(folder), and one writer per folder.

import * as fs from 'node:fs/promises';
import { constants, write } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { SpoolDisk, SpoolFile } from '../audit/spool-disk.ts';

const ZEROS = Buffer.alloc(1 << 20);
const FLUSH_EVERY = 4 * ZEROS.length;
const TEMPORARY = '.new';
/** A file, not a name in the log's language: its lock, not its content, says that somebody writes here. */
const LOCK = 'lock.db';
/** Every write returns only when its bytes are on stable storage. */
const DURABLE = constants.O_DSYNC ?? constants.O_SYNC;

/**
 * Opens the folder (made when absent, mode 0700) for one writer. A second writer, in this process or any other, is refused
 * with `conflict` until the first closes or dies; leftovers of an interrupted allocation are removed.
 */
export async function openSpoolDisk(folder: string): Promise<SpoolDisk> {
  await fs.mkdir(folder, { recursive: true, mode: 0o700 });
  const release = lockFolder(folder);
  try {
    return await openUnlocked(folder, release);
  } catch (thrown) {
    release();
    throw thrown;
  }
}

/** Opens a folder whose lock the caller holds elsewhere; leftovers of interrupted steps are removed. */
export async function openUnlocked(folder: string, release: () => void = () => undefined): Promise<SpoolDisk> {
  for (const name of await fs.readdir(folder)) {
    if (name.endsWith(TEMPORARY)) await fs.unlink(join(folder, name));
  }
  return spoolDisk(folder, release);
}

/** Looks into a folder that another process may be writing: takes no lock and changes nothing. */
export function viewSpoolDisk(folder: string): Pick<SpoolDisk, 'list' | 'read' | 'size' | 'load'> {
  return spoolDisk(folder, () => undefined);
}

/**
 * Moves a log's folder out of the way, so that the next start begins a new log; its rows stay as evidence and for export.
 * Returns where they are. Throws `conflict` while somebody writes there, `not_found` when there is no such folder.
 */
export async function setAsideSpool(folder: string): Promise<string> {
  await fs.access(folder).catch((thrown: unknown) => {
    throw fromDisk(thrown, folder);
  });
  const release = lockFolder(folder);
  try {
    for (let attempt = 1; ; attempt += 1) {
      const aside = `${folder}.aside-${attempt}`;
      const taken = await fs.access(aside).then(
        () => true,
        () => false,
      );
      if (taken) continue;
      await fs.rename(folder, aside);
      await syncFolder(dirname(folder));
      return aside;
    }
  } finally {
    release();
  }
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await fs.open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function spoolDisk(folder: string, release: () => void): SpoolDisk {
  const path = (name: string): string => join(folder, name);

  /** Writes under a temporary name, then renames; afterwards bytes and name are durable, or neither is there. */
  async function create(name: string, fill: (handle: fs.FileHandle) => Promise<void>): Promise<void> {
    const temporary = path(name + TEMPORARY);
    try {
      const handle = await fs.open(temporary, 'w', 0o600);
      try {
        await fill(handle);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await fs.rename(temporary, path(name));
    } catch (thrown) {
      await fs.rm(temporary, { force: true });
      throw fromDisk(thrown, name);
    }
    await syncFolder(folder);
  }

  return {
    list: () => fs.readdir(folder),
    async allocate(name, size) {
      await create(name, async (handle) => {
        for (let at = 0; at < size; at += ZEROS.length) {
          await writeAll(handle, ZEROS.subarray(0, size - at), at);
          // One large flush at the end would hold up the batches of the segment in use.
          if (at % FLUSH_EVERY === 0) await handle.datasync();
        }
      });
    },
    async open(name) {
      return durableFile(await fs.open(path(name), constants.O_WRONLY | DURABLE));
    },
    async read(name, offset, length) {
      const handle = await fs.open(path(name), 'r').catch((thrown: unknown) => {
        throw fromDisk(thrown, name);
      });
      try {
        const bytes = Buffer.allocUnsafe(length);
        let got = 0;
        while (got < length) {
          const { bytesRead } = await handle.read(bytes, got, length - got, offset + got);
          if (bytesRead === 0) break;
          got += bytesRead;
        }
        return bytes.subarray(0, got);
      } finally {
        await handle.close();
      }
    },
    async size(name) {
      return (await fs.stat(path(name))).size;
    },
    async zero(name, from, until) {
      const handle = await fs.open(path(name), 'r+');
      try {
        for (let at = from; at < until; at += ZEROS.length) await writeAll(handle, ZEROS.subarray(0, until - at), at);
        await handle.sync();
      } finally {
        await handle.close();
      }
    },
    async remove(name) {
      await fs.rm(path(name), { force: true });
      await syncFolder(folder);
    },
    async load(name) {
      try {
        return await fs.readFile(path(name));
      } catch (thrown) {
        if (codeOf(thrown) === 'ENOENT') return undefined;
        throw thrown;
      }
    },
    async replace(name, bytes) {
      await create(name, (handle) => writeAll(handle, bytes, 0));
    },
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    async close() {
      release();
    },
  };
}

function durableFile(handle: fs.FileHandle): SpoolFile {
  return {
    // The plain callback call: one pool job per batch and nothing else.
    write: (bytes, offset) =>
      new Promise((resolve, reject) => {
        write(handle.fd, bytes, 0, bytes.length, offset, (error, written) => {
          if (error === null) resolve(written);
          else reject(error);
        });
      }),
    close: () => handle.close(),
  };
}

async function writeAll(handle: fs.FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, offset + done);
    if (bytesWritten === 0) throw new WeirError('resource_exhausted', 'the disk takes no more bytes');
    done += bytesWritten;
  }
}

/**
 * An exclusive lock that the kernel lets go of when its holder dies, in whatever way. Node has no flock; SQLite's own file
 * lock is the same thing with a portable hold on it.
 */
export function lockFolder(folder: string): () => void {
  const database = new DatabaseSync(join(folder, LOCK), { timeout: 0 });
  try {
    // Nothing is ever written: no journal either.
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    throw new WeirError('conflict', 'another process writes this audit log', { cause, retry: 'later' });
  }
  return () => {
    if (database.isOpen) database.close();
  };
}

function fromDisk(thrown: unknown, name: string): unknown {
  const code = codeOf(thrown);
  if (code === 'ENOENT') return new WeirError('not_found', `there is no ${name}`, { cause: thrown });
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new WeirError('resource_exhausted', 'the disk is full', { cause: thrown, retry: 'later' });
  }
  return thrown;
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
}
