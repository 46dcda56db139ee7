// The durable row spool of one log. Appends that arrive while a batch is being written form the next batch; an append
// resolves only when its bytes are durable. Any failed or short write latches the spool into refusing: after it nobody can
// know what the file holds, and an unrecorded decision must not leave. Full is refused at once and passes when space is freed.

import { ROW_BYTES_MAX } from '@weir/shared/audit/row.ts';
import { WeirError, asWeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import { RECORD_HEADER_BYTES, leavesOf, sealRecord } from './record.ts';
import { type Recovered, type SegmentExtent, segmentName } from './recover-segments.ts';
import { OFFSET_EVERY, SEGMENT_HEADER_BYTES, segmentHeader } from './segment.ts';
import type { SpoolDisk, SpoolFile } from './spool-disk.ts';

export interface SpoolLimits {
  /** Size of one preallocated segment. */
  readonly segmentBytes: number;
  /** All segments together; reached, appends are refused until the hub has acknowledged a whole segment. */
  readonly totalBytes: number;
  /** Receipted rows kept for local questions, as long as nothing else needs the space; and one segment more. */
  readonly keepBytes: number;
  /** Rows waiting in memory for their batch, in bytes. */
  readonly pendingBytes: number;
}

export const SPOOL_LIMITS: SpoolLimits = {
  segmentBytes: 64 << 20,
  totalBytes: 1 << 30,
  keepBytes: 256 << 20,
  pendingBytes: 8 << 20,
};

/** Segments below this size would spend themselves on rolling. */
export const SEGMENT_BYTES_MIN = 64 << 10;

/** Pause after a failed allocation before the next attempt. */
const ALLOCATION_RETRY_MS = 1_000;
const BATCH_BYTES_START = 64 << 10;
/** A batch buffer above this is dropped after use instead of being kept for the next batch. */
const BATCH_BYTES_KEPT = 2 << 20;

export interface SpoolStats {
  /** retired: takes no more rows, by decision; the others may pass or end with the process. */
  readonly state: 'open' | 'full' | 'failed' | 'retired' | 'closed';
  /** Index the next append gets. */
  readonly nextIndex: number;
  /** Every row below is durable. */
  readonly durableIndex: number;
  /** The hub has receipted every row below, and not been found without it since. */
  readonly acknowledged: number;
  /** Oldest row still on disk. */
  readonly firstIndex: number;
  readonly usedBytes: number;
  readonly freeBytes: number;
  readonly segments: number;
  readonly pendingBytes: number;
  readonly batches: number;
  readonly refused: number;
  /** Why it refuses, '' while it does not. */
  readonly reason: string;
  /** Bytes of durable rows that the hub has not receipted, to within a few hundred rows. */
  readonly unreceiptedBytes: number;
  readonly limitBytes: number;
}

/** A segment to append to; `file` rejects when it could not be allocated. */
interface Slot {
  readonly extent: SegmentExtent;
  readonly file: Promise<SpoolFile>;
}

/** Where appends went before a new segment was begun: the place to go back to when that segment cannot be had. */
interface Place {
  readonly slot: Slot;
  readonly fill: number;
}

export interface SpoolOptions {
  readonly found: Recovered;
  readonly logDigest: Uint8Array;
  readonly limits: SpoolLimits;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Bytes that other logs take of the same limit. */
  readonly elsewhereBytes: () => number;
  /** Takes no rows from the beginning: opened to be read. */
  readonly retired: boolean;
  /** Called after each batch with the index below which every row is durable, and the leaf hashes of the batch's rows. */
  readonly onDurable: (durableIndex: number, leaves: readonly Buffer[]) => void;
  /** Called when a write has been handed to the disk, and when nothing is left to write: time for work that can wait. */
  readonly meanwhile: () => void;
  /** Called before rows below `until` go: resolves once all is durable that must outlive them. When it rejects they stay. */
  readonly beforeRemoval: (until: number) => Promise<void>;
}

/** Writes the bytes of the row with this index at `at` and returns how many they are. */
export type RowEncoder = (target: Buffer, at: number, index: number) => number;

export interface Waiter {
  readonly resolve: (index: number, leaf: Buffer) => void;
  readonly reject: (error: WeirError) => void;
}

interface Batch {
  readonly slot: Slot;
  /** Where in the segment it goes. */
  readonly offset: number;
  readonly firstIndex: number;
  /** Set on the first batch of a segment. */
  before: Place | undefined;
  buffer: Buffer;
  length: number;
  readonly waiters: Waiter[];
  /** Offsets of rows that begin a stretch of `OFFSET_EVERY`, to be published once durable. */
  readonly offsets: number[];
  /** Leaf hashes of its rows, once it has been handed to the disk. */
  leaves: readonly Buffer[];
}

/** In place of a file that nothing is written to. */
const NO_FILE: SpoolFile = { write: () => Promise.resolve(0), close: () => Promise.resolve() };

export class Spool {
  readonly #disk: SpoolDisk;
  readonly #limits: SpoolLimits;
  readonly #logDigest: Uint8Array;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #onDurable: SpoolOptions['onDurable'];
  readonly #meanwhile: SpoolOptions['meanwhile'];
  readonly #beforeRemoval: SpoolOptions['beforeRemoval'];
  readonly #elsewhereBytes: SpoolOptions['elsewhereBytes'];

  /** Segments with durable rows, oldest first. */
  readonly #used: SegmentExtent[];
  /** Where appends go: the segment and the offset after its last assigned row. */
  #slot: Slot;
  #fill: number;
  /** The next segment, allocated or being allocated. */
  #spare: Slot | undefined;
  /** Why and when the last allocation failed; appends that need a new segment are refused meanwhile. */
  #shortage: { readonly error: WeirError; readonly atMs: number } | undefined;
  #allocation: Promise<unknown> = Promise.resolve();
  /** Removals, one after the other, oldest segment first. */
  #removals: Promise<void> = Promise.resolve();
  /** The file of a segment that has left the log, until it is known to be gone. */
  #unremoved: string | undefined;
  /** Segments at the front of `used` that are about to go. */
  #leaving = 0;
  #sequence: number;
  #allocatedBytes: number;

  #nextIndex: number;
  #durableIndex: number;
  #acknowledged = 0;
  #queue: Batch[] = [];
  #open: Batch | undefined;
  #pendingBytes = 0;
  #writing: Promise<void> | undefined;
  #free: Buffer[] = [];
  #failure: WeirError | undefined;
  #closed = false;
  #retired = false;
  #batches = 0;
  #refused = 0;
  #full = false;

  private constructor(disk: SpoolDisk, options: SpoolOptions, first: SegmentExtent) {
    const { found } = options;
    this.#disk = disk;
    this.#limits = options.limits;
    this.#logDigest = options.logDigest;
    this.#clock = options.clock;
    this.#onDurable = options.onDurable;
    this.#meanwhile = options.meanwhile;
    this.#beforeRemoval = options.beforeRemoval;
    this.#elsewhereBytes = options.elsewhereBytes;
    this.#retired = options.retired;
    this.#used = found.used;
    this.#nextIndex = found.nextIndex;
    this.#durableIndex = found.nextIndex;
    const all = [...found.used, ...found.blank];
    this.#sequence = all.at(-1)?.sequence ?? first.sequence;
    this.#allocatedBytes = all.reduce((sum, each) => sum + each.size, 0);
    this.#slot = { extent: first, file: options.retired ? Promise.resolve(NO_FILE) : disk.open(first.name) };
    this.#fill = first.end;
    const spare = found.blank.find((each) => each !== first);
    if (spare !== undefined && !options.retired) this.#spare = { extent: spare, file: disk.open(spare.name) };
  }

  /** Opens a recovered and repaired folder for appending; allocates the first segment when there is none. Next: `acknowledge`. */
  static async open(disk: SpoolDisk, options: SpoolOptions): Promise<Spool> {
    const { found, limits } = options;
    if (limits.segmentBytes < SEGMENT_BYTES_MIN || limits.totalBytes < 2 * limits.segmentBytes) {
      throw new WeirError('invalid_argument', 'a spool needs room for two segments of at least 64 KiB');
    }
    let first = found.used.at(-1) ?? found.blank[0];
    if (first === undefined) {
      first = blankExtent(1, limits.segmentBytes);
      if (options.retired) return new Spool(disk, options, first);
      await disk.allocate(first.name, first.size);
      found.blank.push(first);
    }
    // More than one blank segment is left behind only by a crash between two allocations.
    for (const extra of found.blank
      .filter((each) => each !== first)
      .slice(1)
      .toReversed()) {
      await disk.remove(extra.name);
      found.blank.pop();
    }
    const spool = new Spool(disk, options, first);
    await Promise.all([spool.#slot.file, spool.#spare?.file]);
    return spool;
  }

  /**
   * Appends one row of at most `maxBytes` bytes: `encode` gets the row's index, writes its canonical bytes and returns their
   * number. Never throws; `waiter` hears of the end once. It resolves with the index when the row is durable, and rejects with
   * `resource_exhausted` (full: at once), `spool_failed` (latched), `too_large`, or what `encode` throws; after a rejection
   * other than `spool_failed` the row is certainly not in the log.
   */
  append(maxBytes: number, encode: RowEncoder, waiter: Waiter): void {
    try {
      this.#place(maxBytes, encode, waiter);
    } catch (thrown) {
      this.#refused += 1;
      waiter.reject(asWeirError(thrown, 'internal', 'the row could not be encoded'));
    }
  }

  /** Segments with durable rows, oldest first: a live view for readers. */
  segments(): readonly SegmentExtent[] {
    return this.#used;
  }

  /** The hub has receipted every row below `nextIndex`: whole segments below it may go when their space or the limit asks for it. */
  async acknowledge(nextIndex: number): Promise<void> {
    this.#acknowledged = Math.max(this.#acknowledged, Math.min(nextIndex, this.#durableIndex));
    if (this.#spare === undefined) this.#allocateAhead();
    // One more is kept, to be made into the next segment.
    const { keepBytes, segmentBytes } = this.#limits;
    while (this.#keptBytes() > keepBytes + segmentBytes && this.#droppable() !== undefined) this.#dropOldest();
    await this.#removals;
  }

  /** Rows from `from` on stay until they are acknowledged again; what is on its way out goes. */
  withhold(from: number): void {
    this.#acknowledged = Math.min(this.#acknowledged, from);
  }

  /** Takes no more rows: those accepted become durable (or fail), the files are let go. Reading and dropping go on. */
  async retire(): Promise<void> {
    if (this.#retired) return;
    this.#retired = true;
    await this.#writing;
    const spare = this.#spare;
    this.#spare = undefined;
    await closeQuietly(this.#slot);
    if (spare === undefined) return;
    await closeQuietly(spare);
    // Nothing will ever be written to it; should it stay, it holds room and no rows.
    await this.#disk.remove(spare.extent.name).catch(() => undefined);
  }

  /** Latched into refusing: what the last segment holds after its durable rows is unknown. */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  stats(): SpoolStats {
    const pending = this.#pendingBytes;
    const used = this.#used.reduce((sum, each) => sum + each.end, 0);
    const reclaimable = this.#limits.totalBytes - this.#plannedBytes();
    const spare = this.#spare === undefined ? 0 : this.#spare.extent.size;
    return {
      state: this.#closed
        ? 'closed'
        : this.#retired
          ? 'retired'
          : this.#failure !== undefined
            ? 'failed'
            : this.#full
              ? 'full'
              : 'open',
      nextIndex: this.#nextIndex,
      durableIndex: this.#durableIndex,
      acknowledged: this.#acknowledged,
      firstIndex: this.#used[0]?.firstIndex ?? this.#durableIndex,
      usedBytes: used,
      freeBytes: Math.max(0, this.#slot.extent.size - this.#fill) + spare + Math.max(0, reclaimable),
      segments: this.#used.length,
      pendingBytes: pending,
      batches: this.#batches,
      refused: this.#refused,
      reason: this.#failure?.message ?? (this.#full ? this.#fullError().message : ''),
      unreceiptedBytes: this.#used.reduce((sum, each) => sum + bytesFrom(each, this.#acknowledged), 0),
      limitBytes: this.#limits.totalBytes,
    };
  }

  /** Latches into refusing for a reason found outside, such as a hub that holds other rows than this folder. */
  refuse(error: WeirError): void {
    this.#failure ??= error;
  }

  /** Refuses new appends, waits until everything accepted is durable (or has failed), and closes the files. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#writing;
    await this.#removals;
    for (const slot of [this.#slot, this.#spare]) if (slot !== undefined) await closeQuietly(slot);
  }

  #place(maxBytes: number, encode: RowEncoder, waiter: Waiter): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) throw new WeirError('spool_failed', 'the audit spool is closed');
    if (this.#retired) throw new WeirError('conflict', 'this audit log takes no more rows', { retry: 'now' });
    if (this.#pendingBytes > this.#limits.pendingBytes) {
      throw new WeirError('resource_exhausted', 'too many rows wait for the disk', { retry: 'now' });
    }
    const index = this.#nextIndex;
    let batch = this.#open ?? this.#startBatch();
    let start = batch.length;
    reserve(batch, RECORD_HEADER_BYTES + maxBytes);
    const length = encode(batch.buffer, start + RECORD_HEADER_BYTES, index);
    if (length > ROW_BYTES_MAX || length === 0) {
      throw new WeirError('too_large', `a row has 1 to ${ROW_BYTES_MAX} bytes`);
    }
    const size = RECORD_HEADER_BYTES + length;
    if (batch.offset + start + size > batch.slot.extent.size) {
      const bytes = batch.buffer.subarray(start + RECORD_HEADER_BYTES, start + size);
      batch = this.#startBatchInNextSegment();
      start = batch.length;
      reserve(batch, size);
      bytes.copy(batch.buffer, start + RECORD_HEADER_BYTES);
    }
    sealRecord(batch.buffer, start, { length, index, batchPosition: index - batch.firstIndex });
    const { extent } = batch.slot;
    if ((index - extent.firstIndex) % OFFSET_EVERY === 0) batch.offsets.push(batch.offset + start);
    batch.length = start + size;
    batch.waiters.push(waiter);
    if (this.#open === undefined) {
      this.#open = batch;
      this.#queue.push(batch);
    }
    this.#full = false;
    this.#fill = batch.offset + batch.length;
    this.#pendingBytes += size;
    this.#nextIndex = index + 1;
    this.#writing ??= this.#write();
  }

  #startBatch(before?: Place): Batch {
    const batch: Batch = {
      slot: this.#slot,
      offset: this.#fill,
      firstIndex: this.#nextIndex,
      before,
      buffer: this.#free.pop() ?? Buffer.allocUnsafe(BATCH_BYTES_START),
      length: 0,
      waiters: [],
      offsets: [],
      leaves: [],
    };
    if (this.#fill === 0) {
      // The header travels with the segment's first rows: a blank segment costs no write and a torn one no row.
      batch.slot.extent.firstIndex = this.#nextIndex;
      batch.slot.extent.nextIndex = this.#nextIndex;
      segmentHeader(this.#nextIndex, this.#logDigest, batch.slot.extent.size).copy(batch.buffer);
      batch.length = SEGMENT_HEADER_BYTES;
    }
    return batch;
  }

  #startBatchInNextSegment(): Batch {
    if (this.#spare === undefined) this.#allocateAhead();
    const next = this.#spare;
    if (next === undefined) {
      this.#full = true;
      throw this.#fullError();
    }
    const before = { slot: this.#slot, fill: this.#fill };
    this.#spare = undefined;
    this.#open = undefined;
    this.#slot = next;
    this.#fill = 0;
    const batch = this.#startBatch(before);
    this.#allocateAhead();
    return batch;
  }

  /**
   * Begins to make the segment after the current one, unless the limit or a recent failure forbids it: out of the oldest one
   * when that may go, which needs no room on the disk, else anew.
   */
  #allocateAhead(): void {
    const size = this.#limits.segmentBytes;
    if (this.#closed || this.#retired) return;
    if (this.#shortage !== undefined && this.#clock.monotonicMs() - this.#shortage.atMs < ALLOCATION_RETRY_MS) return;
    const isTight = (): boolean => this.#plannedBytes() + size > this.#limits.totalBytes;
    const recycled = this.#droppable()?.size === size && (isTight() || this.#keptBytes() > this.#limits.keepBytes);
    if (recycled) this.#leaving += 1;
    while (isTight()) {
      if (this.#droppable() === undefined) return;
      this.#dropOldest();
    }
    this.#sequence += 1;
    this.#allocatedBytes += size;
    const extent = blankExtent(this.#sequence, size);
    // In order and none after a failed one: a missing segment in the middle would read as damage.
    const file = this.#allocation.then(async () => {
      if (recycled) await this.#inTurn(() => this.#recycle(extent));
      else await this.#removals.then(() => this.#disk.allocate(extent.name, size));
      return this.#disk.open(extent.name);
    });
    const slot: Slot = { extent, file };
    this.#spare = slot;
    this.#allocation = file;
    void this.#followAllocation(slot);
  }

  async #followAllocation(slot: Slot): Promise<void> {
    try {
      await slot.file;
      this.#shortage = undefined;
    } catch (thrown) {
      this.#allocationFailed(slot, thrown);
    }
  }

  /** Bytes of segments, without those that are about to go; those of other logs that share the limit count too. */
  #plannedBytes(): number {
    const all = this.#allocatedBytes + this.#elsewhereBytes();
    return this.#used.slice(0, this.#leaving).reduce((sum, each) => sum - each.size, all);
  }

  /** Bytes of receipted segments that are not about to go. */
  #keptBytes(): number {
    const isKept = (each: SegmentExtent): boolean => each.nextIndex <= this.#acknowledged;
    return this.#used.slice(this.#leaving).reduce((sum, each) => (isKept(each) ? sum + each.size : sum), 0);
  }

  /** The oldest segment, if the hub has receipted all of it. The newest one with rows stays: it says where the log stands. */
  #droppable(): SegmentExtent | undefined {
    const oldest = this.#used[this.#leaving];
    const isSpared = oldest === undefined || this.#leaving + 1 >= this.#used.length;
    return isSpared || oldest.nextIndex > this.#acknowledged ? undefined : oldest;
  }

  #dropOldest(): void {
    this.#leaving += 1;
    const removing = this.#inTurn(async () => {
      const { name } = await this.#takeOldest();
      await this.#disk.remove(name);
      this.#unremoved = undefined;
    });
    // What cannot be removed holds rows that the hub has receipted: it is met again, and tried again.
    removing.catch(() => undefined);
  }

  async #recycle(extent: SegmentExtent): Promise<void> {
    const oldest = await this.#takeOldest();
    if (oldest.size === extent.size) {
      await this.#disk.recycle(oldest.name, extent.name, extent.size);
      this.#unremoved = undefined;
    } else {
      await this.#disk.remove(oldest.name);
      this.#unremoved = undefined;
      await this.#disk.allocate(extent.name, extent.size);
    }
  }

  /** The oldest segment leaves the log, when all that must outlive it is durable. */
  async #takeOldest(): Promise<SegmentExtent> {
    const [oldest] = this.#used;
    try {
      if (oldest === undefined) throw new WeirError('internal', 'there is no segment to remove');
      // A file that stays while later ones go would be a gap at the next start.
      if (this.#unremoved !== undefined) await this.#disk.remove(this.#unremoved);
      this.#unremoved = undefined;
      await this.#beforeRemoval(oldest.nextIndex);
      this.#used.shift();
      this.#allocatedBytes -= oldest.size;
      this.#unremoved = oldest.name;
      return oldest;
    } finally {
      this.#leaving -= 1;
    }
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#removals.then(work);
    this.#removals = done.catch(() => undefined);
    return done;
  }

  #allocationFailed(slot: Slot, thrown: unknown): void {
    this.#allocatedBytes -= slot.extent.size;
    this.#sequence = Math.min(this.#sequence, slot.extent.sequence - 1);
    if (this.#spare === slot) this.#spare = undefined;
    this.#allocation = Promise.resolve();
    const error = new WeirError('resource_exhausted', 'the audit spool cannot get more room on the disk', {
      cause: thrown,
      retry: 'later',
      next: 'make room on the disk; the spool goes on by itself',
      internal: { segment: slot.extent.name, thrown: describeThrown(thrown) },
    });
    this.#shortage = { error, atMs: this.#clock.monotonicMs() };
  }

  #fullError(): WeirError {
    return (
      this.#shortage?.error ??
      new WeirError('resource_exhausted', 'the audit spool is full', {
        retry: 'later',
        next: 'check that the hub can be reached: rows leave the spool once it has them',
      })
    );
  }

  /** One batch at a time until nothing waits. */
  async #write(): Promise<void> {
    for (;;) {
      // Whatever the answers to the last batch cause to be appended in this turn joins the next one.
      await this.#disk.turn();
      const batch = this.#queue[0];
      if (batch === undefined || this.#failure !== undefined) break;
      let file: SpoolFile;
      try {
        file = await batch.slot.file;
      } catch {
        this.#goBack(batch);
        continue;
      }
      if (this.#open === batch) this.#open = undefined;
      try {
        const writing = file.write(batch.buffer.subarray(0, batch.length), batch.offset);
        // The disk is busy in a thread of its own: hashing costs no time on the way of a row.
        batch.leaves = leavesOf(batch.buffer, batch.offset === 0 ? SEGMENT_HEADER_BYTES : 0, batch.length);
        this.#meanwhile();
        const written = await writing;
        if (written !== batch.length) throw new Error(`wrote ${written} of ${batch.length} bytes`);
      } catch (thrown) {
        this.#failure ??= new WeirError('spool_failed', 'the audit spool could not be written', {
          cause: thrown,
          next: 'free or replace the disk, then restart this spoke',
          internal: { segment: batch.slot.extent.name, offset: batch.offset, thrown: describeThrown(thrown) },
        });
        break;
      }
      this.#queue.shift();
      this.#settle(batch);
    }
    this.#writing = undefined;
    this.#meanwhile();
    if (this.#failure !== undefined) this.#rejectQueue(this.#failure);
  }

  /** The segment of this batch could not be allocated: nothing of it was written, its rows were never in the log. */
  #goBack(batch: Batch): void {
    this.#full = true;
    this.#nextIndex = batch.firstIndex;
    if (batch.before !== undefined) {
      this.#slot = batch.before.slot;
      this.#fill = batch.before.fill;
    }
    this.#rejectQueue(this.#fullError());
  }

  #settle(batch: Batch): void {
    const { extent } = batch.slot;
    if (this.#used.at(-1) !== extent) this.#used.push(extent);
    if (batch.before !== undefined) void closeQuietly(batch.before.slot);
    this.#batches += 1;
    this.#pendingBytes -= batch.length - (batch.offset === 0 ? SEGMENT_HEADER_BYTES : 0);
    this.#durableIndex = batch.firstIndex + batch.waiters.length;
    extent.nextIndex = this.#durableIndex;
    extent.end = batch.offset + batch.length;
    extent.offsets.push(...batch.offsets);
    if (batch.buffer.length <= BATCH_BYTES_KEPT && this.#free.length < 2) this.#free.push(batch.buffer);
    const { waiters, leaves, firstIndex } = batch;
    for (const [position, waiter] of waiters.entries())
      waiter.resolve(firstIndex + position, leaves[position] as Buffer);
    this.#onDurable(this.#durableIndex, leaves);
  }

  #rejectQueue(error: WeirError): void {
    const batches = this.#queue;
    this.#queue = [];
    this.#open = undefined;
    this.#pendingBytes = 0;
    for (const batch of batches) for (const waiter of batch.waiters) waiter.reject(error);
  }
}

function blankExtent(sequence: number, size: number): SegmentExtent {
  return { sequence, name: segmentName(sequence), size, firstIndex: 0, nextIndex: 0, end: 0, offsets: [] };
}

/** Bytes of a segment's rows from index `from` on, and at most those of one stretch more. */
function bytesFrom({ firstIndex, nextIndex, end, offsets }: SegmentExtent, from: number): number {
  if (from >= nextIndex) return 0;
  return from <= firstIndex ? end : end - (offsets[Math.floor((from - firstIndex) / OFFSET_EVERY)] ?? 0);
}

/** Makes room for `size` more bytes after the batch's length. */
function reserve(batch: Batch, size: number): void {
  const wanted = batch.length + size;
  if (wanted <= batch.buffer.length) return;
  const grown = Buffer.allocUnsafe(Math.max(wanted, batch.buffer.length * 2));
  batch.buffer.copy(grown, 0, 0, batch.length);
  batch.buffer = grown;
}

/** Everything in the file was durable before: failing to close it loses nothing. */
async function closeQuietly(slot: Slot): Promise<void> {
  await slot.file.then((file) => file.close()).catch(() => undefined);
}
