// A log as its folder holds it, held against what it has signed: the tree is computed again from every row that is still
// there and from the tiles of those that are not. A row that was changed, even with its checksum made right, is found and named.

import { HASH_BYTES, leafHashAt } from '@weir/shared/audit/tlog/hash.ts';
import { TILE_WIDTH, tilePath } from '@weir/shared/audit/tlog/tile.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { damagedFile } from './damaged-file.ts';
import type { SignedHead } from './log-notes.ts';
import { LogTree, TILE_BYTES, tileRoot } from './log-tree.ts';
import { RECORD_HEADER_BYTES } from './record.ts';
import { type Recovered, type SegmentExtent, recoverSegments } from './recover-segments.ts';
import { recordPieces } from './read-segment.ts';
import type { SpoolDisk } from './spool-disk.ts';
import { partOf } from './tile-shelf.ts';

/** Hashes of the newest, unfinished tile at the time of a checkpoint: only to name a changed row exactly. */
export const EDGE_FILE = 'edge';

/** Tiles to be written again that are kept in mind; any others are made again when they are asked for. */
const MENDED_MAX = 64;
/** Tiles read at once while the tree is built. */
const READS_MAX = 16;

export interface RecoveredLog extends Recovered {
  readonly tree: LogTree;
  /** Full tiles that are not on disk, or not as they must be. */
  readonly mended: readonly Tile[];
}

interface Tile {
  readonly level: number;
  readonly index: number;
  readonly bytes: Buffer;
}

export interface RecoverLogOptions {
  readonly logDigest: Uint8Array;
  /** What the log's key has signed, by any of its notes. */
  readonly signed: readonly SignedHead[];
  /** Rows below may be gone. */
  readonly receipted: number;
  /** Rows from here on do not count. */
  readonly until: number;
}

type ReadableDisk = Pick<SpoolDisk, 'list' | 'read' | 'size' | 'load'>;

/**
 * Reads the whole folder, a piece of a segment in memory at a time. Throws `corrupt`, with `what`, `file`, `offset` and `index` of the
 * first fault as far as they are known.
 */
export async function recoverLog(disk: ReadableDisk, options: RecoverLogOptions): Promise<RecoveredLog> {
  const { logDigest, receipted, until } = options;
  const heads = options.signed.filter(({ size }) => size <= until).toSorted((a, b) => a.size - b.size);
  const edge = await loadEdge(disk);
  const mended: Tile[] = [];
  /** Full tiles of the rows at hand. */
  let tiles: Tile[] = [];
  let tree: LogTree | undefined;
  /** First row whose leaf is not the one that a tile has. */
  let differs: number | undefined;
  /** Rows up to here are as they were signed. */
  let agreed = 0;
  let next = 0;
  const visited: SegmentExtent[] = [];

  async function visit(segment: SegmentExtent): Promise<void> {
    visited.push(segment);
    if (tree === undefined) {
      if (segment.firstIndex > receipted) throw missingRows(segment.name, receipted);
      tree = await pastTree(disk, segment.firstIndex);
      tree.onTile = (level, index, tile) => tiles.push({ level, index, bytes: tile });
      while ((heads[next]?.size ?? Infinity) < segment.firstIndex) next += 1;
    }
    let wrong = checkHead(tree);
    let index = segment.firstIndex;
    for await (const piece of recordPieces(disk, segment)) {
      for (let at = 0; at < piece.length && wrong === undefined; index += 1) {
        const start = at + RECORD_HEADER_BYTES;
        at = start + piece.readUInt32LE(at + 4);
        const leaf = leafHashAt(piece, start, at);
        const told = edge(index);
        if (told !== undefined && !told.equals(leaf)) differs ??= index;
        tree.append(leaf);
        wrong = checkHead(tree);
      }
      await compareTiles();
      if (wrong !== undefined) break;
    }
    if (wrong === undefined) return;
    await compareBegun(tree);
    const wrongIndex = differs ?? agreed;
    const { name } = visited.find((each) => wrongIndex < each.nextIndex) ?? segment;
    throw changedRow(name, { agreed, size: wrong.size, differs });
  }

  /** The head that was signed for exactly as many rows as there are so far, if it is another one. */
  function checkHead(grown: LogTree): SignedHead | undefined {
    for (; heads[next]?.size === grown.size; next += 1) {
      const head = heads[next] as SignedHead;
      if (!grown.root().equals(head.root)) return head;
      agreed = head.size;
    }
    return undefined;
  }

  async function compareTiles(): Promise<void> {
    for (const { level, index, bytes } of tiles) {
      const stored = await disk.load(tilePath(level, index));
      if (stored?.equals(bytes) === true) continue;
      if (mended.length < MENDED_MAX) mended.push({ level, index, bytes });
      if (level === 0 && stored?.length === TILE_BYTES) noteDifference(index, stored, bytes);
    }
    tiles = [];
  }

  /** The tile that the tree has begun may stand on disk in full. */
  async function compareBegun(grown: LogTree): Promise<void> {
    const index = Math.floor(grown.size / TILE_WIDTH);
    const begun = grown.newest(0, index) ?? Buffer.alloc(0);
    const stored = (await disk.load(tilePath(0, index)))?.subarray(0, begun.length);
    if (stored?.length === begun.length && !stored.equals(begun)) noteDifference(index, stored, begun);
  }

  function noteDifference(tile: number, stored: Buffer, computed: Buffer): void {
    const row = tile * TILE_WIDTH + firstDifference(stored, computed);
    if (row >= agreed) differs = Math.min(differs ?? row, row);
  }

  const found = await recoverSegments(disk, logDigest, { until, visit });
  const last = heads.at(-1);
  if (last !== undefined && found.nextIndex < last.size) {
    throw missingRows(found.used.at(-1)?.name ?? '', found.nextIndex);
  }
  return { ...found, tree: tree ?? new LogTree(() => undefined), mended };
}

