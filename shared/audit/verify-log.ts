// The auditor's reading of a whole log: every row is read, hashed and judged, and the tree over all of them must be the one
// that the log has signed and the hub has receipted. Works over any store in the tlog-tiles layout, a bundle of rows at a
// time, so that memory does not grow with the log.

import { describeThrown, WeirError } from '../errors/weir-error.ts';
import { CoverageCheck, COUNTERS_OUTCOME, type CoverageReport } from './coverage.ts';
import { type LogId, parseLogId } from './log-id.ts';
import { recheckRow } from './recheck-row.ts';
import type { AuditRow } from './row.ts';
import { ReceiptTrail } from './receipt-trail.ts';
import { readRow } from './row-codec.ts';
import { scanRow } from './scan-row.ts';
import { type CheckedTile, checkTiles, type TileCheck } from './tile-check.ts';
import { openCheckpoint, openCosigned } from './tlog/checkpoint.ts';
import { TreeEdge } from './tlog/edge.ts';
import { HASH_BYTES, leafHash } from './tlog/hash.ts';
import type { Verifier } from './tlog/note.ts';
import { TILE_WIDTH, tileWidth } from './tlog/tile.ts';
import { tileRoot } from './tlog/tile-nodes.ts';

/** A log in the tlog-tiles layout, wherever it is kept. What is not there is undefined. */
export interface LogSource {
  /** Newest signed checkpoint or receipt. */
  checkpoint(): Promise<Buffer>;
  /** The first `width` hashes of a tile. */
  tile(level: number, index: number, width: number): Promise<Buffer | undefined>;
  /** The first `width` rows of a bundle; undefined when they are kept elsewhere or missing. Throws `corrupt`. */
  entries(index: number, width: number): Promise<Buffer[] | undefined>;
  /** Earlier receipts by ascending size, if the store keeps them. */
  receipts?(): AsyncIterable<Buffer>;
}

export interface LogKeys {
  readonly log: Verifier;
  /** Without it cosignatures are passed over. */
  readonly hub?: Verifier;
}

export interface LogFault {
  /** The row, -1 when the fault is not one row's. */
  readonly index: number;
  readonly what: string;
}

export interface LogReport {
  readonly origin: string;
  /** Size and root that the log has signed; the root in hex. */
  readonly size: number;
  readonly root: string;
  /** Rows read and judged. */
  readonly rows: number;
  /** Rows of which only the hash is there. */
  readonly hashesOnly: number;
  /** Hash tiles that the store lacks; where the rows are there nothing follows from it. */
  readonly tilesMissing: number;
  /** The fault with the lowest index, null when there is none; a fault of the whole log comes after those of rows. */
  readonly fault: LogFault | null;
  /** All faults. */
  readonly faultCount: number;
  /** Receipts by the hub whose root is the log's root at their size. */
  readonly receipts: number;
  /** Rows covered by the hub's receipt on the newest checkpoint, or the newest of the earlier ones; 0 without any. */
  readonly receiptedSize: number;
  /** When the hub signed that one, seconds since 1970. */
  readonly receiptTimeS: number | null;
  readonly coverage: CoverageReport;
}

export interface LogProgress {
  /** Rows done, of `size`. */
  readonly rows: number;
  readonly size: number;
}

/**
 * Verifies every row of a log. Throws `untrusted` when the checkpoint itself is refused, and what the source throws other
 * than `corrupt`; all else that is wrong is in the report. `onProgress` is called after each bundle, and what it throws
 * ends the reading.
 */
export async function verifyLog(
  source: LogSource,
  keys: LogKeys,
  onProgress: (progress: LogProgress) => void = () => undefined,
): Promise<LogReport> {
  const reading = new LogReading(source, keys);
  return reading.run(onProgress);
}

interface Bundle {
  readonly rows: Buffer[] | undefined;
  /** Why there are none. */
  readonly why: string;
}

class LogReading {
  readonly #source: LogSource;
  readonly #keys: LogKeys;
  readonly #edge = new TreeEdge();
  readonly #coverage = new CoverageCheck();
  #rows = 0;
  #hashesOnly = 0;
  #fault: LogFault | null = null;
  #faultCount = 0;
  readonly #trail: ReceiptTrail;

  constructor(source: LogSource, keys: LogKeys) {
    this.#source = source;
    this.#keys = keys;
    this.#trail = new ReceiptTrail(source.receipts?.bind(source), keys, (index, what) => this.#found(index, what));
  }

