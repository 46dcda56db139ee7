// The full tiles of one log on disk. They are written outside of the request path and can be made again from the rows; they
// become durable before the rows do go. Whatever is read back is checked against the level above before it is believed.

import { HASH_BYTES, leafHash } from '@weir/shared/audit/tlog/hash.ts';
import type { NodeReader } from '@weir/shared/audit/tlog/proof.ts';
import { nodesFromTiles } from '@weir/shared/audit/tlog/tile-nodes.ts';
import { TILE_WIDTH, tilePath } from '@weir/shared/audit/tlog/tile.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { TILE_BYTES, type LogTree, tileRoot } from './log-tree.ts';
import type { SpoolDisk } from './spool-disk.ts';

/** Full tiles of the lowest level that wait for the disk; beyond it they are made again from their rows when needed. */
const WAITING_MAX = 64;
/** Seven levels of tiles hold 2^56 rows. */
const TILE_LEVEL_MAX = 6;

export interface TileShelfParts {
  readonly disk: Pick<SpoolDisk, 'load' | 'store' | 'flush' | 'remove'>;
  readonly tree: LogTree;
  /** Exactly these rows; rejects when they are not kept any more. */
  readonly rows: (from: number, count: number) => Promise<readonly Buffer[]>;
  /** Rows below are gone; all tiles about them are durable. */
  readonly keptUntil: number;
}

export class TileShelf {
  readonly #disk: TileShelfParts['disk'];
  readonly #tree: LogTree;
  readonly #rows: TileShelfParts['rows'];
  readonly #waiting = new Map<string, Buffer>();
  /** One write after the other. */
  #storing: Promise<void> = Promise.resolve();
  #queued = false;
  #keptUntil: number;
  /** For the hashes of complete subtrees below the tree's size. */
  readonly nodes: NodeReader;

  constructor(parts: TileShelfParts) {
    this.#disk = parts.disk;
    this.#tree = parts.tree;
    this.#rows = parts.rows;
    this.#keptUntil = parts.keptUntil;
    this.nodes = nodesFromTiles((level, index) => this.read(level, index));
  }

  /** Takes a full tile; it is written soon. */
  put(level: number, index: number, bytes: Buffer): void {
    if (level === 0 && this.#waiting.size >= WAITING_MAX) return;
    this.#waiting.set(tilePath(level, index), bytes);
    if (this.#queued) return;
    this.#queued = true;
    // While the disk takes nothing they wait: tried again with the next tile, and told when rows are to go and cannot.
    this.#storeWaiting().catch(() => undefined);
  }

  /** The tile with as many hashes as exist. Rejects with `corrupt` when it is damaged and its rows are gone. */
  async read(level: number, index: number): Promise<Buffer> {
    const newest = this.#tree.newest(level, index);
    if (newest !== undefined) return newest;
    if (level > TILE_LEVEL_MAX) throw new WeirError('internal', `there is no tile ${level}/${index}`);
    const path = tilePath(level, index);
    const waiting = this.#waiting.get(path);
    if (waiting !== undefined) return waiting;
    const expected = await this.#rootOf(level, index);
    const stored = await this.#disk.load(path);
    if (stored?.length === TILE_BYTES && tileRoot(stored).equals(expected)) return stored;
    const remade = await this.#remake(level, index).catch((cause: unknown) => {
      throw damaged(path, index * TILE_WIDTH ** (level + 1), cause);
    });
    if (!tileRoot(remade).equals(expected)) throw damaged(path, index * TILE_WIDTH ** (level + 1));
    this.put(level, index, remade);
    return remade;
  }

  /**
   * Makes everything durable that is needed to do without the rows below `until`: their full tiles, and the begun one that
   * ends there. Rejects when the disk does not take it: then the rows have to stay.
   */
  async keep(until: number): Promise<void> {
    if (until <= this.#keptUntil) return;
    const before = partOf(this.#keptUntil);
    const paths: string[] = [];
    await this.#storeWaiting();
    for (let level = 0, leaves = TILE_WIDTH; leaves <= until; level += 1, leaves *= TILE_WIDTH) {
      const end = Math.floor(until / leaves);
      for (let index = Math.floor(this.#keptUntil / leaves); index < end; index += 1) {
        const path = tilePath(level, index);
        // Left out while the disk took nothing, or gone: made again.
        if ((await this.#disk.load(path))?.length !== TILE_BYTES) {
          this.#waiting.set(path, await this.read(level, index));
          await this.#storeWaiting();
        }
        paths.push(path);
      }
    }
    const part = partOf(until);
    if (part !== undefined) {
      const tile = await this.read(0, Math.floor(until / TILE_WIDTH));
      await this.#disk.store(part, tile.subarray(0, (until % TILE_WIDTH) * HASH_BYTES));
      paths.push(part);
    }
    await this.#disk.flush(paths);
    this.#keptUntil = until;
    // What it said is in a larger tile now; left behind it is harmless.
    if (before !== undefined && before !== part) await this.#disk.remove(before).catch(() => undefined);
  }

  /** Waits until nothing is being written; what the disk did not take is left out. */
  async settle(): Promise<void> {
    await this.#storing.catch(() => undefined);
  }

  async #rootOf(level: number, index: number): Promise<Buffer> {
    const above = await this.read(level + 1, Math.floor(index / TILE_WIDTH));
    const at = (index % TILE_WIDTH) * HASH_BYTES;
    return above.subarray(at, at + HASH_BYTES);
  }

  async #remake(level: number, index: number): Promise<Buffer> {
    const first = index * TILE_WIDTH;
    if (level === 0) return Buffer.concat((await this.#rows(first, TILE_WIDTH)).map((row) => leafHash(row)));
    const hashes: Buffer[] = [];
    for (let each = first; each < first + TILE_WIDTH; each += 1)
      hashes.push(tileRoot(await this.#child(level - 1, each)));
    return Buffer.concat(hashes);
  }

  /** A tile whose parent is being made again and so cannot vouch for it. */
  async #child(level: number, index: number): Promise<Buffer> {
    const stored = await this.#disk.load(tilePath(level, index));
    return stored?.length === TILE_BYTES ? stored : this.#remake(level, index);
  }

  #storeWaiting(): Promise<void> {
    this.#storing = this.#storeAfter(this.#storing);
    return this.#storing;
  }

  async #storeAfter(before: Promise<void>): Promise<void> {
    await before.catch(() => undefined);
    this.#queued = false;
    for (const [path, bytes] of this.#waiting) {
      await this.#disk.store(path, bytes);
      this.#waiting.delete(path);
    }
  }
}

/** The begun tile at the end of `size` rows, undefined when the last one is full. */
export function partOf(size: number): string | undefined {
  const width = size % TILE_WIDTH;
  return width === 0 ? undefined : tilePath(0, Math.floor(size / TILE_WIDTH), width);
}

function damaged(file: string, index: number, cause?: unknown): WeirError {
  return new WeirError('corrupt', `the audit log's ${file} is damaged and its rows are gone`, {
    detail: { what: 'damaged_file', file, offset: 0, index },
    ...(cause === undefined ? {} : { cause }),
    next: 'the rows are at the hub; keep the folder as evidence',
  });
}
