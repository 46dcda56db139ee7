// One audit log: gives rows their place, makes them durable, keeps the tree over them, signs it, remembers what the hub has
// receipted, and reads rows back. The pipeline awaits `append` before any byte or refusal leaves; the shipper reads, asks for
// checkpoints and proofs, and hands in receipts.

import { createHash } from 'node:crypto';
import { formatLogId, parseLogId } from '@weir/shared/audit/log-id.ts';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import { ROW_VERSION } from '@weir/shared/audit/row.ts';
import { signCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { consistencyProof, inclusionProof, rootAt } from '@weir/shared/audit/tlog/proof.ts';
import { HASH_BYTES } from '@weir/shared/audit/tlog/hash.ts';
import { TILE_WIDTH } from '@weir/shared/audit/tlog/tile.ts';
import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import { damagedFile } from './damaged-file.ts';
import { fitRow } from './fit-row.ts';
import { type LogOwner, openLogKey } from './log-key.ts';
import {
  CHECKPOINT_FILE,
  RECEIPT_FILE,
  type HeldReceipt,
  type SignedHead,
  loadNotes,
  logSigned,
  saveReceipt,
} from './log-notes.ts';
import { EDGE_FILE, encodeEdge, recoverLog } from './recover-log.ts';
import { type TornTail, repairTorn, segmentSequence } from './recover-segments.ts';
import { type FoundRow, type RowSlice, createRowReader } from './row-reader.ts';
import {
  type RowConstants,
  type RowOrigin,
  type RowTemplate,
  type RowValues,
  LONGEST_VALUES,
  checkValues,
  rowTemplate,
  writeRow,
} from './row-template.ts';
import { SPOOL_LIMITS, Spool, type SpoolLimits, type SpoolStats } from './spool.ts';
import type { SpoolDisk } from './spool-disk.ts';
import { type SpoolRoom, createSpoolGauge } from './spool-room.ts';
import { TileShelf } from './tile-shelf.ts';

/** Where a durable row stands. */
export interface Recorded {
  readonly id: string;
  /** Id of the log that has it. */
  readonly log: string;
  readonly index: number;
  readonly code: string;
  /** The row's leaf hash in the log's tree. */
  readonly leaf: Buffer;
}

export interface AuditLogStats extends SpoolStats, SpoolRoom {
  readonly log: string;
}

/** The oldest row that the hub has not receipted. */
export interface OldestUnreceipted {
  readonly index: number;
  /** As the row says: RFC 3339 UTC with milliseconds. */
  readonly time: string;
}

export interface AuditLog {
  /** Log id, `<unit>.<spoke>.<worker>.<epoch>`. */
  readonly id: string;
  /** The log's own key, for verifiers (c2sp.org/signed-note). */
  readonly vkey: string;
  /** Signed note by the spoke's enrolled audit key: this key is this log's. */
  readonly binding: Buffer;
  /** The batch that the last run left unfinished, if any; its rows were never acknowledged to anyone. */
  readonly torn: TornTail | undefined;

  /**
   * Records one row and resolves once it is durable. Rejects with `invalid_argument` (not a row, or one that does not
   * explain its level), `resource_exhausted` (spool or disk full: at once, passes), `spool_failed` (disk error: stays until
   * restart), `conflict` (retired) or `too_large`. In `block` the caller must then refuse; in `warn` it serves and tells loudly.
   */
  append(draft: RowDraft): Promise<Recorded>;
  /** Prepares the constant part of rows that share a verdict, made to fit. Throws `invalid_argument`. */
  template(constants: RowConstants): RowTemplate;
  /** `append` for a prepared row: same promises, a fraction of the time. */
  appendTo(template: RowTemplate, values: RowValues): Promise<Recorded>;

  stats(): AuditLogStats;
  /** undefined when the hub has receipted every durable row. */
  oldestUnreceipted(): Promise<OldestUnreceipted | undefined>;
  /** Durable rows from `from`: see `RowReader.read`. */
  read(from: number, maxRows: number, maxBytes: number): Promise<RowSlice>;
  findByCode(code: string): Promise<FoundRow | undefined>;
  /** Resolves once row `index` is durable; rejects with the signal's reason, or with `cancelled` when the log closes or retires. */
  waitFor(index: number, signal: AbortSignal): Promise<void>;

  /** The tree of the first `size` rows, all durable, signed by the log's key. Rejects with `invalid_argument`, `corrupt`. */
  checkpointAt(size: number): Promise<Buffer>;
  /** Root of the tree of the first `size` rows. */
  rootAt(size: number): Promise<Buffer>;
  /** The edge of that tree, to be grown by others. */
  edgeAt(size: number): Promise<TreeEdge>;
  /** Proof that the tree of `oldSize` rows is a prefix of that of `newSize`. */
  consistency(oldSize: number, newSize: number): Promise<readonly Buffer[]>;
  /** Proof that row `index` is in the tree of `size` rows; also for rows that are gone. */
  inclusion(index: number, size: number): Promise<readonly Buffer[]>;

  /** Leaf hashes from an index on, at most `limit`; also of rows that are gone, none beyond the durable end. */
  leaves(from: number, limit: number): Promise<readonly Buffer[]>;

  /** The newest receipt. */
  receipt(): HeldReceipt | undefined;
  /**
   * The hub has committed the rows below `receipt.size`, which the caller has verified: whole segments of them may be dropped.
   * Resolves when what may go is gone; remembered on disk soon.
   */
  acknowledge(receipt: HeldReceipt): Promise<void>;
  /** The hub turns out to lack rows from `from` on that it has receipted: they stay until they are receipted again. */
  withhold(from: number): void;
  /** Stops recording for a reason found outside. */
  refuse(error: WeirError): void;
  /**
   * Takes no more rows, for good: those accepted become durable or fail, and the end is signed and written down. Reading,
   * proving and shipping go on. Resolves with the number of rows.
   */
  retire(): Promise<number>;
  /** Drops every row of a retired log; its tiles, notes and key stay, durably, for proofs. To be closed next. */
  drop(): Promise<void>;
  /** Refuses new rows, makes the accepted ones durable, signs the end, lets go of the folder. */
  close(): Promise<void>;
}

export interface AuditLogOptions extends LogOwner {
  readonly disk: SpoolDisk;
  readonly site: string;
  /** Name of this writer within the spoke, e.g. `w0`. */
  readonly worker: string;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly random: Pick<Random, 'uuid' | 'bytes'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly limits?: Partial<SpoolLimits>;
  /** Bytes that other logs take of the same limit. */
  readonly elsewhereBytes?: () => number;
  /** A log that takes no more rows and has this many: what lies beyond on disk was never acknowledged, or is damaged. */
  readonly retiredAt?: number;
}

const NAME_FILE = 'log.json';
/** Checkpoint and receipt are written down at most this often. */
const NOTES_EVERY_MS = 1_000;

/**
 * Opens the log in the disk's folder, or begins a new one when the folder holds no more than a `log.json`. A torn last batch
 * is cut off (and told by `torn`). Throws `corrupt` when rows are damaged, changed or missing, or a file is not what was
 * written (`detail`: what, file, offset, index), `conflict` when the folder belongs to another unit, spoke or worker: the
 * folder is then left as it is. The log closes the disk; when this throws, the caller does.
 */
export async function createAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const { disk, clock, logger } = options;
  const limits = { ...SPOOL_LIMITS, ...options.limits };
  const until = options.retiredAt ?? Number.POSITIVE_INFINITY;
  const id = await nameOf(options);
  const logDigest = createHash('sha256').update(id).digest();
  const isNew = !(await hasBegun(disk));
  const { signer, verifier, binding } = await openLogKey(disk, { ...options, log: id, isNew });
  const notes = await loadNotes(disk, verifier);
  if (notes.checkpoint === undefined && !isNew) throw damagedFile(CHECKPOINT_FILE, 'missing_file');
  const signed = [notes.checkpoint, notes.receipt].filter(
    (head): head is SignedHead & HeldReceipt => head !== undefined,
  );
  const found = await recoverLog(disk, { logDigest, signed, receipted: notes.receipt?.size ?? 0, until });
  const { tree } = found;
  // Of a log that is only read nothing is cut off: behind what looks unfinished may be rows that can be had yet.
  if (found.torn !== undefined && options.retiredAt === undefined) await repairTorn(disk, found.torn);
  if (isNew)
    await disk.replace(CHECKPOINT_FILE, signCheckpoint({ origin: signer.name, size: 0, root: tree.root() }, signer));

  let receipt: HeldReceipt | undefined = notes.receipt;
  /** Sizes of the notes on disk. */
  const saved = { checkpoint: notes.checkpoint?.size ?? 0, receipt: receipt?.size ?? 0, keptS: notes.keptS };
  let savedAtMs = Number.NEGATIVE_INFINITY;
  let saving: Promise<void> | undefined;
  let savingTrouble = false;
  let closing: Promise<void> | undefined;
  const ending = new AbortController();
  const waiting = new Set<Waiting>();
  /** Leaves of durable rows that are not in the tree yet. */
  let ripe: (readonly Buffer[])[] = [];
  // Each file has one writer at a time: which of two would be the newest?
  const checkpointWrites = createTurns();
  const receiptWrites = createTurns();
  const gauge = createSpoolGauge({ log: id, clock, logger, metrics: options.metrics });

  const reader = createRowReader(disk, () => spool.segments());
  const shelf = new TileShelf({
    disk,
    tree,
    keptUntil: found.used[0]?.firstIndex ?? 0,
    async rows(from, count) {
      const rows: Buffer[] = [];
      while (rows.length < count) {
        const slice = await reader.read(from + rows.length, count - rows.length, limits.segmentBytes);
        if (slice.rows.length === 0) throw new WeirError('not_found', 'these rows are not in the log');
        rows.push(...slice.rows);
      }
      return rows;
    },
  });
  tree.onTile = (level, index, bytes) => shelf.put(level, index, bytes);
  for (const { level, index, bytes } of found.mended) shelf.put(level, index, bytes);
  const spool = await Spool.open(disk, {
    found,
    logDigest,
    limits,
    clock,
    elsewhereBytes: options.elsewhereBytes ?? (() => 0),
    retired: options.retiredAt !== undefined,
    onDurable(durableIndex, leaves) {
      ripe.push(leaves);
      for (const each of waiting) if (each.index < durableIndex) each.settle();
      gauge.note(depth);
      saveSoon();
    },
    meanwhile: absorb,
    async beforeRemoval(rowsUntil) {
      try {
        await saveReceiptFor(rowsUntil);
        await shelf.keep(rowsUntil);
      } catch (thrown) {
        logger.warn({ log: id, error: describeThrown(thrown) }, 'receipted rows could not be dropped yet');
        throw thrown;
      }
    },
  });
  await spool.acknowledge(receipt?.size ?? 0);
  const origin: RowOrigin = { log: id, unit: options.unit, spoke: options.spoke, site: options.site };

  function depth() {
    return spool.stats();
  }

  /** Brings the tree up to the durable rows. */
  function absorb(): void {
    if (ripe.length === 0) return;
    const batches = ripe;
    ripe = [];
    for (const leaves of batches) for (const leaf of leaves) tree.append(leaf);
  }

  function checkSize(size: number): void {
    absorb();
    if (!Number.isSafeInteger(size) || size < 0 || size > tree.size) {
      throw new WeirError('invalid_argument', `this log has ${tree.size} durable rows, not ${size}`);
    }
  }

  async function rootOf(size: number): Promise<Buffer> {
    checkSize(size);
    return size === tree.size ? tree.root() : rootAt(size, shelf.nodes);
  }

  async function checkpointAt(size: number): Promise<Buffer> {
    return signCheckpoint({ origin: signer.name, size, root: await rootOf(size) }, signer);
  }

  function saveCheckpoint(): Promise<void> {
    return checkpointWrites(async () => {
      absorb();
      const { size } = tree;
      if (size <= saved.checkpoint) return;
      const tile = Math.floor(size / TILE_WIDTH);
      const edge = encodeEdge(tile * TILE_WIDTH, tree.newest(0, tile) ?? Buffer.alloc(0));
      const note = await checkpointAt(size);
      await disk.store(EDGE_FILE, edge);
      await disk.replace(CHECKPOINT_FILE, note);
      saved.checkpoint = size;
    });
  }

  function saveReceiptFor(rows: number): Promise<void> {
    return receiptWrites(async () => {
      if (receipt === undefined || saved.receipt >= rows) return;
      const newest = receipt;
      ({ keptS: saved.keptS } = await saveReceipt(disk, newest, saved.keptS));
      saved.receipt = newest.size;
    });
  }

  async function saveNotes(): Promise<void> {
    await saveCheckpoint();
    await saveReceiptFor(receipt?.size ?? 0);
  }

  const isBehind = (): boolean => spool.stats().durableIndex > saved.checkpoint || (receipt?.size ?? 0) > saved.receipt;

  /** Writes the notes down within a second. */
  function saveSoon(): void {
    if (saving !== undefined || closing !== undefined) return;
    saving = (async () => {
      while (!ending.signal.aborted && isBehind()) {
        const pauseMs = savedAtMs + NOTES_EVERY_MS - clock.monotonicMs();
        if (pauseMs > 0) await clock.sleep(pauseMs, ending.signal);
        savedAtMs = clock.monotonicMs();
        try {
          await saveNotes();
          savingTrouble = false;
        } catch (thrown) {
          if (!savingTrouble) logger.warn({ log: id, error: describeThrown(thrown) }, 'a checkpoint could not be kept');
          savingTrouble = true;
        }
      }
    })()
      // The pause was cut short: the log is closing and writes its last notes itself.
      .catch(() => undefined)
      .finally(() => {
        saving = undefined;
      });
  }

  async function saveLastNotes(): Promise<void> {
    ending.abort();
    await saving;
    await saveNotes();
    await shelf.settle();
  }

  function appendTo(template: RowTemplate, values: RowValues): Promise<Recorded> {
    return new Promise((resolve, reject) => {
      if (template.log !== id) throw new WeirError('invalid_argument', 'the template belongs to another log');
      checkValues(values);
      spool.append(template.maxBytes, (target, at, index) => writeRow(target, at, template, values, index), {
        resolve: (index, leaf) => resolve({ id: values.id, log: id, index, code: values.code, leaf }),
        reject,
      });
    });
  }

  function fitted(row: RowConstants & RowValues): RowTemplate {
    // Most rows list nothing that could be left out: measuring them would only write them out twice.
    if (row.rules.length === 0 && row.hidden.length === 0) return rowTemplate(origin, row);
    return rowTemplate(origin, fitRow({ ...row, ...origin, v: ROW_VERSION, index: Number.MAX_SAFE_INTEGER }));
  }

  return {
    id,
    vkey: signer.vkey,
    binding,
    torn: found.torn,
    append: async (draft) => appendTo(fitted(draft), draft),
    template: (constants) => fitted({ ...constants, ...LONGEST_VALUES }),
    appendTo,
    stats() {
      const stats = spool.stats();
      return { log: id, ...stats, ...gauge.room(stats) };
    },
    async oldestUnreceipted() {
      const index = spool.stats().acknowledged;
      const { rows } = await reader.read(index, 1, 1);
      const [bytes] = rows;
      if (bytes === undefined) return undefined;
      const row = parse(bytes);
      const hasTime = typeof row === 'object' && row !== null && 'time' in row && typeof row.time === 'string';
      return { index, time: hasTime ? String(row.time) : '' };
    },
    read: (from, maxRows, maxBytes) => reader.read(from, maxRows, maxBytes),
    findByCode: (code) => reader.findByCode(code),
    waitFor(index, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(signal.reason as Error);
          return;
        }
        const { durableIndex, state } = spool.stats();
        if (index < durableIndex) {
          resolve();
          return;
        }
        if (state === 'retired' || state === 'closed') {
          reject(new WeirError('cancelled', 'the audit log takes no more rows'));
          return;
        }
        const entry: Waiting = {
          index,
          settle(error) {
            waiting.delete(entry);
            signal.removeEventListener('abort', abort);
            if (error === undefined) resolve();
            else reject(error);
          },
        };
        const abort = (): void => entry.settle(signal.reason as Error);
        signal.addEventListener('abort', abort, { once: true });
        waiting.add(entry);
      });
    },
    checkpointAt,
    rootAt: rootOf,
    async edgeAt(size) {
      checkSize(size);
      const subtrees: Buffer[] = [];
      let at = 0;
      for (let level = Math.floor(Math.log2(Math.max(1, size))); level >= 0; level -= 1) {
        const width = 2 ** level;
        if (at + width > size) continue;
        subtrees.push(await shelf.nodes(level, at / width));
        at += width;
      }
      return TreeEdge.decode(size, Buffer.concat(subtrees));
    },
    async consistency(oldSize, newSize) {
      checkSize(newSize);
      return consistencyProof(oldSize, newSize, shelf.nodes);
    },
    async inclusion(index, size) {
      checkSize(size);
      return inclusionProof(size, index, shelf.nodes);
    },
    async leaves(from, limit) {
      absorb();
      const leaves: Buffer[] = [];
      const end = Math.min(from + limit, tree.size);
      for (let at = from; at < end; ) {
        const tile = await shelf.read(0, Math.floor(at / TILE_WIDTH));
        const tileEnd = Math.min(end, at - (at % TILE_WIDTH) + TILE_WIDTH);
        for (; at < tileEnd; at += 1) {
          const start = (at % TILE_WIDTH) * HASH_BYTES;
          leaves.push(tile.subarray(start, start + HASH_BYTES));
        }
      }
      return leaves;
    },
    receipt: () => receipt,
    async acknowledge(newest) {
      if (newest.size <= spool.stats().acknowledged || closing !== undefined) return;
      checkSize(newest.size);
      if (newest.size > (receipt?.size ?? 0)) receipt = newest;
      const dropping = spool.acknowledge(newest.size);
      gauge.note(depth);
      saveSoon();
      await dropping;
    },
    withhold: (from) => spool.withhold(from),
    refuse: (error) => spool.refuse(error),
    async retire() {
      await spool.retire();
      for (const each of waiting) each.settle(new WeirError('cancelled', 'the audit log takes no more rows'));
      await saveNotes();
      return spool.stats().durableIndex;
    },
    async drop() {
      if (spool.stats().state !== 'retired')
        throw new WeirError('conflict', 'only a retired log can do without its rows');
      await saveNotes();
      await shelf.keep(tree.size);
      for (const name of await disk.list()) if (segmentSequence(name) !== undefined) await disk.remove(name);
    },
    close() {
      closing ??= (async () => {
        await spool.close();
        for (const each of waiting) each.settle(new WeirError('cancelled', 'the audit log was closed'));
        try {
          await saveLastNotes();
        } finally {
          await disk.close();
        }
      })();
      return closing;
    },
  };
}

