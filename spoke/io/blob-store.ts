// Verified artifacts on disk, by the SHA-256 of their bytes: `blobs/sha256/ab/<hex>`, with a journal of keys beside them.
//
// Durability: blobs and journal are not synced, because a lost cache entry costs one download. What a crash or a foreign
// hand leaves behind is found instead: temporary files and blobs without a key are removed at start, a journal line that
// does not parse is skipped, and the first use of every key after a start hashes the file again and compares it with the
// digests promised now; a file that does not match is removed and fetched anew.
//
// One folder has one keeper, which alone writes the journal and removes files. A store that is given a keeper only adds files
// and says so; its own picture of the folder is as good as the last word that it heard.

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import { type Blob, BlobIndex, type BlobIndexLimits } from './blob-index.ts';
import type { ByteSource } from './byte-source.ts';
import type { BlobKeeper, BlobNote } from './cache-share.ts';
import { type Disk, diskFault, isMissing, readWholeFile } from './disk.ts';
import { OpenFiles } from './open-files.ts';
import { PromiseCheck, type PromisedDigests } from './promise-check.ts';

export interface BlobStoreOptions {
  readonly folder: string;
  readonly disk: Disk;
  readonly limits: BlobIndexLimits & { readonly openFiles: number };
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Who keeps the folder when it is not this process. */
  readonly keeper?: BlobKeeper;
  /** Hears, as the keeper, of every change that others do not know of yet. */
  readonly onNote?: (note: BlobNote) => void;
}

/** Part of the cache that is given up when the disk is full before the cache is. */
const RELIEF_SHARE = 10;
/** The keeper sees to the limits. */
const UNLIMITED: BlobIndexLimits = { totalBytes: Number.POSITIVE_INFINITY, entries: Number.POSITIVE_INFINITY };
const HEX = /^[0-9a-f]{64}$/;
const JOURNAL_BYTES_MAX = 512 << 20;
const CHECK_CHUNK_BYTES = 1 << 20;
const SNAPSHOT_CHUNK_LINES = 5_000;

export class BlobStore {
  readonly index: BlobIndex;
  readonly #options: BlobStoreOptions;
  readonly #files: OpenFiles;
  readonly #journalPath: string;
  readonly #checks = new Map<string, Promise<boolean>>();
  readonly #removals = new Map<string, Promise<void>>();
  #journal: number | undefined;
  #lines: string[] = [];
  #writing: Promise<void> = Promise.resolve();
  #changedSinceSnapshot = false;
  /** Read since the keeper was last told. */
  readonly #used = new Set<string>();

  constructor(options: BlobStoreOptions) {
    this.#options = options;
    this.index = new BlobIndex(options.keeper === undefined ? options.limits : UNLIMITED);
    this.#files = new OpenFiles(options.disk, options.limits.openFiles);
    this.#journalPath = join(options.folder, 'index.jsonl');
  }

