// The hash of any complete subtree, out of tiles. Tiles keep every eighth level of the tree; the levels between are hashed
// again from the one tile they lie in.

import { WeirError } from '../../errors/weir-error.ts';
import { HASH_BYTES, nodeHash } from './hash.ts';
import type { NodeReader } from './proof.ts';
import { TILE_WIDTH } from './tile.ts';

const LEVELS_PER_TILE = 8;

/**
 * Reads nodes from tiles; a tile may be partial and then has as many hashes as exist. The newest tile of each level is
 * kept, because a proof asks for several nodes of it. Throws `corrupt` when a tile is malformed or too short.
 */
export function nodesFromTiles(readTile: (level: number, index: number) => Promise<Buffer>): NodeReader {
  const kept = new Map<number, { readonly index: number; readonly tile: Promise<Buffer> }>();

  async function tileOf(level: number, index: number, needed: number): Promise<Buffer> {
    const known = kept.get(level);
    if (known?.index === index) {
      const tile = await known.tile;
      if (tile.length >= needed) return tile;
    }
    const reading = readTile(level, index).then((tile) => checkTile(tile, level, index));
    kept.set(level, { index, tile: reading });
    try {
      const tile = await reading;
      if (tile.length >= needed) return tile;
      throw new WeirError(
        'corrupt',
        `tile ${level}/${index} has ${tile.length / HASH_BYTES} hashes, too few for its log`,
      );
    } catch (cause) {
      if (kept.get(level)?.tile === reading) kept.delete(level);
      throw cause;
    }
  }

  return async (level, index) => {
    const tileLevel = Math.floor(level / LEVELS_PER_TILE);
    const width = 2 ** (level % LEVELS_PER_TILE);
    const first = index * width;
    const tileIndex = Math.floor(first / TILE_WIDTH);
    const start = (first % TILE_WIDTH) * HASH_BYTES;
    const end = start + width * HASH_BYTES;
    return tileRoot((await tileOf(tileLevel, tileIndex, end)).subarray(start, end));
  };
}

function checkTile(tile: Buffer, level: number, index: number): Buffer {
  if (tile.length % HASH_BYTES !== 0 || tile.length > TILE_WIDTH * HASH_BYTES) {
    throw new WeirError('corrupt', `tile ${level}/${index} is ${tile.length} bytes, not whole hashes`);
  }
  return tile;
}

/** The root over these hashes, whose number is a power of two. */
export function tileRoot(hashes: Buffer): Buffer {
  if (hashes.length === HASH_BYTES) return hashes;
  const middle = hashes.length / 2;
  return nodeHash(tileRoot(hashes.subarray(0, middle)), tileRoot(hashes.subarray(middle)));
}