/** Runs what it is given one after the other, whatever becomes of it. */
function createTurns(): (work: () => Promise<void>) => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return (work) => {
    last = last.catch(() => undefined).then(work);
    return last;
  };
}

interface Waiting {
  readonly index: number;
  settle(error?: Error): void;
}

async function nameOf(options: AuditLogOptions): Promise<string> {
  const { disk, unit, spoke, worker } = options;
  const stored = await disk.load(NAME_FILE);
  if (stored !== undefined) {
    const id = logIdIn(stored);
    const parts = id === undefined ? undefined : parseLogId(id);
    if (id === undefined || parts === undefined) throw damagedFile(NAME_FILE, 'damaged_file');
    if (parts.unit !== unit || parts.spoke !== spoke || parts.worker !== worker) {
      // The folder of another is refused; one that damage has given another's name is not.
      if ((await logSigned(disk))?.startsWith(`${unit}.${spoke}.${worker}.`) === true)
        throw damagedFile(NAME_FILE, 'damaged_file');
      throw new WeirError('conflict', `this folder holds the audit log ${id}`, {
        next: 'give every unit, spoke and worker a folder of its own',
      });
    }
    return id;
  }
  if (await hasBegun(disk)) throw damagedFile(NAME_FILE, 'missing_file');
  // A UUIDv7 begins with its time: epochs of one worker sort by age, and none is ever made twice.
  const digits = options.random.uuid().replaceAll('-', '');
  const id = formatLogId({ unit, spoke, worker, epoch: digits.slice(0, 12) + digits.slice(-8) });
  if (parseLogId(id) === undefined) throw new WeirError('invalid_argument', `${id} cannot name an audit log`);
  await disk.replace(NAME_FILE, Buffer.from(`${JSON.stringify({ v: 1, log: id })}\n`));
  return id;
}

/** The id in a `log.json`, undefined when there is none. */
export function logIdIn(bytes: Uint8Array): string | undefined {
  const value = parse(bytes);
  return typeof value === 'object' && value !== null && 'log' in value && typeof value.log === 'string'
    ? value.log
    : undefined;
}

/** Whether anything was ever signed or recorded here. */
async function hasBegun(disk: Pick<SpoolDisk, 'list' | 'load' | 'read'>): Promise<boolean> {
  if ((await disk.load(CHECKPOINT_FILE)) !== undefined) return true;
  for (const name of await disk.list()) {
    // A segment's header is written with its first rows.
    if (name === RECEIPT_FILE || (name.endsWith('.seg') && (await disk.read(name, 0, 64)).some((byte) => byte !== 0))) {
      return true;
    }
  }
  return false;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}
