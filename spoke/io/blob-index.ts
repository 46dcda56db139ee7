// What the artifact cache holds, in memory: keys to blobs, blobs in order of last use, and the bytes they take. Decides
// who has to go for newcomers; never a blob that is being read. No files here: the store acts on what this decides.

/** One stored artifact; several keys may name the same bytes. */
export interface Blob {
  /** 64 hex digits of its SHA-256. */
  readonly hex: string;
  readonly size: number;
  readonly keys: Set<string>;
  /** Keys whose promised digests were compared with the bytes since the process started. */
  readonly checkedKeys: Set<string>;
  /** Readers at this moment. */
  pins: number;
}

export interface BlobIndexLimits {
  readonly totalBytes: number;
  readonly entries: number;
}

export class BlobIndex {
  readonly #limits: BlobIndexLimits;
  readonly #byKey = new Map<string, Blob>();
  /** In order of last use, oldest first. */
  readonly #blobs = new Map<string, Blob>();
  #storedBytes = 0;
  #reservedBytes = 0;

  constructor(limits: BlobIndexLimits) {
    this.#limits = limits;
  }

  get storedBytes(): number {
    return this.#storedBytes;
  }

  get count(): number {
    return this.#blobs.size;
  }

  find(key: string): Blob | undefined {
    return this.#byKey.get(key);
  }

  has(hex: string): boolean {
    return this.#blobs.has(hex);
  }

  get(hex: string): Blob | undefined {
    return this.#blobs.get(hex);
  }

  /** Oldest first. */
  blobs(): Iterable<Blob> {
    return this.#blobs.values();
  }

  /** Marks a blob as the most recently used. */
  touch(blob: Blob): void {
    if (this.#blobs.delete(blob.hex)) this.#blobs.set(blob.hex, blob);
  }

  /** Adds a key, and its blob when it is new; a key that named another blob before names this one now. */
  put(key: string, hex: string, size: number): Blob {
    const before = this.#byKey.get(key);
    if (before !== undefined && before.hex !== hex) {
      before.keys.delete(key);
      before.checkedKeys.delete(key);
    }
    let blob = this.#blobs.get(hex);
    if (blob === undefined) {
      blob = { hex, size, keys: new Set(), checkedKeys: new Set(), pins: 0 };
      this.#storedBytes += size;
    }
    this.#blobs.delete(hex);
    this.#blobs.set(hex, blob);
    blob.keys.add(key);
    this.#byKey.set(key, blob);
    return blob;
  }

  /** Forgets a blob and its keys; readers keep what they have open. */
  drop(blob: Blob): void {
    if (!this.#blobs.delete(blob.hex)) return;
    this.#storedBytes -= blob.size;
    for (const key of blob.keys) {
      if (this.#byKey.get(key) === blob) this.#byKey.delete(key);
    }
  }

  /**
   * Sets bytes aside for a newcomer and drops the least recently used for it.
   * @returns the dropped ones, or undefined (nothing dropped, nothing set aside) when there is no room
   */
  reserve(bytes: number): readonly Blob[] | undefined {
    const victims = this.#victims(this.#storedBytes + this.#reservedBytes + bytes - this.#limits.totalBytes);
    if (victims === undefined) return undefined;
    for (const blob of victims) this.drop(blob);
    this.#reservedBytes += bytes;
    return victims;
  }

  /** Ends a reservation: its bytes are stored now, or given up. */
  release(bytes: number): void {
    this.#reservedBytes -= bytes;
  }

  /** Drops least recently used blobs worth at least `bytes`, as far as there are any. */
  shrink(bytes: number): readonly Blob[] {
    const victims: Blob[] = [];
    let freed = 0;
    for (const blob of this.#blobs.values()) {
      if (freed >= bytes) break;
      if (blob.pins > 0) continue;
      victims.push(blob);
      freed += blob.size;
    }
    for (const blob of victims) this.drop(blob);
    return victims;
  }

  #victims(bytesOver: number): readonly Blob[] | undefined {
    let entriesOver = this.#blobs.size + 1 - this.#limits.entries;
    let over = bytesOver;
    if (over <= 0 && entriesOver <= 0) return [];
    const victims: Blob[] = [];
    for (const blob of this.#blobs.values()) {
      if (blob.pins > 0) continue;
      victims.push(blob);
      over -= blob.size;
      entriesOver -= 1;
      if (over <= 0 && entriesOver <= 0) return victims;
    }
    return undefined;
  }
}
