// A working in-memory disk for the spool, with switches for trouble: failing and short writes, a full disk, and a crash that
// keeps an arbitrary part of the write that was under way.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { SpoolDisk, SpoolFile } from '@weir/spoke/audit/spool-disk.ts';

export interface MemoryDisk extends SpoolDisk {
  readonly files: Map<string, Buffer>;
  /** Bytes that allocation may still take. */
  capacity: number;
  /** Called before each durable write; what it returns is written, or it throws. */
  onWrite: (bytes: Uint8Array, offset: number, name: string) => Uint8Array;
  /** Held back until it resolves: allocation. */
  onAllocate: (name: string) => Promise<void>;
  /** Called before each other step that changes files, such as `replace receipt`; when it throws, nothing was done. */
  onStep: (step: string) => void;
  /** Files that were stored and not flushed: a crash may lose them. */
  readonly unflushed: Set<string>;
  /** A copy of what is there, as a new disk. */
  copy(): MemoryDisk;
}

export function memoryDisk(start: ReadonlyMap<string, Buffer> = new Map()): MemoryDisk {
  const files = new Map(start);
  const contentOf = (name: string): Buffer => {
    const content = files.get(name);
    if (content === undefined) throw new WeirError('not_found', `there is no ${name}`);
    return content;
  };

  const disk: MemoryDisk = {
    files,
    capacity: Number.POSITIVE_INFINITY,
    onWrite: (bytes) => bytes,
    onAllocate: async () => undefined,
    onStep: () => undefined,
    unflushed: new Set(),
    list: async (folder) =>
      folder === undefined
        ? [...new Set([...files.keys()].map((path) => path.split('/')[0] ?? ''))]
        : [...files.keys()]
            .filter((path) => path.startsWith(`${folder}/`))
            .map((path) => path.slice(folder.length + 1)),
    async allocate(name, size) {
      await disk.onAllocate(name);
      if (size > disk.capacity) throw new WeirError('resource_exhausted', 'the disk is full');
      disk.capacity -= size;
      files.set(name, Buffer.alloc(size));
    },
    async recycle(from, name, size) {
      disk.onStep(`recycle ${from}`);
      contentOf(from);
      files.delete(from);
      await disk.onAllocate(name);
      files.set(name, Buffer.alloc(size));
    },
    async open(name): Promise<SpoolFile> {
      contentOf(name);
      return {
        async write(bytes, offset) {
          await disk.turn();
          const kept = disk.onWrite(bytes, offset, name);
          Buffer.from(kept).copy(contentOf(name), offset);
          return kept.length;
        },
        close: async () => undefined,
      };
    },
    read: async (name, offset, length) => Buffer.from(contentOf(name).subarray(offset, offset + length)),
    size: async (name) => contentOf(name).length,
    zero: async (name, from, until) => void contentOf(name).fill(0, from, until),
    async remove(name) {
      disk.onStep(`remove ${name}`);
      disk.capacity += files.get(name)?.length ?? 0;
      files.delete(name);
    },
    load: async (name) => files.get(name),
    async replace(name, bytes) {
      disk.onStep(`replace ${name}`);
      files.set(name, Buffer.from(bytes));
    },
    async store(name, bytes) {
      disk.onStep(`store ${name}`);
      files.set(name, Buffer.from(bytes));
      disk.unflushed.add(name);
    },
    async flush(names) {
      disk.onStep(`flush ${names.length}`);
      for (const name of names) {
        contentOf(name);
        disk.unflushed.delete(name);
      }
    },
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    copy: () => memoryDisk(new Map([...files].map(([name, content]) => [name, Buffer.from(content)]))),
    close: async () => undefined,
  };
  return disk;
}