  async run(onProgress: (progress: LogProgress) => void): Promise<LogReport> {
    const { log, hub } = this.#keys;
    const note = await this.#source.checkpoint();
    const { checkpoint, timeS } =
      hub === undefined
        ? { checkpoint: openCheckpoint(note, log), timeS: undefined }
        : openCosigned(note, { log, hub });
    const { origin, size, root } = checkpoint;
    const id = parseLogId(origin.slice(origin.indexOf('/') + 1));
    if (id === undefined) throw new WeirError('untrusted', `${origin} is no log of Weir`);
    await using trail = this.#trail;
    await trail.start(this.#edge, size);

    const tiles = await checkTiles(
      size,
      root,
      (level, index, width) => this.#source.tile(level, index, width),
      (what) => this.#found(-1, what),
    );
    let coming = this.#read(0, size);
    for (let index = 0; index * TILE_WIDTH < size; index += 1) {
      const bundle = await coming;
      coming = this.#read(index + 1, size);
      coming.catch(() => undefined); // heard of when its turn comes
      if (!(await this.#judgeBundle(index, tileWidth(size, 0, index), bundle, tiles, id))) break;
      onProgress({ rows: Math.min(size, (index + 1) * TILE_WIDTH), size });
    }

    if (this.#edge.size === size && !this.#edge.root().equals(root)) {
      this.#found(-1, `the rows hash to ${this.#edge.root().toString('hex')}, not to the root that the log has signed`);
    } else if (this.#edge.size === size && timeS !== undefined) {
      trail.matched(size, timeS);
    }
    return {
      origin,
      size,
      root: root.toString('hex'),
      rows: this.#rows,
      hashesOnly: this.#hashesOnly,
      tilesMissing: tiles.missing,
      fault: this.#fault,
      faultCount: this.#faultCount,
      receipts: trail.receipts,
      receiptedSize: trail.receiptedSize,
      receiptTimeS: trail.receiptTimeS,
      coverage: this.#coverage.report(),
    };
  }

  /** Rows of a bundle ahead of their use. What cannot be decoded is a fault of the log, not of the reading. */
  async #read(index: number, size: number): Promise<Bundle> {
    const width = tileWidth(size, 0, index);
    if (width === 0) return { rows: undefined, why: '' };
    try {
      const rows = await this.#source.entries(index, width);
      if (rows === undefined) return { rows, why: '' };
      return rows.length === width ? { rows, why: '' } : { rows: undefined, why: `${rows.length} rows, not ${width}` };
    } catch (thrown) {
      if (thrown instanceof WeirError && thrown.code === 'corrupt') return { rows: undefined, why: thrown.message };
      throw thrown;
    }
  }

  /** @returns whether the tree can go on: false once neither rows nor hashes are there. */
  async #judgeBundle(
    index: number,
    width: number,
    { rows, why }: Bundle,
    tiles: TileCheck,
    id: LogId,
  ): Promise<boolean> {
    const first = index * TILE_WIDTH;
    const tile = await tiles.leaves(index);
    if (why !== '') this.#found(first, `the bundle of rows from ${first} cannot be read: ${why}`);
    if (rows === undefined) {
      this.#coverage.gap();
      const hashes = tile.kind === 'missing' ? undefined : tile.hashes;
      if (hashes === undefined) {
        this.#found(first, `rows ${first} to ${first + width - 1} are missing, and their hashes too`);
        return false;
      }
      this.#hashesOnly += width;
      for (let at = 0; at < width; at += 1) {
        this.#edge.append(Buffer.from(hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES)));
        if (this.#edge.size === this.#trail.nextSize) await this.#trail.compare(this.#edge);
      }
      return true;
    }

    const leaves = rows.map(leafHash);
    this.#compareLeaves(first, leaves, tile);
    for (const [at, row] of rows.entries()) {
      const fault = this.#judgeRow(row, first + at, id);
      if (fault !== undefined) this.#found(first + at, fault);
      this.#edge.append(leaves[at] as Buffer);
      if (this.#edge.size === this.#trail.nextSize) await this.#trail.compare(this.#edge);
    }
    this.#rows += width;
    return true;
  }

  /** Names the row that differs from its signed hash, as exactly as the tiles allow. */
  #compareLeaves(first: number, leaves: readonly Buffer[], tile: CheckedTile): void {
    const last = first + leaves.length - 1;
    if (tile.kind === 'unknown') return;
    if (tile.kind === 'proven') {
      for (const [at, leaf] of leaves.entries()) {
        if (!leaf.equals(tile.hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES))) {
          this.#found(first + at, 'the row is not the one whose hash the log has signed');
        }
      }
      return;
    }
    const rowsHold = tileRoot(Buffer.concat(leaves)).equals(tile.root);
    if (!rowsHold) this.#found(first, `one of the rows ${first} to ${last} is not what the log has signed`);
    else if (tile.kind === 'wrong') {
      this.#found(-1, `the hashes of rows ${first} to ${last} are wrong; the rows themselves are right`);
    }
  }

  #judgeRow(bytes: Buffer, index: number, id: LogId): string | undefined {
    const scanned = scanRow(bytes);
    let row: Pick<AuditRow, 'log' | 'index' | 'unit' | 'spoke' | 'action' | 'outcome'>;
    let full: AuditRow | undefined;
    if (scanned !== undefined) row = scanned;
    else {
      try {
        full = readRow(bytes);
        row = full;
      } catch (thrown) {
        this.#coverage.row('');
        return describeThrown(thrown);
      }
    }
    if (full !== undefined && full.action === 'event' && full.outcome === COUNTERS_OUTCOME)
      this.#coverage.counters(full);
    else this.#coverage.row(row.action);

    if (row.index !== index) return `the row says that it is row ${row.index}`;
    const own = parseLogId(row.log);
    if (
      own === undefined ||
      own.unit !== id.unit ||
      own.spoke !== id.spoke ||
      own.worker !== id.worker ||
      own.epoch !== id.epoch
    ) {
      return `the row says that it is of the log ${row.log}`;
    }
    if (row.unit !== id.unit || row.spoke !== id.spoke) return `the row names ${row.unit}/${row.spoke} as its writer`;
    const unsound = full === undefined ? undefined : recheckRow(full)[0];
    return unsound === undefined ? undefined : `the row does not explain its level: ${unsound}`;
  }

  #found(index: number, what: string): void {
    this.#faultCount += 1;
    if (this.#fault === null || placeOf(index) < placeOf(this.#fault.index)) this.#fault = { index, what };
  }
}

/** Where a fault stands among others: those of the whole log come last. */
function placeOf(index: number): number {
  return index < 0 ? Number.POSITIVE_INFINITY : index;
}