/** The tree of rows that are gone, from what was kept of it. */
async function pastTree(disk: Pick<SpoolDisk, 'load' | 'list'>, size: number): Promise<LogTree> {
  const edges: Buffer[][] = [];
  const width = size % TILE_WIDTH;
  const begun = Math.floor(size / TILE_WIDTH);
  edges.push(width === 0 ? [] : hashesIn(await begunTile(disk, size)).slice(0, width));
  for (let level = 1, hashes = begun; hashes > 0; level += 1, hashes = Math.floor(hashes / TILE_WIDTH)) {
    const roots: Buffer[] = [];
    for (let index = hashes - (hashes % TILE_WIDTH); index < hashes; index += READS_MAX) {
      const count = Math.min(READS_MAX, hashes - index);
      const read = Array.from({ length: count }, (_, n) => fullTile(disk, level - 1, index + n));
      roots.push(...(await Promise.all(read)).map((tile) => tileRoot(tile)));
    }
    edges.push(roots);
  }
  return LogTree.from(size, edges, () => undefined);
}

/** What was flushed comes first: a full tile may be left over from a crash before it was, and hold anything. */
async function begunTile(disk: Pick<SpoolDisk, 'load' | 'list'>, size: number): Promise<Buffer> {
  const part = partOf(size) ?? '';
  const wanted = (size % TILE_WIDTH) * HASH_BYTES;
  const stored = await disk.load(part);
  if (stored?.length === wanted) return stored;
  // A crash between the larger tile that took its place and the removal of the rows behind it.
  const folder = part.slice(0, part.lastIndexOf('/'));
  const widths = (await disk.list(folder)).map(Number).filter((width) => width * HASH_BYTES > wanted);
  for (const width of widths.toSorted((one, other) => one - other)) {
    const larger = await disk.load(`${folder}/${width}`);
    if (larger?.length === width * HASH_BYTES) return larger;
  }
  const full = await disk.load(tilePath(0, Math.floor(size / TILE_WIDTH)));
  if (full?.length === TILE_BYTES) return full;
  throw damagedFile(part, stored === undefined ? 'missing_file' : 'damaged_file');
}

async function fullTile(disk: Pick<SpoolDisk, 'load'>, level: number, index: number): Promise<Buffer> {
  const path = tilePath(level, index);
  const stored = await disk.load(path);
  if (stored?.length === TILE_BYTES) return stored;
  throw damagedFile(path, stored === undefined ? 'missing_file' : 'damaged_file');
}

/** The edge as bytes: index of its first row, then hashes. */
export function encodeEdge(firstIndex: number, hashes: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(BigInt(firstIndex));
  return Buffer.concat([head, hashes]);
}

async function loadEdge(disk: Pick<SpoolDisk, 'load'>): Promise<(index: number) => Buffer | undefined> {
  const bytes = await disk.load(EDGE_FILE);
  if (bytes === undefined || bytes.length % HASH_BYTES !== 8) return () => undefined;
  const first = Number(bytes.readBigUInt64LE());
  const hashes = bytes.subarray(8);
  return (index) => {
    const at = (index - first) * HASH_BYTES;
    return at >= 0 && at < hashes.length ? hashes.subarray(at, at + HASH_BYTES) : undefined;
  };
}

function hashesIn(tile: Buffer): Buffer[] {
  const hashes: Buffer[] = [];
  for (let at = 0; at < tile.length; at += HASH_BYTES) hashes.push(tile.subarray(at, at + HASH_BYTES));
  return hashes;
}

function firstDifference(a: Buffer, b: Buffer): number {
  let at = 0;
  while (a[at] === b[at]) at += 1;
  return Math.floor(at / HASH_BYTES);
}

function missingRows(file: string, index: number): WeirError {
  return new WeirError('corrupt', `the audit log lacks rows from ${index} on, yet it was known to reach further`, {
    detail: { what: 'missing_rows', file, offset: 0, index },
    next: 'keep the folder as evidence, set it aside, and start a new log',
  });
}

function changedRow(
  file: string,
  at: { readonly agreed: number; readonly size: number; readonly differs: number | undefined },
): WeirError {
  const { agreed, size, differs } = at;
  const where = differs === undefined ? `a row between ${agreed} and ${size - 1}` : `row ${differs}`;
  return new WeirError('corrupt', `${where} of the audit log is not the one that was signed`, {
    detail: { what: 'changed_row', file, offset: 0, index: differs ?? agreed, size },
    next: 'keep the folder as evidence, set it aside, and start a new log',
  });
}
