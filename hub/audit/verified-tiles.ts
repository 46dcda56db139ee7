// The hashes of a log's tiles, each believed only once it leads up to a root that somebody signed: a wrong tile is named,
// and a row can be judged by itself, without reading the log from its beginning.

import { HASH_BYTES } from '@weir/shared/audit/tlog/hash.ts';
import { rootAt } from '@weir/shared/audit/tlog/proof.ts';
import { nodesFromTiles, tileRoot } from '@weir/shared/audit/tlog/tile-nodes.ts';
import { TILE_WIDTH, tilePath, tileWidth } from '@weir/shared/audit/tlog/tile.ts';
import type { LogSource } from '@weir/shared/audit/verify-log.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

export interface VerifiedTiles {
  /**
   * Hashes of a tile, as many as exist at the size. Throws `integrity` naming the tile (`detail.object`) that is missing or
   * does not lead to the root.
   */
  tile(level: number, index: number): Promise<Buffer>;
}

/** Tiles as `source` has them, against the root of the first `size` rows. */
export function verifiedTiles(
  source: Pick<LogSource, 'tile'>,
  { size, root }: { readonly size: number; readonly root: Buffer },
): VerifiedTiles {
  let edge: Promise<ReadonlyMap<string, Buffer>> | undefined;
  /** The newest full tile of each level. */
  const kept = new Map<number, { readonly index: number; readonly tile: Buffer }>();

  async function read(level: number, index: number): Promise<Buffer> {
    const width = tileWidth(size, level, index);
    const hashes = width === 0 ? undefined : await source.tile(level, index, width);
    if (hashes?.length !== width * HASH_BYTES) {
      throw wrong(tilePath(level, index, Math.max(1, width)), 'is missing or has another length');
    }
    return hashes;
  }

  /** The last tile of each level that is not full: together they give the root. */
  async function readEdge(): Promise<ReadonlyMap<string, Buffer>> {
    const tiles = new Map<string, Buffer>();
    const names: string[] = [];
    const node = nodesFromTiles(async (level, index) => {
      const hashes = await read(level, index);
      tiles.set(`${level}/${index}`, hashes);
      names.push(tilePath(level, index, hashes.length / HASH_BYTES));
      return hashes;
    });
    const found = await rootAt(size, node);
    if (!found.equals(root)) throw wrong(names.join(', '), 'do not give the signed root');
    return tiles;
  }

  async function tile(level: number, index: number): Promise<Buffer> {
    edge ??= readEdge();
    const atEdge = (await edge).get(`${level}/${index}`);
    if (atEdge !== undefined) return atEdge;
    const known = kept.get(level);
    if (known?.index === index) return known.tile;
    const hashes = await read(level, index);
    const parent = await tile(level + 1, Math.floor(index / TILE_WIDTH));
    const at = (index % TILE_WIDTH) * HASH_BYTES;
    if (!tileRoot(hashes).equals(parent.subarray(at, at + HASH_BYTES))) {
      throw wrong(tilePath(level, index), 'does not lead to the signed root');
    }
    kept.set(level, { index, tile: hashes });
    return hashes;
  }

  return { tile };
}

function wrong(object: string, what: string): WeirError {
  return new WeirError('integrity', `${object} ${what}`, { detail: { object } });
}
