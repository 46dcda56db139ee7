// Does the database still hold what the logs signed? Every leaf is derived again from its row's bytes, every tile from the
// leaves, every root from the tiles, and compared with what is stored and with what the hub has receipted. Rows are read in
// runs and judged in other threads while the next ones are read; memory does not grow with the log.

import { openReceipt } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { HASH_BYTES } from '@weir/shared/audit/tlog/hash.ts';
import { parseVkey, type Verifier } from '@weir/shared/audit/tlog/note.ts';
import { tileRoot } from '@weir/shared/audit/tlog/tile-nodes.ts';
import { TILE_WIDTH, tilePath } from '@weir/shared/audit/tlog/tile.ts';
import { describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import type { AuditStore, LogHead } from '../store/audit-store.ts';
import type { RowScan } from '../store/row-scan.ts';
import type { TileStore } from '../store/tile-store.ts';
import { FAULTS_MAX, type RunCheck, type RunReport } from './fsck-rows.ts';
import { subtreesOf } from './tile-job.ts';
import { storedLog } from './log-source.ts';
import { type VerifiedTiles, verifiedTiles } from './verified-tiles.ts';

/** Rows in a run, and runs under way at once: what is in memory is at most their product. */
const RUN_ROWS = 32 * TILE_WIDTH;
const RUNS_AT_ONCE = 4;
const LOGS_AT_ONCE = 100;
/** Stands in a run's leaves where there is no row. */
const NO_LEAF = Buffer.alloc(HASH_BYTES);

export interface FsckParts {
  readonly store: Pick<AuditStore, 'head' | 'heads' | 'rowsFrom' | 'leavesFrom'>;
  readonly tiles: Pick<TileStore, 'tiles'>;
  readonly scan: RowScan;
  /** Judges runs, several at once if it can. */
  readonly check: RunCheck;
  /** The hub's receipt key. */
  readonly hubKey: Verifier;
}

export interface FsckFault {
  /** The row, -1 when the fault is not one row's. */
  readonly index: number;
  readonly what: string;
}

export type FsckStep =
  | { readonly kind: 'progress'; readonly log: string; readonly rows: number; readonly total: number }
  | {
      readonly kind: 'log';
      readonly log: string;
      /** Rows read, and those of the log that are only in a copy. */
      readonly rows: number;
      readonly moved: number;
      /** Root derived from the rows (and tiles, where the rows have moved), hex; '' when it cannot be derived. */
      readonly root: string;
      /** By index, faults of the whole log first; at most `FAULTS_MAX` of the rows. */
      readonly faults: readonly FsckFault[];
    }
  | { readonly kind: 'summary'; readonly logs: number; readonly rows: number; readonly faulty: number };

/** Checks one log, or all of them when `log` is ''. Throws `not_found` for an unknown log; faults are steps, not errors. */
export async function* fsck(
  parts: FsckParts,
  options: { readonly log: string; readonly signal?: AbortSignal },
): AsyncGenerator<FsckStep> {
  const totals = { logs: 0, rows: 0, faulty: 0 };
  for await (const head of headsOf(parts, options.log)) {
    for await (const step of fsckLog(parts, head)) {
      if (options.signal?.aborted === true) return;
      if (step.kind === 'log') {
        totals.logs += 1;
        totals.rows += step.rows;
        if (step.faults.length > 0) totals.faulty += 1;
      }
      yield step;
    }
  }
  if (options.log === '') {
    for await (const log of strayLogs(parts)) {
      totals.logs += 1;
      totals.faulty += 1;
      const faults = [{ index: -1, what: 'there are rows of this log, but no such log' }];
      yield { kind: 'log', log, rows: 0, moved: 0, root: '', faults };
    }
  }
  yield { kind: 'summary', ...totals };
}

async function* headsOf({ store }: FsckParts, log: string): AsyncGenerator<LogHead> {
  if (log !== '') {
    const head = await store.head(log);
    if (head === undefined) throw new WeirError('not_found', `there is no log ${log}`);
    yield head;
    return;
  }
  for (let after = ''; ; ) {
    const heads = await store.heads({ after, limit: LOGS_AT_ONCE });
    yield* heads;
    if (heads.length < LOGS_AT_ONCE) return;
    after = heads.at(-1)?.log ?? '';
  }
}

async function* strayLogs({ store, scan }: FsckParts): AsyncGenerator<string> {
  for (let after = ''; ; ) {
    const logs = await scan.logsOfRows(after, LOGS_AT_ONCE);
    for (const log of logs) if ((await store.head(log)) === undefined) yield log;
    if (logs.length < LOGS_AT_ONCE) return;
    after = logs.at(-1) ?? '';
  }
}

async function* fsckLog(parts: FsckParts, head: LogHead): AsyncGenerator<FsckStep> {
  const { log, nextIndex, keptFrom } = head;
  const general: FsckFault[] = [];
  const faults: FsckFault[] = [];
  const signed = signedEnd(head, parts.hubKey, general);
  const stored = storedLog(parts, head);
  const trusted =
    signed === undefined
      ? undefined
      : verifiedTiles({ tile: (level, index, width) => stored.tile(level, index, width) }, signed);
  const tree = new DerivedTree(parts.tiles, head, trusted, (fault) => {
    (fault.index < 0 ? general : faults).push(fault);
  });

  let rows = 0;
  // Of a log whose clock went back, rows may still be here that stand before some that have moved.
  const first = keptFrom === 0 ? 0 : Math.min(keptFrom, (await parts.scan.firstIndex(log, 0)) ?? keptFrom);
  const start = first - (first % TILE_WIDTH);
  let moved = start;
  await tree.skip(start);
  const runs: { readonly from: number; readonly until: number; readonly report: Promise<RunReport> }[] = [];
  let ahead = start;
  for (;;) {
    while (ahead < nextIndex && runs.length < RUNS_AT_ONCE) {
      const until = Math.min(ahead + RUN_ROWS, nextIndex);
      const report = runOf(parts, log, ahead, until);
      // A failure is met when its turn comes.
      report.catch(() => undefined);
      runs.push({ from: ahead, until, report });
      ahead = until;
    }
    const run = runs.shift();
    if (run === undefined) break;
    const report = await run.report;
    rows += report.rows;
    if (run.from < keptFrom) moved += Math.min(run.until - run.from - report.rows, keptFrom - run.from);
    await tree.add(report, run.from);
    yield { kind: 'progress', log, rows: run.until - start, total: nextIndex - start };
  }
  const beyond = await parts.scan.firstIndex(log, nextIndex);
  if (beyond !== undefined)
    faults.push({ index: beyond, what: `the row is beyond the end of the log at ${nextIndex}` });
  const root = tree.root();
  if (signed !== undefined) tree.finish(signed.root);
  yield {
    kind: 'log',
    log,
    rows,
    moved,
    root: root?.toString('hex') ?? '',
    faults: [...general, ...faults.toSorted((a, b) => a.index - b.index).slice(0, FAULTS_MAX)],
  };
}

async function runOf({ scan, check }: FsckParts, log: string, from: number, until: number): Promise<RunReport> {
  return check(await scan.rows(log, from, until));
}

/** What the hub has receipted for the head's size, after the head's own parts were compared with it. */
function signedEnd(
  head: LogHead,
  hubKey: Verifier,
  faults: FsckFault[],
): { readonly size: number; readonly root: Buffer } | undefined {
  const tell = (what: string): void => void faults.push({ index: -1, what });
  if (head.nextIndex === 0) return undefined;
  let edgeRoot: Buffer | undefined;
  try {
    edgeRoot = TreeEdge.decode(head.nextIndex, head.edge).root();
  } catch (thrown) {
    tell(`the head is wrong: ${describeThrown(thrown)}`);
  }
  // Logs from before there were log keys have neither checkpoint nor receipt.
  if (head.vkey === '' && head.receipt.length === 0) return undefined;
  try {
    const log = parseVkey(head.vkey);
    const { checkpoint } = openReceipt(head.receipt, { log, hub: hubKey });
    if (checkpoint.size !== head.nextIndex) {
      tell(`the head is wrong: the receipt is for ${checkpoint.size} rows, the log has ${head.nextIndex}`);
      return undefined;
    }
    if (edgeRoot !== undefined && !edgeRoot.equals(checkpoint.root)) {
      tell('the head is wrong: its edge does not give the root that was receipted');
    }
    if (!head.receipt.subarray(0, head.checkpoint.length).equals(head.checkpoint)) {
      tell('the head is wrong: checkpoint and receipt are not the same tree head');
    }
    return checkpoint;
  } catch (thrown) {
    tell(`the head is wrong: ${describeThrown(thrown)}`);
    return undefined;
  }
}

/** The tree as the rows give it, tile by tile, compared with the stored one; where a row is in doubt the tiles decide. */
class DerivedTree {
  readonly #tiles: Pick<TileStore, 'tiles'>;
  readonly #head: LogHead;
  readonly #trusted: VerifiedTiles | undefined;
  readonly #tell: (fault: FsckFault) => void;
  /** By level: hashes of the tile that is being filled. */
  readonly #open: Buffer[][] = [[]];
  /** By level: full tiles so far. */
  readonly #full: number[] = [0];
  /** False once a hash is missing that nothing can stand in for. */
  #whole = true;
  /** Rows whose leaf column says something else than their bytes, where no tile tells which is true. */
  readonly #doubtful: number[] = [];
  /** The tree with the derived leaves of doubtful rows; this one has what their leaf columns say. */
  #other: TreeEdge | undefined;

  constructor(
    tiles: Pick<TileStore, 'tiles'>,
    head: LogHead,
    trusted: VerifiedTiles | undefined,
    tell: (fault: FsckFault) => void,
  ) {
    this.#tiles = tiles;
    this.#head = head;
    this.#trusted = trusted;
    this.#tell = tell;
  }

  /** Takes the first `rows` rows, whole tiles of them, from the tiles: they are only in a copy. */
  async skip(rows: number): Promise<void> {
    for (let index = 0; index < rows / TILE_WIDTH && this.#whole; index += 1) {
      try {
        if (this.#trusted === undefined) throw new WeirError('integrity', 'no signed root vouches for the tiles');
        await this.#addTile(0, await this.#trusted.tile(0, index));
      } catch (thrown) {
        this.#whole = false;
        this.#tell({ index: -1, what: describeThrown(thrown) });
      }
    }
  }

  async add(report: RunReport, from: number): Promise<void> {
    for (const { index, what } of report.faults) this.#tell({ index, what });
    const derived = Buffer.from(report.leaves.buffer, report.leaves.byteOffset, report.leaves.byteLength);
    const count = derived.length / HASH_BYTES;
    const stored = await this.#tiles.tiles(this.#head.log, 0, from / TILE_WIDTH, Math.ceil(count / TILE_WIDTH));
    for (let first = 0; first < count; first += TILE_WIDTH) {
      const end = Math.min(first + TILE_WIDTH, count);
      const index = (from + first) / TILE_WIDTH;
      const leaves = derived.subarray(first * HASH_BYTES, end * HASH_BYTES);
      const inDoubt =
        report.missing.some((row) => row >= from + first && row < from + end) ||
        report.unequal.some((row) => row.index >= from + first && row.index < from + end);
      const covered = (index + 1) * TILE_WIDTH <= this.#head.tiled;
      const tile = covered ? stored.get(index) : undefined;
      if (!inDoubt && (!covered || tile?.equals(leaves) === true)) {
        await this.#addLeaves(leaves);
      } else {
        const settled = await this.#settle(index, leaves, tile, report);
        if (this.#doubtful.length > 0) this.#other ??= this.#edge();
        await this.#addLeaves(settled, leaves);
      }
    }
  }

  /** Names what is wrong in one tile's rows and returns the leaves that go into the tree. */
  async #settle(index: number, derived: Buffer, tile: Buffer | undefined, report: RunReport): Promise<Buffer> {
    const { tiled } = this.#head;
    const first = index * TILE_WIDTH;
    const until = first + derived.length / HASH_BYTES;
    const covered = until <= tiled;
    let truth: Buffer | undefined;
    if (covered) {
      try {
        truth = await this.#trusted?.tile(0, index);
      } catch {
        // A wrong tile spoils those above it: what the rows give is the better witness, and the root judges it at the end.
        if (tile !== undefined) this.#tell({ index: -1, what: `${tilePath(0, index)} is not what the rows give` });
      }
      if (tile === undefined) this.#tell({ index: -1, what: `${tilePath(0, index)} is missing` });
    }
    const leaves = Buffer.from(derived);
    const within = (row: number): boolean => row >= first && row < until;
    for (const row of report.missing.filter(within)) {
      if (row >= this.#head.keptFrom) this.#tell({ index: row, what: 'the row is missing' });
      if (truth === undefined) this.#whole = false;
    }
    for (const { index: row, stored } of report.unequal.filter((each) => within(each.index))) {
      const at = (row - first) * HASH_BYTES;
      const said = Buffer.from(stored);
      const hashed = derived.subarray(at, at + HASH_BYTES);
      const expected = truth?.subarray(at, at + HASH_BYTES);
      if (expected === undefined) {
        this.#doubtful.push(row);
        said.copy(leaves, at);
      } else if (expected.equals(said)) this.#tell({ index: row, what: 'the bytes of the row were changed' });
      else if (expected.equals(hashed)) this.#tell({ index: row, what: 'the leaf of the row was changed' });
      else this.#tell({ index: row, what: 'both bytes and leaf of the row were changed' });
    }
    if (truth === undefined) return leaves;
    const known = new Set([...report.missing, ...report.unequal.map((each) => each.index)]);
    for (let row = first; row < until; row += 1) {
      const at = (row - first) * HASH_BYTES;
      const leaf = derived.subarray(at, at + HASH_BYTES);
      const isMissing = leaf.equals(NO_LEAF);
      if (known.has(row) || truth.subarray(at, at + HASH_BYTES).equals(leaf)) continue;
      if (!isMissing) this.#tell({ index: row, what: 'the row was replaced, its bytes and its leaf together' });
      else if (row >= this.#head.keptFrom) this.#tell({ index: row, what: 'the row is missing' });
    }
    return truth;
  }

  async #addLeaves(leaves: Buffer, derived: Buffer = leaves): Promise<void> {
    if (this.#other !== undefined) {
      for (let at = 0; at < derived.length; at += HASH_BYTES) this.#other.append(derived.subarray(at, at + HASH_BYTES));
    }
    if (leaves.length === TILE_WIDTH * HASH_BYTES) return this.#addTile(0, leaves);
    for (let at = 0; at < leaves.length; at += HASH_BYTES) this.#open[0]?.push(leaves.subarray(at, at + HASH_BYTES));
  }

  /** A full tile: its root goes into the tile above, which is compared with the stored one when it is full. */
  async #addTile(level: number, tile: Buffer): Promise<void> {
    this.#full[level] = (this.#full[level] ?? 0) + 1;
    const above = (this.#open[level + 1] ??= []);
    above.push(tileRoot(tile));
    if (above.length < TILE_WIDTH) return;
    const hashes = Buffer.concat(above.splice(0));
    const index = this.#full[level + 1] ?? 0;
    if ((index + 1) * TILE_WIDTH ** (level + 2) <= this.#head.tiled) {
      const stored = (await this.#tiles.tiles(this.#head.log, level + 1, index, 1)).get(index);
      if (stored?.equals(hashes) !== true) {
        const fault = stored === undefined ? 'is missing' : 'is not what the rows give';
        this.#tell({ index: -1, what: `${tilePath(level + 1, index)} ${fault}` });
      }
    }
    await this.#addTile(level + 1, hashes);
  }

  /** Undefined when a hash is missing. */
  root(): Buffer | undefined {
    return this.#whole ? this.#edge().root() : undefined;
  }

  /** Partial tiles from the top level down are the complete subtrees, largest first. */
  #edge(): TreeEdge {
    const hashes: Buffer[] = [];
    let size = 0;
    for (let level = this.#open.length - 1; level >= 0; level -= 1) {
      const open = this.#open[level] ?? [];
      size += open.length * TILE_WIDTH ** level;
      for (let at = 0, width = TILE_WIDTH / 2; width >= 1; width /= 2) {
        if (Math.floor(open.length / width) % 2 === 0) continue;
        hashes.push(tileRoot(Buffer.concat(open.slice(at, at + width))));
        at += width;
      }
    }
    return TreeEdge.decode(size, Buffer.concat(hashes));
  }

  /**
   * Settles what only the signed root can: rows behind the last tile whose bytes and leaf disagree, and a tree that differs
   * although all tiles agree.
   */
  finish(signed: Buffer): void {
    if (!this.#whole) return;
    const mine = this.#edge();
    const agrees = mine.root().equals(signed);
    const otherAgrees = !agrees && this.#other?.root().equals(signed) === true;
    for (const index of this.#doubtful) {
      const changed = agrees
        ? 'the bytes of the row were'
        : otherAgrees
          ? 'the leaf of the row was'
          : 'bytes or leaf of the row were';
      this.#tell({ index, what: `${changed} changed` });
    }
    if (agrees || otherAgrees) return;
    const held = subtreesOf(this.#head);
    const wrong = subtreesOf({ nextIndex: mine.size, edge: mine.encode() }).find(
      ({ hash }, at) => held[at]?.hash.equals(hash) !== true,
    );
    const range = wrong === undefined ? '' : `: they differ in rows ${wrong.start} to ${wrong.end - 1}`;
    this.#tell({
      index: wrong !== undefined && wrong.end - wrong.start === 1 ? wrong.start : -1,
      what: `the rows do not give the root that was receipted${range}`,
    });
  }
}
