// Which hashes of a log can be believed before its last row has been read? Those under the signed root: the rightmost tiles
// hash to it, and every other tile to its place in the one above. With them a wrong row is named where it stands.

import { WeirError } from '../errors/weir-error.ts';
import { HASH_BYTES } from './tlog/hash.ts';
import { rootAt } from './tlog/proof.ts';
import { TILE_WIDTH, tilePath, tileWidth } from './tlog/tile.ts';
import { nodesFromTiles, tileRoot } from './tlog/tile-nodes.ts';

/** The first `width` hashes of a tile, undefined when it is not there. */
export type ReadTile = (level: number, index: number, width: number) => Promise<Buffer | undefined>;

export type CheckedTile =
  /** Hashes that the signed root covers. */
  | { readonly kind: 'proven'; readonly hashes: Buffer }
  /** The tile is not what the tiles above it say; `root` is what it must hash to. */
  | { readonly kind: 'wrong'; readonly hashes: Buffer; readonly root: Buffer }
  /** The tile is missing, though what it must hash to is known. */
  | { readonly kind: 'missing'; readonly root: Buffer }
  /** Nothing can be said: a tile above it, or one that the root is made of, is missing or wrong. */
  | { readonly kind: 'unknown'; readonly hashes: Buffer | undefined };

export interface TileCheck {
  /** A tile of leaf hashes; ask in ascending order, one tile of each level is kept. */
  leaves(index: number): Promise<CheckedTile>;
  /** Tiles that were asked for and are not there. */
  readonly missing: number;
}

/**
 * Tiles of the tree of `size` leaves with this root. `found` is told of tiles above the leaves that are not what they must
 * be. Throws only what `read` throws.
 */
export async function checkTiles(
  size: number,
  root: Uint8Array,
  read: ReadTile,
  found: (what: string) => void,
): Promise<TileCheck> {
  const kept = new Map<number, { readonly index: number; readonly checked: CheckedTile }>();
  let missing = 0;
  const edge = await readEdge(size, root, async (level, index, width) => {
    const tile = await read(level, index, width);
    if (tile === undefined) missing += 1;
    return tile;
  });
  if (edge === undefined && missing === 0)
    found('the last tiles of the log do not hash to the root that it has signed');

  async function check(level: number, index: number): Promise<CheckedTile> {
    const known = kept.get(level);
    if (known?.index === index) return known.checked;
    const checked = await look(level, index);
    kept.set(level, { index, checked });
    return checked;
  }

  async function look(level: number, index: number): Promise<CheckedTile> {
    const atEdge = edge?.get(nameOf(level, index));
    if (atEdge !== undefined) return { kind: 'proven', hashes: atEdge };
    const width = tileWidth(size, level, index);
    const bytes = await read(level, index, width);
    if (bytes === undefined) missing += 1;
    const hashes = bytes?.length === width * HASH_BYTES ? bytes : undefined;
    // Only a full tile has a place in one above it.
    if (edge === undefined || width < TILE_WIDTH) return { kind: 'unknown', hashes };
    const above = await check(level + 1, Math.floor(index / TILE_WIDTH));
    if (above.kind !== 'proven') return { kind: 'unknown', hashes };
    const at = (index % TILE_WIDTH) * HASH_BYTES;
    const expected = above.hashes.subarray(at, at + HASH_BYTES);
    if (hashes === undefined) return { kind: 'missing', root: expected };
    if (tileRoot(hashes).equals(expected)) return { kind: 'proven', hashes };
    if (level > 0) found(`${tilePath(level, index)} does not hash to its place in the tile above`);
    return { kind: 'wrong', hashes, root: expected };
  }

  return {
    leaves: (index) => check(0, index),
    get missing() {
      return missing;
    },
  };
}

/** The rightmost tiles, which the root is made of; undefined when one is missing or they do not hash to it. */
async function readEdge(
  size: number,
  root: Uint8Array,
  read: ReadTile,
): Promise<ReadonlyMap<string, Buffer> | undefined> {
  const tiles = new Map<string, Buffer>();
  const nodes = nodesFromTiles(async (level, index) => {
    const width = tileWidth(size, level, index);
    const tile = await read(level, index, width);
    if (tile?.length !== width * HASH_BYTES) throw new WeirError('not_found', `tile ${level}/${index} is missing`);
    tiles.set(nameOf(level, index), tile);
    return tile;
  });
  try {
    return (await rootAt(size, nodes)).equals(root) ? tiles : undefined;
  } catch (thrown) {
    if (thrown instanceof WeirError && (thrown.code === 'not_found' || thrown.code === 'corrupt')) return undefined;
    throw thrown;
  }
}

function nameOf(level: number, index: number): string {
  return `${level}/${index}`;
}
