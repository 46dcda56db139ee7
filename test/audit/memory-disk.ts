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
  /** A copy of what is durable, as a new disk. */
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
    list: async () => [...files.keys()],
    async allocate(name, size) {
      await disk.onAllocate(name);
      if (size > disk.capacity) throw new WeirError('resource_exhausted', 'the disk is full');
      disk.capacity -= size;
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
      disk.capacity += files.get(name)?.length ?? 0;
      files.delete(name);
    },
    load: async (name) => files.get(name),
    replace: async (name, bytes) => void files.set(name, Buffer.from(bytes)),
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    copy: () => memoryDisk(new Map([...files].map(([name, content]) => [name, Buffer.from(content)]))),
    close: async () => undefined,
  };
  return disk;
}
