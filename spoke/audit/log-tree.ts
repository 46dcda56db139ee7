// The Merkle tree of one log as it grows: for each level of tiles the newest tile, which is not full yet, and nothing else.
// Full tiles are handed on. However long the log is, this takes a few dozen kilobytes.

import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { HASH_BYTES } from '@weir/shared/audit/tlog/hash.ts';
import { TILE_WIDTH } from '@weir/shared/audit/tlog/tile.ts';

export const TILE_BYTES = TILE_WIDTH * HASH_BYTES;

/** A full tile; its bytes are not written to afterwards. */
export type TileSink = (level: number, index: number, bytes: Buffer) => void;

/** The newest tile of a level. */
interface Level {
  index: number;
  bytes: Buffer;
  width: number;
  /** Over the hashes of this tile alone: each inner node of the log is hashed once. */
  edge: TreeEdge;
}

export class LogTree {
  readonly #levels: Level[] = [];
  #size = 0;
  #onTile: TileSink;

  constructor(onTile: TileSink) {
    this.#onTile = onTile;
  }

  /**
   * A tree of which only the right edge is known: by level, the hashes of the newest tile ([] for none).
   * @param edges hashes from left to right; those of level n + 1 stand for whole tiles of level n
   */
  static from(size: number, edges: readonly (readonly Buffer[])[], onTile: TileSink): LogTree {
    const tree = new LogTree(() => undefined);
    tree.#size = size;
    let hashes = size;
    for (const [level, edge] of edges.entries()) {
      tree.#levels[level] = emptyLevel(Math.floor(hashes / TILE_WIDTH));
      for (const hash of edge) tree.#add(level, hash);
      hashes = Math.floor(hashes / TILE_WIDTH);
    }
    tree.#onTile = onTile;
    return tree;
  }

  /** Rows in the tree. */
  get size(): number {
    return this.#size;
  }

  /** Where full tiles go from now on. */
  set onTile(onTile: TileSink) {
    this.#onTile = onTile;
  }

  append(leaf: Buffer): void {
    this.#add(0, leaf);
    this.#size += 1;
  }

  root(): Buffer {
    return this.edge().root();
  }

  edge(): TreeEdge {
    return TreeEdge.decode(this.#size, Buffer.concat(this.#levels.map(({ edge }) => edge.encode()).toReversed()));
  }

  /** The newest tile of a level, with as many hashes as there are; undefined where `index` is another one. */
  newest(level: number, index: number): Buffer | undefined {
    const found = this.#levels[level];
    if (found === undefined || found.index !== index) return undefined;
    return found.bytes.subarray(0, found.width * HASH_BYTES);
  }

  #add(level: number, hash: Buffer): void {
    const newest = (this.#levels[level] ??= emptyLevel(0));
    hash.copy(newest.bytes, newest.width * HASH_BYTES);
    newest.edge.append(hash);
    newest.width += 1;
    if (newest.width < TILE_WIDTH) return;
    const { index, bytes, edge } = newest;
    this.#levels[level] = emptyLevel(index + 1);
    this.#onTile(level, index, bytes);
    this.#add(level + 1, edge.root());
  }
}

function emptyLevel(index: number): Level {
  return { index, bytes: Buffer.allocUnsafeSlow(TILE_BYTES), width: 0, edge: new TreeEdge() };
}

/** The hash over a whole tile: an entry of the level above. */
export function tileRoot(tile: Buffer): Buffer {
  const edge = new TreeEdge();
  for (let at = 0; at < tile.length; at += HASH_BYTES) edge.append(tile.subarray(at, at + HASH_BYTES));
  return edge.root();
}
