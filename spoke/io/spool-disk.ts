// The spool's folder on a real disk: zero-filled segments, O_DSYNC writes on the libuv pool, small files replaced by
// temp + fsync + rename + fsync(folder), and one writer per folder. Files that can be made again are flushed later.

import * as fs from 'node:fs/promises';
import { constants, write } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { SpoolDisk, SpoolFile } from '../audit/spool-disk.ts';

const ZEROS = Buffer.alloc(1 << 20);
/** Megabytes of zeros between two flushes. */
const FLUSH_EVERY = 4;
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

  /** Folders whose names are durable. */
  const made = new Set(['.']);

  /** Folders that are there. */
  const present = new Set(['.']);

  /** The folder of a file below, made when absent. */
  async function makeFolder(name: string): Promise<void> {
    const parent = dirname(name);
    if (present.has(parent)) return;
    await fs.mkdir(path(parent), { recursive: true, mode: 0o700 });
    present.add(parent);
  }

  /** Makes the names in a folder durable, and its own where it is not yet known to be. */
  async function syncNames(below: string): Promise<void> {
    await syncFolder(path(below));
    if (made.has(below)) return;
    await syncNames(dirname(below));
    made.add(below);
  }

  /** Fills a file under a temporary name, then renames it; durable before that, but for its name, when `sync` is set. */
  async function fillAside(
    name: string,
    flags: 'w' | 'r+',
    fill: (handle: fs.FileHandle) => Promise<void>,
    sync: boolean,
  ): Promise<void> {
    const temporary = path(name + TEMPORARY);
    try {
      await makeFolder(name);
      const handle = await fs.open(temporary, flags, 0o600);
      try {
        await fill(handle);
        if (sync) await handle.sync();
      } finally {
        await handle.close();
      }
      await fs.rename(temporary, path(name));
    } catch (thrown) {
      await fs.rm(temporary, { force: true });
      throw fromDisk(thrown, name);
    }
  }

  /** Afterwards bytes and name are durable, or neither is there. */
  async function create(name: string, fill: (handle: fs.FileHandle) => Promise<void>): Promise<void> {
    await fillAside(name, 'w', fill, true);
    await syncNames(dirname(name));
  }

  return {
    async list(below = '.') {
      try {
        return await fs.readdir(path(below));
      } catch (thrown) {
        if (codeOf(thrown) === 'ENOENT' && below !== '.') return [];
        throw thrown;
      }
    },
    allocate: (name, size) => create(name, (handle) => fillWithZeros(handle, size)),
    async recycle(from, name, size) {
      // Whatever a crash leaves behind has a temporary name, and is removed at the next start.
      await fs.rename(path(from), path(name + TEMPORARY));
      await fillAside(name, 'r+', (handle) => fillWithZeros(handle, size), true);
      await syncFolder(folder);
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
      const { size } = await fs.stat(path(name)).catch((thrown: unknown) => {
        throw fromDisk(thrown, name);
      });
      return size;
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
      try {
        await fs.unlink(path(name));
      } catch (thrown) {
        if (codeOf(thrown) !== 'ENOENT') throw thrown;
      }
      await syncFolder(path(dirname(name))).catch((thrown: unknown) => {
        if (codeOf(thrown) !== 'ENOENT') throw thrown;
      });
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
    store: (name, bytes) => fillAside(name, 'w', (handle) => writeAll(handle, bytes, 0), false),
    async flush(names) {
      const folders = new Set<string>();
      for (const name of names) {
        const handle = await fs.open(path(name), 'r').catch((thrown: unknown) => {
          throw fromDisk(thrown, name);
        });
        try {
          await handle.datasync();
        } finally {
          await handle.close();
        }
        folders.add(dirname(name));
      }
      for (const each of folders) await syncNames(each);
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

async function fillWithZeros(handle: fs.FileHandle, size: number): Promise<void> {
  for (let at = 0; at < size; at += ZEROS.length) {
    await writeAll(handle, ZEROS.subarray(0, size - at), at);
    // One large flush at the end would hold up the batches of the segment in use.
    if ((at / ZEROS.length) % FLUSH_EVERY === FLUSH_EVERY - 1) await handle.datasync();
  }
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
