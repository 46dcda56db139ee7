// A ledger's folder in memory, and disks that fail on command: each durable step asks first what becomes of it.

import type { LedgerDisk } from '@weir/spoke/audit/ledger-disk.ts';
import type { SpoolDisk } from '@weir/spoke/audit/spool-disk.ts';
import { type MemoryDisk, memoryDisk } from './memory-disk.ts';

/** The three endings of a durable step, and for writes a fourth: a part of it. A thrown error is what the caller sees. */
export type Fate =
  | { readonly kind: 'done' }
  | { readonly kind: 'lost' | 'done_but_reported_lost' | 'torn'; readonly error: Error };

/** @param step what is done to which file, such as `write 0000000001.seg` */
export type Fates = (step: string) => Fate;

export const DONE: Fate = { kind: 'done' };

export function failure(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

async function perform<Value>(fate: Fate, work: () => Promise<Value>): Promise<Value> {
  if (fate.kind === 'done') return work();
  if (fate.kind === 'done_but_reported_lost') await work();
  throw fate.error;
}

export function faultySpoolDisk(disk: SpoolDisk, fates: Fates): SpoolDisk {
  return {
    ...disk,
    allocate: (name, size) => perform(fates(`allocate ${name}`), () => disk.allocate(name, size)),
    async open(name) {
      const file = await disk.open(name);
      return {
        async write(bytes, offset) {
          const fate = fates(`write ${name}`);
          if (fate.kind === 'torn') {
            await file.write(bytes.subarray(0, Math.floor(bytes.length / 2)), offset);
            throw fate.error;
          }
          return perform(fate, () => file.write(bytes, offset));
        },
        close: () => file.close(),
      };
    },
    recycle: (from, name, size) => perform(fates(`recycle ${from}`), () => disk.recycle(from, name, size)),
    store: (name, bytes) => perform(fates(`store ${name}`), () => disk.store(name, bytes)),
    flush: (names) => perform(fates(`flush ${names.join(' ')}`), () => disk.flush(names)),
    zero: (name, from, until) => perform(fates(`zero ${name}`), () => disk.zero(name, from, until)),
    remove: (name) => perform(fates(`remove ${name}`), () => disk.remove(name)),
    replace: (name, bytes) => perform(fates(`replace ${name}`), () => disk.replace(name, bytes)),
  };
}

export function faultyLedgerDisk(disk: LedgerDisk, fates: Fates): LedgerDisk {
  return {
    ...disk,
    replace: (name, bytes) => perform(fates(`replace ${name}`), () => disk.replace(name, bytes)),
    remove: (name) => perform(fates(`remove ${name}`), () => disk.remove(name)),
    async epoch(name) {
      // Making a folder that is there already is no step.
      const made = (await disk.epochs()).includes(name);
      const folder = await (made ? disk.epoch(name) : perform(fates(`mkdir ${name}`), () => disk.epoch(name)));
      return faultySpoolDisk(folder, fates);
    },
    discard: (name) => perform(fates(`discard ${name}`), () => disk.discard(name)),
  };
}

export interface MemoryLedgerDisk extends LedgerDisk {
  readonly small: Map<string, Buffer>;
  readonly folders: Map<string, MemoryDisk>;
  /** A copy of what is durable, as a new disk. */
  copy(): MemoryLedgerDisk;
}

export function memoryLedgerDisk(
  small: Map<string, Buffer> = new Map(),
  folders: Map<string, MemoryDisk> = new Map(),
): MemoryLedgerDisk {
  return {
    small,
    folders,
    epochs: async () => [...folders.keys()],
    files: async () => [...small.keys()],
    load: async (name) => small.get(name),
    replace: async (name, bytes) => void small.set(name, Buffer.from(bytes)),
    remove: async (name) => void small.delete(name),
    async epoch(name) {
      const folder = folders.get(name) ?? memoryDisk();
      folders.set(name, folder);
      return folder;
    },
    discard: async (name) => void folders.delete(name),
    close: async () => undefined,
    copy: () =>
      memoryLedgerDisk(
        new Map([...small].map(([name, content]) => [name, Buffer.from(content)])),
        new Map([...folders].map(([name, folder]) => [name, folder.copy()])),
      ),
  };
}