  /** Reads the journal, removes what it does not know, and writes it anew. @throws WeirError when the folder is unusable */
  async start(): Promise<void> {
    const { disk, folder, logger, keeper } = this.#options;
    try {
      await disk.makeFolder(this.temporaryFolder);
      await disk.makeFolder(join(folder, 'blobs', 'sha256'));
      if (keeper !== undefined) {
        keeper.listen((note) => this.#apply(note));
        this.#load(await readWholeFile(disk, this.#journalPath, JOURNAL_BYTES_MAX));
        this.#report();
        return;
      }
      for (const name of await disk.list(this.temporaryFolder)) await disk.remove(join(this.temporaryFolder, name));
      const skipped = this.#load(await readWholeFile(disk, this.#journalPath, JOURNAL_BYTES_MAX));
      const orphans = await this.#removeOrphans();
      if (skipped + orphans > 0) logger.warn({ skipped, orphans }, 'the artifact cache was not closed cleanly');
      await this.#snapshot();
    } catch (error) {
      throw diskFault(error);
    }
    this.#report();
  }

  get temporaryFolder(): string {
    return join(this.#options.folder, 'tmp');
  }

  /**
   * Opens the blob of a key for reading; undefined when there is none or what is there is not what was promised.
   * Its digest is checked on the first use after a start.
   */
  async open(key: string, promised: PromisedDigests): Promise<StoredBlob | undefined> {
    const blob = this.index.find(key);
    if (blob === undefined) return undefined;
    blob.pins += 1;
    try {
      if (!blob.checkedKeys.has(key) && !(await this.#checkOnce(key, blob, promised))) {
        blob.pins -= 1;
        return undefined;
      }
      const open = await this.#files.take(blob.hex, this.#pathOf(blob.hex));
      this.index.touch(blob);
      if (this.#options.keeper === undefined) this.#changedSinceSnapshot = true;
      else this.#used.add(blob.hex);
      return new StoredBlob(blob, open.file, this.#options.disk, () => {
        blob.pins -= 1;
        open.give();
      });
    } catch (error) {
      blob.pins -= 1;
      if (!this.#hasVanished(blob, error)) this.#discard(blob, describeThrown(error));
      return undefined;
    }
  }

  /** Sets room aside; @throws WeirError `resource_exhausted` when everything that is stored is being read */
  reserve(bytes: number): void | Promise<void> {
    if (this.#options.keeper !== undefined) return this.#options.keeper.reserve(bytes);
    const victims = this.index.reserve(bytes);
    if (victims === undefined) {
      throw new WeirError('resource_exhausted', 'the artifact cache has no room', {
        retry: 'later',
        next: 'raise the size of the cache',
        detail: { fault: 'cache_full', limit_bytes: this.#options.limits.totalBytes },
      });
    }
    this.#evicted(victims);
  }

  /** Ends a reservation: its bytes are stored now, or given up. */
  release(bytes: number): void {
    if (this.#options.keeper === undefined) this.index.release(bytes);
    else if (bytes > 0) this.#options.keeper.release(bytes);
  }

  /** Makes room on a disk that is full although the cache is not. */
  relieve(): void {
    if (this.#options.keeper === undefined) this.#evicted(this.index.shrink(this.index.storedBytes / RELIEF_SHARE));
    else this.#options.keeper.relieve();
  }

  /** As the keeper: another process has added a key with its file in place. */
  adopt(note: Extract<BlobNote, { kind: 'put' }>): void {
    this.#apply(note);
    this.#note(note);
    this.#report();
  }

  /** As the keeper: another process has read these. */
  touched(hexes: readonly string[]): void {
    for (const hex of hexes) {
      const blob = this.index.get(hex);
      if (blob !== undefined) this.index.touch(blob);
    }
    this.#changedSinceSnapshot = true;
  }

  /** As the keeper: a file is not what its name says. */
  discardDamaged(hex: string): void {
    const blob = this.index.get(hex);
    if (blob === undefined) return;
    this.index.drop(blob);
    this.#remove(blob);
    this.#report();
  }

  /** Moves a verified file into place under its digest and notes its key; consumes the temporary file. */
  async publish(key: string, hex: string, size: number, temporaryPath: string): Promise<void> {
    const { disk } = this.#options;
    if (this.index.has(hex)) {
      await disk.remove(temporaryPath);
    } else {
      await this.#removals.get(hex);
      await disk.makeFolder(join(this.#options.folder, 'blobs', 'sha256', hex.slice(0, 2)));
      await disk.rename(temporaryPath, this.#pathOf(hex));
    }
    this.index.put(key, hex, size).checkedKeys.add(key);
    const note = { kind: 'put', key, hex, size } as const;
    if (this.#options.keeper === undefined) this.#note(note);
    else this.#options.keeper.added(note);
    this.#report();
  }

  /** Writes the order of use down, if it changed. */
  async flush(): Promise<void> {
    if (this.#used.size > 0) this.#options.keeper?.used([...this.#used]);
    this.#used.clear();
    if (!this.#changedSinceSnapshot) return;
    this.#writing = this.#writing.then(() => this.#snapshot()).catch((error: unknown) => this.#journalFailed(error));
    await this.#writing;
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#writing;
    await Promise.all(this.#removals.values());
    this.#files.close();
    if (this.#journal !== undefined) await this.#options.disk.close(this.#journal);
    this.#journal = undefined;
  }

  #checkOnce(key: string, blob: Blob, promised: PromisedDigests): Promise<boolean> {
    const running = this.#checks.get(key);
    if (running !== undefined) return running;
    const check = this.#check(key, blob, promised).finally(() => this.#checks.delete(key));
    this.#checks.set(key, check);
    return check;
  }

  async #check(key: string, blob: Blob, promised: PromisedDigests): Promise<boolean> {
    let fault = '';
    try {
      fault = await this.#faultOf(blob, promised);
    } catch (error) {
      if (this.#hasVanished(blob, error)) return false;
      fault = describeThrown(error);
    }
    if (fault !== '') {
      this.#discard(blob, fault);
      return false;
    }
    blob.checkedKeys.add(key);
    return true;
  }

  /** Reads the whole file; '' when it is what its name, its size and the promises say. */
  async #faultOf(blob: Blob, promised: PromisedDigests): Promise<string> {
    const open = await this.#files.take(blob.hex, this.#pathOf(blob.hex));
    try {
      const check = new PromiseCheck(promised);
      const chunk = Buffer.allocUnsafeSlow(Math.min(CHECK_CHUNK_BYTES, blob.size + 1));
      let position = 0;
      for (;;) {
        const count = await this.#options.disk.read(open.file, chunk, position);
        if (count === 0) break;
        check.update(chunk.subarray(0, count));
        position += count;
        if (position > blob.size) break;
      }
      if (position !== blob.size) return 'its size has changed';
      const { sha256, mismatch } = check.finish();
      if (sha256 !== blob.hex) return 'its digest has changed';
      return mismatch === undefined ? '' : `it is not the artifact with the promised ${mismatch.algorithm}`;
    } finally {
      open.give();
    }
  }

  /** Under a keeper a file may go at any moment; whoever wanted it fetches it again. */
  #hasVanished(blob: Blob, error: unknown): boolean {
    if (this.#options.keeper === undefined || !isMissing(error)) return false;
    this.index.drop(blob);
    this.#files.forget(blob.hex);
    return true;
  }

  /** What another process did to the folder. */
  #apply(note: BlobNote): void {
    if (note.kind === 'put') {
      const known = this.index.get(note.hex);
      if (known !== undefined && known.size !== note.size) return;
      this.index.put(note.key, note.hex, note.size);
    } else {
      const blob = this.index.get(note.hex);
      if (blob !== undefined) this.index.drop(blob);
      this.#files.forget(note.hex);
    }
    this.#report();
  }

  #discard(blob: Blob, why: string): void {
    this.#options.metrics.count('weir_spoke_cache_corrupt_total');
    this.#options.logger.error({ digest: `sha256:${blob.hex}`, why }, 'a stored artifact is damaged and was removed');
    this.index.drop(blob);
    this.#remove(blob);
    this.#report();
  }

  #evicted(victims: readonly Blob[]): void {
    if (victims.length === 0) return;
    this.#options.metrics.count('weir_spoke_cache_evicted_total', {}, victims.length);
    for (const blob of victims) this.#remove(blob);
    this.#report();
  }

  #remove(blob: Blob): void {
    this.#files.forget(blob.hex);
    if (this.#options.keeper !== undefined) {
      this.#options.keeper.damaged(blob.hex);
      return;
    }
    this.#note({ kind: 'drop', hex: blob.hex });
    const removal = this.#options.disk
      .remove(this.#pathOf(blob.hex))
      .catch((error: unknown) => {
        this.#options.logger.error({ error: describeThrown(error) }, 'an evicted artifact could not be removed');
      })
      .finally(() => {
        if (this.#removals.get(blob.hex) === removal) this.#removals.delete(blob.hex);
      });
    this.#removals.set(blob.hex, removal);
  }

  #pathOf(hex: string): string {
    return join(this.#options.folder, 'blobs', 'sha256', hex.slice(0, 2), hex);
  }

  /** @returns lines that could not be used */
  #load(journal: Buffer | undefined): number {
    if (journal === undefined) return 0;
    let skipped = 0;
    const byHex = new Map<string, Blob>();
    for (const line of journal.toString('utf8').split('\n')) {
      if (line === '') continue;
      const entry = readLine(line);
      if (entry === undefined) {
        skipped += 1;
      } else if (entry.kind === 'put') {
        const known = byHex.get(entry.hex);
        if (known !== undefined && known.size !== entry.size) skipped += 1;
        else byHex.set(entry.hex, this.index.put(entry.key, entry.hex, entry.size));
      } else {
        const gone = byHex.get(entry.hex);
        if (gone !== undefined) this.index.drop(gone);
        byHex.delete(entry.hex);
      }
    }
    if (this.#options.keeper !== undefined) return skipped;
    // The limit may have been lowered since.
    const over = this.index.reserve(0) ?? [];
    this.#evicted(over);
    return skipped;
  }

  async #removeOrphans(): Promise<number> {
    const { disk, folder } = this.#options;
    const root = join(folder, 'blobs', 'sha256');
    let orphans = 0;
    for (const shard of await disk.list(root)) {
      if (!/^[0-9a-f]{2}$/.test(shard)) continue;
      for (const name of await disk.list(join(root, shard))) {
        if (!HEX.test(name) || this.index.has(name)) continue;
        await disk.remove(join(root, shard, name));
        orphans += 1;
      }
    }
    return orphans;
  }

  #note(note: BlobNote): void {
    this.#options.onNote?.(note);
    this.#changedSinceSnapshot = true;
    this.#lines.push(JSON.stringify(note.kind === 'put' ? ['+', note.key, note.hex, note.size] : ['-', note.hex]));
    if (this.#lines.length > 1) return;
    this.#writing = this.#writing.then(() => this.#append()).catch((error: unknown) => this.#journalFailed(error));
  }

  async #append(): Promise<void> {
    if (this.#journal === undefined || this.#lines.length === 0) return;
    const bytes = Buffer.from(`${this.#lines.join('\n')}\n`);
    this.#lines = [];
    await this.#options.disk.write(this.#journal, bytes, null);
  }

  /** Writes the journal anew, oldest use first, so that the order survives; lines noted meanwhile follow it. */
  async #snapshot(): Promise<void> {
    const { disk } = this.#options;
    this.#changedSinceSnapshot = false;
    this.#lines = [];
    const path = `${this.#journalPath}.new`;
    await disk.remove(path);
    const file = await disk.open(path, 'append');
    try {
      let lines: string[] = [];
      for (const blob of this.index.blobs()) {
        for (const key of blob.keys) lines.push(JSON.stringify(['+', key, blob.hex, blob.size]));
        if (lines.length < SNAPSHOT_CHUNK_LINES) continue;
        await disk.write(file, Buffer.from(`${lines.join('\n')}\n`), null);
        lines = [];
      }
      if (lines.length > 0) await disk.write(file, Buffer.from(`${lines.join('\n')}\n`), null);
      await disk.rename(path, this.#journalPath);
    } catch (error) {
      await disk.close(file);
      throw error;
    }
    if (this.#journal !== undefined) await disk.close(this.#journal);
    this.#journal = file;
    // A blob dropped while the snapshot was being written may stand in it: its removal line follows it.
    await this.#append();
  }

  /** A journal that cannot be written costs downloads after the next start, nothing else. */
  #journalFailed(error: unknown): void {
    this.#options.metrics.count('weir_spoke_cache_journal_failures_total');
    this.#options.logger.warn(
      { error: describeThrown(error) },
      'the journal of the artifact cache could not be written',
    );
  }

  #report(): void {
    this.#options.metrics.gauge('weir_spoke_cache_bytes', this.index.storedBytes);
    this.#options.metrics.gauge('weir_spoke_cache_entries', this.index.count);
  }
}

/** A verified artifact, open for reading. */
export class StoredBlob implements ByteSource {
  readonly size: number;
  readonly hex: string;
  readonly #file: number;
  readonly #disk: Disk;
  #onRelease: (() => void) | undefined;

  constructor(blob: Blob, file: number, disk: Disk, onRelease: () => void) {
    this.size = blob.size;
    this.hex = blob.hex;
    this.#file = file;
    this.#disk = disk;
    this.#onRelease = onRelease;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    try {
      return await this.#disk.read(this.#file, target, position);
    } catch (error) {
      throw diskFault(error);
    }
  }

  release(): void {
    this.#onRelease?.();
    this.#onRelease = undefined;
  }
}

/** Stable, short and free of anything a path or a line could trip over. */
export function keyText(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}

function readLine(line: string): BlobNote | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // A torn last line after a crash; the caller counts it.
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  const [sign, first, second, third] = value as unknown[];
  if (sign === '-') return typeof first === 'string' && HEX.test(first) ? { kind: 'drop', hex: first } : undefined;
  const sound =
    sign === '+' &&
    typeof first === 'string' &&
    typeof second === 'string' &&
    HEX.test(second) &&
    typeof third === 'number' &&
    Number.isSafeInteger(third) &&
    third >= 0;
  return sound ? { kind: 'put', key: first, hex: second, size: third } : undefined;
}
