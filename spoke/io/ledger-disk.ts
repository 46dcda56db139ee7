// The folder of a worker's ledger on a real disk: one writer at a time, folders of epochs inside.

import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { LedgerDisk } from '../audit/ledger-disk.ts';
import type { SpoolDisk } from '../audit/spool-disk.ts';
import { lockFolder, openUnlocked, syncFolder, viewSpoolDisk } from './spool-disk.ts';

/** What a reader needs of a ledger's folder. */
export interface LedgerFolderView extends Pick<LedgerDisk, 'epochs' | 'files' | 'load'> {
  epoch(name: string): Promise<ReturnType<typeof viewSpoolDisk>>;
}

/**
 * Opens the folder (made when absent, mode 0700) for one writer. A second writer, in this process or any other, is refused
 * with `conflict` until the first closes or dies.
 * @param openEpoch the disk of one epoch; tests bring their own
 */
export async function openLedgerDisk(
  folder: string,
  openEpoch: (folder: string) => Promise<SpoolDisk> = openUnlocked,
): Promise<LedgerDisk> {
  await fs.mkdir(folder, { recursive: true, mode: 0o700 });
  const release = lockFolder(folder);
  try {
    const own = await openUnlocked(folder, release);
    /** Each opened once: opening clears what an interrupted step left, and must not meet a step that is under way. */
    const opened = new Map<string, Promise<SpoolDisk>>();
    return {
      ...namesIn(folder),
      load: (name) => own.load(name),
      replace: (name, bytes) => own.replace(name, bytes),
      remove: (name) => own.remove(name),
      epoch(name) {
        let disk = opened.get(name);
        if (disk === undefined) {
          disk = make(join(folder, name));
          opened.set(name, disk);
          disk.catch(() => opened.delete(name));
        }
        return disk;
      },
      async discard(name) {
        opened.delete(name);
        await fs.rm(join(folder, name), { recursive: true, force: true });
        await syncFolder(folder);
      },
      close: () => own.close(),
    };

    async function make(path: string): Promise<SpoolDisk> {
      await fs.mkdir(path, { recursive: true, mode: 0o700 });
      // Also when it was there: whoever made it may have died before its name was durable.
      await syncFolder(folder);
      return openEpoch(path);
    }
  } catch (thrown) {
    release();
    throw thrown;
  }
}

/** Looks into a ledger's folder that another process may be writing: takes no lock and changes nothing. */
export function viewLedgerDisk(folder: string): LedgerFolderView {
  return {
    ...namesIn(folder),
    load: (name) => viewSpoolDisk(folder).load(name),
    epoch: (name) => Promise.resolve(viewSpoolDisk(join(folder, name))),
  };
}

function namesIn(folder: string): Pick<LedgerDisk, 'epochs' | 'files'> {
  const names = async (folders: boolean): Promise<readonly string[]> =>
    (await fs.readdir(folder, { withFileTypes: true }))
      .filter((entry) => entry.isDirectory() === folders)
      .map(({ name }) => name);
  return { epochs: () => names(true), files: () => names(false) };
}
