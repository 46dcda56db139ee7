// The durable row spool of one log. Appends that arrive while a batch is being written form the next batch; an append
// resolves only when its bytes are durable. Any failed or short write latches the spool into refusing: after it nobody can
// know what the file holds, and an unrecorded decision must not leave. Full is refused at once and passes when space is freed.

import { ROW_BYTES_MAX } from '@weir/shared/audit/row.ts';
import { WeirError, asWeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import { RECORD_HEADER_BYTES, sealRecord } from './record.ts';
import { type Recovered, type SegmentExtent, segmentName } from './recover-segments.ts';
import { OFFSET_EVERY, SEGMENT_HEADER_BYTES, segmentHeader } from './segment.ts';
import type { SpoolDisk, SpoolFile } from './spool-disk.ts';

export interface SpoolLimits {
  /** Size of one preallocated segment. */
  readonly segmentBytes: number;
  /** All segments together; reached, appends are refused until the hub has acknowledged a whole segment. */
  readonly totalBytes: number;
  /** Acknowledged rows kept for local questions, as long as nothing else needs the space. */
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
  readonly state: 'open' | 'full' | 'failed' | 'closed';
  /** Index the next append gets. */
  readonly nextIndex: number;
  /** Every row below is durable. */
  readonly durableIndex: number;
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
  /** Rows below this index are the hub's. */
  readonly acknowledged: number;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Called after each batch with the index below which every row is durable. */
  readonly onDurable: (durableIndex: number) => void;
}

/** Writes the bytes of the row with this index at `at` and returns how many they are. */
export type RowEncoder = (target: Buffer, at: number, index: number) => number;

export interface Waiter {
  readonly resolve: (index: number) => void;
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
}

export class Spool {
  readonly #disk: SpoolDisk;
  readonly #limits: SpoolLimits;
  readonly #logDigest: Uint8Array;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #onDurable: (durableIndex: number) => void;

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
  #removals: Promise<unknown> = Promise.resolve();
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
    this.#used = found.used;
    this.#nextIndex = found.nextIndex;
    this.#durableIndex = found.nextIndex;
    const all = [...found.used, ...found.blank];
    this.#sequence = all.at(-1)?.sequence ?? first.sequence;
    this.#allocatedBytes = all.reduce((sum, each) => sum + each.size, 0);
    this.#slot = { extent: first, file: disk.open(first.name) };
    this.#fill = first.end;
    const spare = found.blank.find((each) => each !== first);
    if (spare !== undefined) this.#spare = { extent: spare, file: disk.open(spare.name) };
  }

  /** Opens a recovered and repaired folder for appending; allocates the first segment when there is none. */
  static async open(disk: SpoolDisk, options: SpoolOptions): Promise<Spool> {
    const { found, limits } = options;
    if (limits.segmentBytes < SEGMENT_BYTES_MIN || limits.totalBytes < 2 * limits.segmentBytes) {
      throw new WeirError('invalid_argument', 'a spool needs room for two segments of at least 64 KiB');
    }
    let first = found.used.at(-1) ?? found.blank[0];
    if (first === undefined) {
      first = blankExtent(1, limits.segmentBytes);
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
    await spool.acknowledge(options.acknowledged);
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

  /** Every row below `nextIndex` is the hub's: whole segments below it may go when their space or the limit asks for it. */
  async acknowledge(nextIndex: number): Promise<void> {
    this.#acknowledged = Math.max(this.#acknowledged, Math.min(nextIndex, this.#durableIndex));
    const done = this.#used.filter((each) => each.nextIndex <= this.#acknowledged);
    let kept = done.reduce((sum, each) => sum + each.size, 0);
    while (kept > this.#limits.keepBytes) {
      const freed = this.#dropOldest();
      if (freed === 0) break;
      kept -= freed;
    }
    if (this.#spare === undefined) this.#allocateAhead();
    await this.#removals;
  }

  /** Latched into refusing: what the last segment holds after its durable rows is unknown. */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  stats(): SpoolStats {
    const pending = this.#pendingBytes;
    const used = this.#used.reduce((sum, each) => sum + each.end, 0);
    const reclaimable = this.#limits.totalBytes - this.#allocatedBytes;
    const spare = this.#spare === undefined ? 0 : this.#spare.extent.size;
    return {
      state: this.#closed ? 'closed' : this.#failure !== undefined ? 'failed' : this.#full ? 'full' : 'open',
      nextIndex: this.#nextIndex,
      durableIndex: this.#durableIndex,
      firstIndex: this.#used[0]?.firstIndex ?? this.#durableIndex,
      usedBytes: used,
      freeBytes: Math.max(0, this.#slot.extent.size - this.#fill) + spare + Math.max(0, reclaimable),
      segments: this.#used.length,
      pendingBytes: pending,
      batches: this.#batches,
      refused: this.#refused,
      reason: this.#failure?.message ?? (this.#full ? this.#fullError().message : ''),
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
    };
    if (this.#fill === 0) {
      // The header travels with the segment's first rows: a blank segment costs no write and a torn one no row.
      batch.slot.extent.firstIndex = this.#nextIndex;
      batch.slot.extent.nextIndex = this.#nextIndex;
      segmentHeader(this.#nextIndex, this.#logDigest).copy(batch.buffer);
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

  /** Begins to allocate the segment after the current one, unless the limit or a recent failure forbids it. */
  #allocateAhead(): void {
    const size = this.#limits.segmentBytes;
    if (this.#closed) return;
    while (this.#allocatedBytes + size > this.#limits.totalBytes) if (this.#dropOldest() === 0) return;
    if (this.#shortage !== undefined && this.#clock.monotonicMs() - this.#shortage.atMs < ALLOCATION_RETRY_MS) return;
    this.#sequence += 1;
    this.#allocatedBytes += size;
    const extent = blankExtent(this.#sequence, size);
    // In order and none after a failed one: a missing segment in the middle would read as damage.
    const file = this.#allocation.then(async () => {
      await this.#removals;
      await this.#disk.allocate(extent.name, size);
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

  /** Drops the oldest segment if the hub has all of it; how many bytes that frees, 0 when it must stay. */
  #dropOldest(): number {
    const oldest = this.#used[0];
    // The newest segment with rows stays in any case: it says where the log stands.
    if (oldest === undefined || this.#used.length < 2 || oldest.nextIndex > this.#acknowledged) return 0;
    this.#used.shift();
    this.#allocatedBytes -= oldest.size;
    // A file that cannot be removed holds rows the hub has: it is met again, and tried again, at the next start.
    const removing = this.#disk.remove(oldest.name).catch(() => undefined);
    this.#removals = Promise.all([this.#removals, removing]);
    return oldest.size;
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
        const written = await file.write(batch.buffer.subarray(0, batch.length), batch.offset);
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
    for (const [position, waiter] of batch.waiters.entries()) waiter.resolve(batch.firstIndex + position);
    this.#onDurable(this.#durableIndex);
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
