// The disk under a worker's ledger, as a port: one folder with a few small files and a folder per epoch.

import type { SpoolDisk } from './spool-disk.ts';

export interface LedgerDisk {
  /** Names of the epochs' folders, in no order. */
  epochs(): Promise<readonly string[]>;
  /** Names of the files beside them, in no order. */
  files(): Promise<readonly string[]>;
  /** The whole of a small file, undefined when there is none. */
  load(name: string): Promise<Buffer | undefined>;
  /** Replaces a small file as one step: after a crash it holds the old bytes or the new ones. */
  replace(name: string, bytes: Uint8Array): Promise<void>;
  /** Removes a file, durably; one that is not there is no trouble. */
  remove(name: string): Promise<void>;
  /** The folder of an epoch, made (durably, with its name) when there is none. Closing it closes nothing else. */
  epoch(name: string): Promise<SpoolDisk>;
  /** Removes an epoch's folder with all that is in it. Only for epochs that never held a row. */
  discard(name: string): Promise<void>;
  /** Lets go of the folder. */
  close(): Promise<void>;
}
