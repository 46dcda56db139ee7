// A stored log as others read it: the tlog-tiles layout over rows and full tiles, with partial tiles computed from what is
// below them. It is one moment's log: everything is of the size that its receipt covers.

import { HASH_BYTES } from '@weir/shared/audit/tlog/hash.ts';
import { tileRoot } from '@weir/shared/audit/tlog/tile-nodes.ts';
import { TILE_WIDTH, tileWidth } from '@weir/shared/audit/tlog/tile.ts';
import type { LogSource } from '@weir/shared/audit/verify-log.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { AuditStore, LogHead } from '../store/audit-store.ts';
import type { TileStore } from '../store/tile-store.ts';

export interface StoredLogParts {
  readonly store: Pick<AuditStore, 'rowsFrom' | 'leavesFrom'>;
  readonly tiles: Pick<TileStore, 'tiles'>;
}

/** The log as `head` says; rows that retention has moved to a copy are undefined, their hashes are not. */
export function storedLog({ store, tiles }: StoredLogParts, head: LogHead): LogSource {
  const { log, nextIndex } = head;

  /** Tile with all hashes that exist at the head's size. */
  async function wholeTile(level: number, index: number): Promise<Buffer> {
    const width = tileWidth(nextIndex, level, index);
    if ((index + 1) * TILE_WIDTH ** (level + 1) <= head.tiled) {
      const tile = (await tiles.tiles(log, level, index, 1)).get(index);
      if (tile !== undefined) return tile;
    }
    if (level === 0) return Buffer.concat(await store.leavesFrom(log, index * TILE_WIDTH, width));
    const first = index * TILE_WIDTH;
    const below = await tiles.tiles(log, level - 1, first, width);
    const roots: Buffer[] = [];
    for (let at = first; at < first + width; at += 1) {
      const covered = (at + 1) * TILE_WIDTH ** level <= head.tiled;
      const tile = (covered ? below.get(at) : undefined) ?? (await wholeTile(level - 1, at));
      if (tile.length !== TILE_WIDTH * HASH_BYTES) throw new WeirError('integrity', `${log} lacks rows below its end`);
      roots.push(tileRoot(tile));
    }
    return Buffer.concat(roots);
  }

  return {
    checkpoint: () => Promise.resolve(head.receipt),
    async tile(level, index, width) {
      if (width > tileWidth(nextIndex, level, index)) return undefined;
      return (await wholeTile(level, index)).subarray(0, width * HASH_BYTES);
    },
    async entries(index, width) {
      const first = index * TILE_WIDTH;
      if (first < head.keptFrom || first + width > nextIndex) return undefined;
      const rows = await store.rowsFrom(log, first, width);
      // A gap or a row that stands there twice is no bundle.
      const inOrder = rows.length === width && rows.every((row, at) => row.index === first + at);
      return inOrder ? rows.map(({ bytes }) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)) : undefined;
    },
  };
}
