// Makes the tiles of every log from its stored leaves. A run of tiles counts only when, read back from the store, it gives
// the very hash that the log's own edge has for it, so a leaf that was changed since it came in never reaches a tile that
// anybody relies on. What was made and not counted is made again: two replicas may do this at once.

import { HASH_BYTES } from '@weir/shared/audit/tlog/hash.ts';
import { nodesFromTiles, tileRoot } from '@weir/shared/audit/tlog/tile-nodes.ts';
import { TILE_WIDTH, tileWidth } from '@weir/shared/audit/tlog/tile.ts';
import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { AuditStore, LogHead } from '../store/audit-store.ts';
import type { StoredTile, TileStore } from '../store/tile-store.ts';

/** Logs looked up, and leaves read, at once. */
const LOGS_AT_ONCE = 100;
const LEAVES_AT_ONCE = 32 * TILE_WIDTH;

export interface TileJobParts {
  readonly store: Pick<AuditStore, 'head' | 'leavesFrom'>;
  readonly tiles: TileStore;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** One turn: every log that has rows for more tiles gets them. A log that fails is told and does not hold up the others. */
export async function makeTiles(parts: TileJobParts, signal: AbortSignal): Promise<void> {
  for (let after = ''; !signal.aborted; ) {
    const logs = await parts.tiles.behind(after, LOGS_AT_ONCE);
    for (const log of logs) {
      if (signal.aborted) return;
      try {
        await tileLog(parts, log, signal);
      } catch (thrown) {
        if (signal.aborted) return;
        parts.metrics.count('weir_hub_audit_tile_faults_total');
        parts.logger.error({ log, error: describeThrown(thrown) }, 'the tiles of a log could not be made');
      }
    }
    if (logs.length < LOGS_AT_ONCE) return;
    after = logs.at(-1) ?? '';
  }
}

/** Brings the tiles of one log up to its end. Throws `integrity` when its leaves no longer give its root. */
export async function tileLog(parts: TileJobParts, log: string, signal?: AbortSignal): Promise<void> {
  const { store, tiles } = parts;
  const head = await store.head(log);
  if (head === undefined) return;
  let from = head.tiled;
  for (const { level, index, end, hash } of subtreesOf(head)) {
    if (end <= from || level < 8) continue;
    await writeTiles(parts, log, from, end, signal);
    if (signal?.aborted === true) return;
    const node = nodesFromTiles((tileLevel, tile) => grownTile(tiles, log, end, tileLevel, tile));
    if (!(await node(level, index)).equals(hash)) {
      throw new WeirError('integrity', `rows ${from} to ${end - 1} of ${log} do not give the root that was receipted`, {
        next: `run weir audit fsck ${log}, which names the row`,
      });
    }
    await tiles.cover(log, end);
    from = end;
  }
}

/** The complete subtrees that the log's edge has hashes of, left to right. */
export function subtreesOf(head: Pick<LogHead, 'nextIndex' | 'edge'>): readonly {
  readonly level: number;
  readonly index: number;
  readonly start: number;
  readonly end: number;
  readonly hash: Buffer;
}[] {
  const subtrees = [];
  let start = 0;
  for (let level = 52; level >= 0; level -= 1) {
    const leaves = 2 ** level;
    if (Math.floor(head.nextIndex / leaves) % 2 === 0) continue;
    const at = subtrees.length * HASH_BYTES;
    const hash = head.edge.subarray(at, at + HASH_BYTES);
    subtrees.push({ level, index: start / leaves, start, end: start + leaves, hash });
    start += leaves;
  }
  return subtrees;
}

async function writeTiles(
  { store, tiles }: TileJobParts,
  log: string,
  from: number,
  end: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let at = from; at < end; ) {
    if (signal?.aborted === true) return;
    const wanted = Math.min(LEAVES_AT_ONCE, end - at);
    const leaves = await store.leavesFrom(log, at, wanted);
    if (leaves.length < wanted) {
      throw new WeirError('integrity', `row ${at + leaves.length} of ${log} is missing`, {
        next: `run weir audit fsck ${log}`,
      });
    }
    const made: StoredTile[] = [];
    for (let first = 0; first < wanted; first += TILE_WIDTH) {
      const hashes = Buffer.concat(leaves.slice(first, first + TILE_WIDTH));
      made.push({ level: 0, index: (at + first) / TILE_WIDTH, hashes });
    }
    await tiles.put(log, made);
    await writeParents(tiles, log, at, at + wanted);
    at += wanted;
  }
}

/** The tiles above level 0 that become full when the rows in tiles grow from `from` to `size`, and those still missing. */
async function writeParents(tiles: TileStore, log: string, from: number, size: number): Promise<void> {
  for (let level = 1, width = TILE_WIDTH ** 2; width <= size; level += 1, width *= TILE_WIDTH) {
    const last = Math.floor(size / width) - 1;
    const completed = last >= Math.floor(from / width);
    if (!completed && (await tiles.tiles(log, level, last, 1)).has(last)) continue;
    const hashes = await rootsOf(tiles, log, level - 1, last * TILE_WIDTH, TILE_WIDTH);
    await tiles.put(log, [{ level, index: last, hashes }]);
  }
}

/** Roots of `count` full tiles of a level, as the tile above has them. */
async function rootsOf(tiles: TileStore, log: string, level: number, from: number, count: number): Promise<Buffer> {
  const below = await tiles.tiles(log, level, from, count);
  const roots: Buffer[] = [];
  for (let index = from; index < from + count; index += 1) {
    const tile = below.get(index);
    if (tile === undefined) throw new WeirError('integrity', `tile ${level}/${index} of ${log} is missing`);
    roots.push(tileRoot(tile));
  }
  return Buffer.concat(roots);
}

/** A tile of a log that has `size` rows in tiles, as far as there are tiles below it. */
async function grownTile(tiles: TileStore, log: string, size: number, level: number, index: number): Promise<Buffer> {
  const whole = (await tiles.tiles(log, level, index, 1)).get(index);
  const width = tileWidth(size, level, index);
  if (whole !== undefined && width === TILE_WIDTH) return whole;
  if (level === 0) return Buffer.alloc(0);
  return rootsOf(tiles, log, level - 1, index * TILE_WIDTH, width);
}
