// Keeps the files of recently served artifacts open, so that a hit costs a read and no open. Closes the least recently
// used ones past the limit, never one that is being read.

import type { Disk } from './disk.ts';

export interface OpenFile {
  /** Descriptor, valid until `give`. */
  readonly file: number;
  /** To be called once. */
  give(): void;
}

interface Entry {
  readonly file: Promise<number>;
  readers: number;
  /** Still offered to newcomers; an entry that is not is closed by its last reader. */
  kept: boolean;
}

export class OpenFiles {
  readonly #disk: Disk;
  readonly #max: number;
  /** In order of last use, oldest first. */
  readonly #kept = new Map<string, Entry>();

  constructor(disk: Disk, max: number) {
    this.#disk = disk;
    this.#max = max;
  }

  /** Rejects as the disk does when the file cannot be opened. */
  async take(name: string, path: string): Promise<OpenFile> {
    const entry = this.#kept.get(name) ?? { file: this.#disk.open(path, 'read'), readers: 0, kept: true };
    this.#kept.delete(name);
    this.#kept.set(name, entry);
    entry.readers += 1;
    this.#letGoOldest();
    try {
      const file = await entry.file;
      return { file, give: () => this.#give(entry) };
    } catch (error) {
      if (this.#kept.get(name) === entry) this.#kept.delete(name);
      throw error;
    }
  }

  /** Lets go of a file whose content is no longer wanted; readers finish. */
  forget(name: string): void {
    const entry = this.#kept.get(name);
    if (entry !== undefined) this.#letGo(name, entry);
  }

  /** Closes what nobody reads; the rest is closed by its last reader. */
  close(): void {
    for (const [name, entry] of this.#kept) this.#letGo(name, entry);
  }

  #give(entry: Entry): void {
    entry.readers -= 1;
    if (!entry.kept && entry.readers === 0) this.#close(entry);
  }

  #letGoOldest(): void {
    if (this.#kept.size <= this.#max) return;
    for (const [name, entry] of this.#kept) {
      if (entry.readers > 0) continue;
      this.#letGo(name, entry);
      if (this.#kept.size <= this.#max) return;
    }
  }

  #letGo(name: string, entry: Entry): void {
    this.#kept.delete(name);
    entry.kept = false;
    if (entry.readers === 0) this.#close(entry);
  }

  #close(entry: Entry): void {
    // A descriptor that does not close, or never opened, leaves nothing to do.
    void entry.file.then((file) => this.#disk.close(file)).catch(() => undefined);
  }
}
