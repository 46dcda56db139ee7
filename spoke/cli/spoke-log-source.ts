// A spoke's log on disk as an auditor reads it: rows from its segments as far as they can be read, hashes of rows that are gone
// from its tiles. Nothing is locked or changed, and the spoke may be writing meanwhile.

import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { HASH_BYTES, leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { TILE_WIDTH, tilePath } from '@weir/shared/audit/tlog/tile.ts';
import { tileRoot } from '@weir/shared/audit/tlog/tile-nodes.ts';
import type { LogSource } from '@weir/shared/audit/verify-log.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { CHECKPOINT_FILE, RECEIPT_FILE, RECEIPTS_FOLDER } from '../audit/log-notes.ts';
import { type ReadableRow, readableRows } from '../audit/readable-rows.ts';
import { viewSpoolDisk } from '../io/spool-disk.ts';
import { fileOf, type LogFolder } from './spoke-logs.ts';

export function spokeLogSource({ path, log }: LogFolder): Required<LogSource> {
  const disk = viewSpoolDisk(path);
  const digest = createHash('sha256').update(log).digest();
  const rowsFrom = (from: number): AsyncGenerator<ReadableRow> =>
    readableRows(disk, digest, from, Number.MAX_SAFE_INTEGER);
  let kept: Promise<number> | undefined;
  let notedSize = 0;
  let reading = { rows: rowsFrom(0), next: 0, ahead: undefined as ReadableRow | undefined };

  /** The first row that is still here; where the rows end when none is. */
  function firstKept(): Promise<number> {
    kept ??= (async () => {
      for await (const { index } of rowsFrom(0)) return index;
      return Number.POSITIVE_INFINITY;
    })();
    return kept;
  }

  /** Readable rows of [from, until), read on from where the last call ended if it can. */
  async function rowsWithin(from: number, until: number): Promise<readonly ReadableRow[]> {
    if (from !== reading.next) {
      await reading.rows.return(undefined);
      reading = { rows: rowsFrom(from), next: from, ahead: undefined };
    }
    reading.next = until;
    const found: ReadableRow[] = [];
    for (;;) {
      const row = reading.ahead ?? (await reading.rows.next()).value;
      reading.ahead = undefined;
      if (row === undefined) return found;
      if (row.index >= until) {
        reading.ahead = row;
        return found;
      }
      // A copy: the segment that it is a view of is large, and is let go with its rows.
      found.push({ index: row.index, bytes: Buffer.from(row.bytes) });
    }
  }

  async function leavesOf(index: number, width: number): Promise<Buffer | undefined> {
    const first = index * TILE_WIDTH;
    const start = Math.max(first, Math.min(await firstKept(), first + width));
    const begun = start > first ? fileOf(path, tilePath(0, index, start - first)) : Buffer.alloc(0);
    const rows: Buffer[] = [];
    for await (const row of readableRows(disk, digest, start, first + width)) rows.push(leafHash(row.bytes));
    if (begun === undefined || start + rows.length !== first + width) return undefined;
    return Buffer.concat([begun, ...rows]);
  }

  async function tile(level: number, index: number, width: number): Promise<Buffer | undefined> {
    const stored = fileOf(path, tilePath(level, index));
    if (stored?.length === TILE_WIDTH * HASH_BYTES) return stored.subarray(0, width * HASH_BYTES);
    if (level === 0) return leavesOf(index, width);
    const roots: Buffer[] = [];
    for (let at = index * TILE_WIDTH; at < index * TILE_WIDTH + width; at += 1) {
      const below = await tile(level - 1, at, TILE_WIDTH);
      if (below === undefined) return undefined;
      roots.push(tileRoot(below));
    }
    return Buffer.concat(roots);
  }

  return {
    checkpoint() {
      const note = newestNote(path, log);
      notedSize = readCheckpoint(note).size;
      return Promise.resolve(note);
    },
    tile,
    async entries(index, width) {
      const first = index * TILE_WIDTH;
      const rows = await rowsWithin(first, first + width);
      if (rows.length === width) return rows.map(({ bytes }) => Buffer.from(bytes));
      // Dropped under a receipt, in whole or in part: of the bundle only hashes are left.
      if (first < (await firstKept())) return undefined;
      throw new WeirError('corrupt', `row ${firstGap(rows, first)} cannot be read: its segment is damaged or missing`);
    },
    async *receipts() {
      const sizes = receiptSizes(path);
      for (const size of sizes) {
        const receipt = fileOf(path, join(RECEIPTS_FOLDER, String(size)));
        if (receipt !== undefined) yield receipt;
      }
      const newest = fileOf(path, RECEIPT_FILE);
      if (newest === undefined) return;
      // Of a log that is still written, the receipt may have come after the checkpoint; it then belongs to a later reading.
      const { size } = readCheckpoint(newest);
      if (size < notedSize && !sizes.includes(size)) yield newest;
    },
  };
}

function firstGap(rows: readonly ReadableRow[], first: number): number {
  const at = rows.findIndex((row, place) => row.index !== first + place);
  return first + (at === -1 ? rows.length : at);
}

/** The newest of what the log has signed: the receipt when it covers as much as the checkpoint. */
function newestNote(path: string, log: string): Buffer {
  const checkpoint = fileOf(path, CHECKPOINT_FILE);
  const receipt = fileOf(path, RECEIPT_FILE);
  const [newest] = [receipt, checkpoint]
    .filter((note) => note !== undefined)
    .toSorted((a, b) => readCheckpoint(b).size - readCheckpoint(a).size);
  if (newest !== undefined) return newest;
  throw new WeirError('untrusted', `${log} has no checkpoint yet: nothing of it is signed`);
}

function receiptSizes(path: string): readonly number[] {
  try {
    return readdirSync(join(path, RECEIPTS_FOLDER))
      .filter((name) => /^\d{1,16}$/.test(name))
      .map(Number)
      .toSorted((a, b) => a - b);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw thrown;
  }
}
