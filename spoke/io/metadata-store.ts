// Index documents on disk, so that a spoke that restarts while upstream is gone still knows them. One file per document:
// a line of JSON, then the bytes. What changes without the bytes, the time of the last confirmation, is in the file name
// (`key.size.time`), so that a "not modified" costs one rename and a start needs no file opened.
//
// Nothing is synced: a file that a crash damaged does not have the digest that its first line promises, and is dropped.
// One folder has one keeper, which alone makes room; a store that is given a keeper adds and replaces files and says so.

import { join } from 'node:path';
import { type Digest, digestOf, isDigest } from '@weir/shared/domain/digest.ts';
import { describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { MetadataDocument } from '../registries/adapter.ts';
import type { DocumentKeeper, DocumentNote } from './cache-share.ts';
import { type Disk, diskFault, isMissing, readWholeFile } from './disk.ts';
import type { Validator } from './upstream.ts';

export interface StoredDocument {
  readonly document: MetadataDocument;
  readonly digest: Digest;
  readonly validator: Validator;
  /** When upstream last gave or confirmed it, unix milliseconds. */
  readonly confirmedAtMs: number;
}

export interface MetadataStoreOptions {
  readonly folder: string;
  readonly disk: Disk;
  readonly limits: { readonly diskBytes: number; readonly entries: number };
  readonly logger: Logger;
  /** Who keeps the folder when it is not this process. */
  readonly keeper?: DocumentKeeper;
  /** Hears, as the keeper, of every change that others do not know of yet. */
  readonly onNote?: (note: DocumentNote) => void;
}

interface Entry {
  readonly size: number;
  readonly confirmedAtMs: number;
}

const FILE_NAME = /^([A-Za-z0-9_-]{43})\.(\d{1,12})\.(\d{1,15})$/;
const HEAD_BYTES_MAX = 64 << 10;
/** Documents on their way to disk; past it a document stays in memory only. */
const PENDING_MAX = 64;
const NEWLINE = 0x0a;

export class MetadataStore {
  readonly #options: MetadataStoreOptions;
  /** In order of last use, oldest first; at start in order of confirmation. */
  readonly #entries = new Map<string, Entry>();
  readonly #pending = new Map<string, Promise<void>>();
  #bytes = 0;
  #made = 0;

  constructor(options: MetadataStoreOptions) {
    this.#options = options;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Reads the names of what is there and removes what is half written. @throws WeirError when the folder is unusable */
  async start(): Promise<void> {
    const { disk, folder, keeper } = this.#options;
    keeper?.listen((note) => this.#apply(note));
    try {
      await disk.makeFolder(folder);
      const found: (Entry & { readonly key: string; readonly name: string })[] = [];
      for (const name of await disk.list(folder)) {
        const match = FILE_NAME.exec(name);
        if (match !== null)
          found.push({ name, key: match[1] ?? '', size: Number(match[2]), confirmedAtMs: Number(match[3]) });
        else if (keeper === undefined) await disk.remove(join(folder, name));
      }
      for (const { name, key, size, confirmedAtMs } of found.toSorted((a, b) => a.confirmedAtMs - b.confirmedAtMs)) {
        // Left by a crash between writing the newer file and removing the older one.
        const older = keeper === undefined ? this.#entries.get(key) : undefined;
        if (older !== undefined) await disk.remove(join(folder, nameOf(key, older)));
        if (name !== nameOf(key, { size, confirmedAtMs })) {
          if (keeper === undefined) await disk.remove(join(folder, name));
        } else this.#set(key, { size, confirmedAtMs });
      }
      if (keeper === undefined) await Promise.all(this.#shrink());
    } catch (error) {
      throw diskFault(error);
    }
  }

  /** The document of a key, undefined when there is none or it is damaged. Never rejects. */
  async load(key: string): Promise<StoredDocument | undefined> {
    await this.#pending.get(key);
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const { disk, folder, logger } = this.#options;
    try {
      const bytes = await readWholeFile(disk, join(folder, nameOf(key, entry)), entry.size);
      if (bytes === undefined && this.#options.keeper !== undefined) {
        // Gone, or replaced by another process whose word is on its way.
        if (this.#entries.get(key) === entry) this.#forget(key, entry);
        return undefined;
      }
      const stored = bytes === undefined || bytes.length !== entry.size ? undefined : readStored(bytes, key, entry);
      if (stored !== undefined) {
        if (this.#entries.get(key) === entry) this.#set(key, entry);
        return stored;
      }
      logger.warn({ key }, 'a stored index document is damaged and was removed');
    } catch (error) {
      logger.warn({ key, error: describeThrown(error) }, 'a stored index document could not be read');
    }
    this.drop(key);
    return undefined;
  }

  /** Writes a document; a disk that does not take it costs the document its place, nothing else. Never rejects. */
  async save(key: string, stored: StoredDocument): Promise<void> {
    const { disk, folder } = this.#options;
    const { document, digest, validator, confirmedAtMs } = stored;
    const { contentType, baseUrl } = document;
    const head = Buffer.from(`${JSON.stringify({ key, digest, contentType, baseUrl, validator })}\n`);
    if (head.length > HEAD_BYTES_MAX || this.#pending.size >= PENDING_MAX) return;
    this.#made += 1;
    const temporary = join(folder, `writing-${process.pid}-${this.#made}`);
    await this.#inOrder(key, async () => {
      const entry: Entry = { size: head.length + document.bytes.length, confirmedAtMs };
      try {
        const file = await disk.open(temporary, 'new');
        try {
          await disk.write(file, head, 0);
          await disk.write(file, document.bytes, head.length);
        } finally {
          await disk.close(file);
        }
        await disk.rename(temporary, join(folder, nameOf(key, entry)));
      } catch (error) {
        await disk.remove(temporary).catch(() => undefined);
        throw error;
      }
      await this.#replace(key, entry);
      this.#changed({ kind: 'put', key, ...entry });
    });
  }

  /** Notes that upstream confirmed the document. Never rejects. */
  async confirm(key: string, confirmedAtMs: number): Promise<void> {
    await this.#inOrder(key, async () => {
      const before = this.#entries.get(key);
      if (before === undefined || before.confirmedAtMs === confirmedAtMs) return;
      const { disk, folder } = this.#options;
      const entry = { size: before.size, confirmedAtMs };
      try {
        await disk.rename(join(folder, nameOf(key, before)), join(folder, nameOf(key, entry)));
      } catch (error) {
        // Under a keeper another process may have replaced it meanwhile, with something as new.
        if (this.#options.keeper === undefined || !isMissing(error)) throw error;
        if (this.#entries.get(key) === before) this.#forget(key, before);
        return;
      }
      this.#set(key, entry);
      this.#changed({ kind: 'put', key, ...entry });
    });
  }

  drop(key: string): void {
    void this.#inOrder(key, async () => {
      const entry = this.#entries.get(key);
      if (entry === undefined) return;
      this.#forget(key, entry);
      await this.#options.disk.remove(join(this.#options.folder, nameOf(key, entry)));
      this.#changed({ kind: 'drop', key });
    });
  }

  /** As the keeper: what another process has done. Never rejects. */
  adopt(note: DocumentNote): Promise<void> {
    return this.#inOrder(note.key, async () => {
      const known = this.#entries.get(note.key);
      if (note.kind === 'put') await this.#replace(note.key, note);
      else if (known !== undefined) {
        this.#forget(note.key, known);
        await this.#options.disk.remove(join(this.#options.folder, nameOf(note.key, known)));
      }
      this.#options.onNote?.(note);
    });
  }

  #changed(note: DocumentNote): void {
    this.#options.keeper?.changed(note);
    this.#options.onNote?.(note);
  }

  /** What another process did to the folder. */
  #apply(note: DocumentNote): void {
    const known = this.#entries.get(note.key);
    if (note.kind === 'drop') {
      if (known !== undefined) this.#forget(note.key, known);
    } else if (known === undefined || known.confirmedAtMs <= note.confirmedAtMs) {
      this.#set(note.key, { size: note.size, confirmedAtMs: note.confirmedAtMs });
    }
  }

  /** A file has its place under the entry's name: the one before it goes, and as the keeper whatever is too much. */
  async #replace(key: string, { size, confirmedAtMs }: Entry): Promise<void> {
    const { disk, folder, keeper } = this.#options;
    const [entry, before] = [{ size, confirmedAtMs }, this.#entries.get(key)];
    this.#set(key, entry);
    if (before !== undefined && nameOf(key, before) !== nameOf(key, entry)) {
      await disk.remove(join(folder, nameOf(key, before)));
    }
    if (keeper === undefined) await Promise.all(this.#shrink());
  }

  /** Resolves when everything begun is on disk or given up. */
  async close(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending.values());
  }

  /** Changes of one key run one after another; a failure is logged here. */
  #inOrder(key: string, change: () => Promise<void>): Promise<void> {
    const run = (this.#pending.get(key) ?? Promise.resolve()).then(change).catch((error: unknown) => {
      this.#options.logger.warn({ key, error: describeThrown(error) }, 'an index document could not be stored');
    });
    const done = run.finally(() => {
      if (this.#pending.get(key) === done) this.#pending.delete(key);
    });
    this.#pending.set(key, done);
    return done;
  }

  #set(key: string, entry: Entry): void {
    const before = this.#entries.get(key);
    if (before !== undefined) this.#forget(key, before);
    this.#entries.set(key, entry);
    this.#bytes += entry.size;
  }

  #forget(key: string, entry: Entry): void {
    if (this.#entries.delete(key)) this.#bytes -= entry.size;
  }

  #shrink(): Promise<void>[] {
    const { disk, folder, limits } = this.#options;
    const removals: Promise<void>[] = [];
    for (const [key, entry] of this.#entries) {
      if (this.#bytes <= limits.diskBytes && this.#entries.size <= limits.entries) break;
      this.#forget(key, entry);
      this.#options.onNote?.({ kind: 'drop', key });
      removals.push(disk.remove(join(folder, nameOf(key, entry))));
    }
    return removals;
  }
}

function nameOf(key: string, { size, confirmedAtMs }: Entry): string {
  return `${key}.${size}.${confirmedAtMs}`;
}

function readStored(bytes: Buffer, key: string, { confirmedAtMs }: Entry): StoredDocument | undefined {
  const end = bytes.subarray(0, HEAD_BYTES_MAX).indexOf(NEWLINE);
  if (end === -1) return undefined;
  let head: unknown;
  try {
    head = JSON.parse(bytes.toString('utf8', 0, end));
  } catch {
    // Damaged, which the caller logs.
    return undefined;
  }
  const { digest, contentType, baseUrl, validator, key: ownKey } = (head ?? {}) as Record<string, unknown>;
  const { etag, lastModified } = (validator ?? {}) as Record<string, unknown>;
  const body = bytes.subarray(end + 1);
  const sound =
    ownKey === key &&
    isDigest(digest) &&
    typeof contentType === 'string' &&
    typeof baseUrl === 'string' &&
    typeof etag === 'string' &&
    typeof lastModified === 'string' &&
    digestOf(body) === digest;
  if (!sound) return undefined;
  return { document: { bytes: body, contentType, baseUrl }, digest, validator: { etag, lastModified }, confirmedAtMs };
}
