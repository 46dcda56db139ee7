// A log as a copy has it, read as tlog-tiles: what anyone can verify without the hub.

import { decodeEntries, entriesPath, TILE_WIDTH, tilePath } from '@weir/shared/audit/tlog/tile.ts';
import { HASH_BYTES } from '@weir/shared/audit/tlog/hash.ts';
import type { LogSource } from '@weir/shared/audit/verify-log.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { COPY_OBJECTS, copyPath, type CopyTarget } from './copy-target.ts';

export function copiedLog(target: Pick<CopyTarget, 'read' | 'list'>, log: string): Required<LogSource> {
  const read = (path: string): Promise<Buffer | undefined> => target.read(copyPath(log, path));

  return {
    async checkpoint() {
      const checkpoint = await read(COPY_OBJECTS.checkpoint);
      if (checkpoint !== undefined) return checkpoint;
      const object = copyPath(log, COPY_OBJECTS.checkpoint);
      throw new WeirError('not_found', `${object} is missing`, { detail: { object } });
    },
    async tile(level, index, width) {
      const partial = width < TILE_WIDTH ? await read(tilePath(level, index, width)) : undefined;
      // A full tile stands in for every partial one.
      const tile = partial ?? (await read(tilePath(level, index)));
      return tile === undefined || tile.length < width * HASH_BYTES ? undefined : tile.subarray(0, width * HASH_BYTES);
    },
    async entries(index, width) {
      const partial = width < TILE_WIDTH ? await read(entriesPath(index, width)) : undefined;
      const bundle = partial ?? (await read(entriesPath(index)));
      if (bundle === undefined) return undefined;
      const rows = decodeEntries(bundle);
      return rows.length < width ? undefined : rows.slice(0, width);
    },
    async *receipts() {
      const names = await target.list(copyPath(log, COPY_OBJECTS.receipts));
      const sizes = names.filter((name) => /^\d{1,16}$/.test(name)).map(Number);
      for (const size of sizes.toSorted((a, b) => a - b)) {
        const receipt = await read(`${COPY_OBJECTS.receipts}/${size}`);
        if (receipt !== undefined) yield receipt;
      }
    },
  };
}
