// Logs as folders of tlog-tiles, as a write-once copy has them: the form that anybody can verify without Weir. Rows are
// hashed here, and a log's checkpoint is written last, when the root over all of its rows is the one that was receipted.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { HASH_BYTES, leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { decodeEntries, encodeEntries, entriesPath, TILE_WIDTH, tilePath } from '@weir/shared/audit/tlog/tile.ts';
import { tileRoot } from '@weir/shared/audit/tlog/tile-nodes.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { COPY_OBJECTS, copyPath } from '../audit/copy-target.ts';
import { EXPORT_OBJECTS } from './log-folder.ts';
import { bundlesOf, type LogClient, remoteLog } from './remote-log.ts';

export interface NativeProgress {
  readonly log: string;
  /** Rows done, of all that the log has. */
  readonly rows: number;
  readonly size: number;
  /** Rows of which the hub has only the hash: their bytes are in the write-once copy. */
  readonly hashesOnly: number;
}

/**
 * Writes one log below `root`, or goes on with what is there of it: bundles that are there are hashed, not fetched. Throws
 * `integrity` when the rows do not lead to the receipted root; then the folder has no new checkpoint.
 */
export async function* exportLog(
  client: LogClient,
  root: string,
  log: string,
  signal: AbortSignal,
): AsyncGenerator<NativeProgress> {
  const { source, head } = await remoteLog(client, log);
  const note = await source.checkpoint();
  const checkpoint = readCheckpoint(note);
  const { size } = checkpoint;
  const folder = join(root, copyPath(log, ''));
  const put = (path: string, bytes: Uint8Array): void => putFile(join(folder, path), bytes);
  put(COPY_OBJECTS.vkey, Buffer.from(`${head.logVkey}\n`));
  put(COPY_OBJECTS.binding, head.binding);
  put(EXPORT_OBJECTS.spokeVkey, Buffer.from(`${head.spokeVkey}\n`));
  put(EXPORT_OBJECTS.hubVkey, Buffer.from(`${head.hubVkey}\n`));

  const fetch = bundlesOf(client, log, size);
  const tiles = new GrowingTiles((level, index, hashes) =>
    put(tilePath(level, index, hashes.length / HASH_BYTES), hashes),
  );
  const edge = new TreeEdge();
  let hashesOnly = 0;
  for (let index = 0; index * TILE_WIDTH < size; index += 1) {
    signal.throwIfAborted();
    const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH);
    const path = entriesPath(index, width);
    const there = bundleIn(join(folder, path), width);
    const rows = there ?? (await fetch(index));
    if (rows !== undefined && there === undefined) put(path, encodeEntries(rows));
    let leaves: Buffer | undefined;
    if (rows === undefined) {
      hashesOnly += width;
      leaves = await source.tile(0, index, width);
    } else leaves = Buffer.concat(rows.map(leafHash));
    if (leaves === undefined) {
      throw new WeirError(
        'integrity',
        `the hub has neither rows ${index * TILE_WIDTH} to ${index * TILE_WIDTH + width - 1} of ${log} nor their hashes`,
        {
          next: `run weir audit fsck --log ${log}`,
        },
      );
    }
    for (let at = 0; at < width; at += 1) edge.append(leaves.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES));
    tiles.add(leaves);
    yield { log, rows: index * TILE_WIDTH + width, size, hashesOnly };
  }
  tiles.end();
  if (!edge.root().equals(checkpoint.root)) {
    throw new WeirError('integrity', `the rows of ${log} do not lead to the root that was receipted`, {
      next: `run weir audit fsck --log ${log} at the hub, or weir audit verify over the folder; remove it to export anew`,
    });
  }
  put(COPY_OBJECTS.checkpoint, note);
  removeOldPartials(join(folder, 'tile'), size);
}

/** Tiles of all levels as their hashes come; a full one is handed over at once, the partial ones at the end. */
class GrowingTiles {
  readonly #put: (level: number, index: number, hashes: Buffer) => void;
  readonly #open: Buffer[][] = [];
  readonly #full: number[] = [];

  constructor(put: (level: number, index: number, hashes: Buffer) => void) {
    this.#put = put;
  }

  /** A tile of leaves: all but the last one are full. */
  add(leaves: Buffer): void {
    if (leaves.length < TILE_WIDTH * HASH_BYTES) (this.#open[0] ??= []).push(leaves);
    else this.#whole(0, leaves);
  }

  end(): void {
    for (const [level, hashes] of this.#open.entries()) {
      if (hashes !== undefined && hashes.length > 0) this.#put(level, this.#full[level] ?? 0, Buffer.concat(hashes));
    }
  }

  #whole(level: number, tile: Buffer): void {
    const index = this.#full[level] ?? 0;
    this.#put(level, index, tile);
    this.#full[level] = index + 1;
    const above = (this.#open[level + 1] ??= []);
    above.push(tileRoot(tile));
    if (above.length === TILE_WIDTH) this.#whole(level + 1, Buffer.concat(above.splice(0)));
  }
}

/** A bundle that is there whole; anything else is fetched again. */
function bundleIn(path: string, width: number): Buffer[] | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const rows = decodeEntries(readFileSync(path));
    return rows.length === width ? rows : undefined;
  } catch {
    return undefined;
  }
}

/** Whole or not at all under its name. */
function putFile(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.${process.pid}`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(temporary, bytes);
    renameSync(temporary, path);
  } catch (cause) {
    rmSync(temporary, { force: true });
    const full = (cause as NodeJS.ErrnoException).code === 'ENOSPC';
    throw new WeirError(full ? 'resource_exhausted' : 'forbidden', `${path} cannot be written`, {
      cause,
      next: full ? 'free some space and go on with --resume' : 'choose a folder that can be written to',
    });
  }
}

/** Partial tiles of an earlier, smaller size, which nothing refers to any more. */
function removeOldPartials(folder: string, size: number): void {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.parentPath.endsWith('.p')) continue;
    const path = join(entry.parentPath, entry.name);
    const [, kind = ''] = /tile\/(entries|\d+)\//.exec(`${path}/`) ?? [];
    const level = kind === 'entries' ? 0 : Number(kind);
    const hashes = Math.floor(size / TILE_WIDTH ** level);
    const current =
      kind === 'entries'
        ? entriesPath(Math.floor(size / TILE_WIDTH), Math.max(1, size % TILE_WIDTH))
        : tilePath(level, Math.floor(hashes / TILE_WIDTH), Math.max(1, hashes % TILE_WIDTH));
    if (!path.endsWith(`/${current}`)) rmSync(path);
  }
}
