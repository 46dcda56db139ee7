// How the processes of a spoke share the folders of its caches. One of them keeps each folder: it alone counts the bytes,
// decides who has to go and removes. The others read, add whole files under names that nobody else gives, and say so; what has
// vanished under them they fetch again. Word that is late or lost costs a download, never a wrong byte.

/** A change of the artifact cache, as its journal has it. */
export type BlobNote =
  | { readonly kind: 'put'; readonly key: string; readonly hex: string; readonly size: number }
  | { readonly kind: 'drop'; readonly hex: string };

/** A change of the store of index documents. */
export type DocumentNote =
  | { readonly kind: 'put'; readonly key: string; readonly size: number; readonly confirmedAtMs: number }
  | { readonly kind: 'drop'; readonly key: string };

/** The keeper of the artifact cache, as a process that uses it sees it. */
export interface BlobKeeper {
  /** Sets room aside. Rejects with `resource_exhausted`, or `unavailable` when the keeper is gone. */
  reserve(bytes: number): Promise<void>;
  release(bytes: number): void;
  /** A key has been added with a file in place. */
  added(note: Extract<BlobNote, { kind: 'put' }>): void;
  /** The file is not what its name says: it has to go. */
  damaged(hex: string): void;
  /** Read since the last time, so that the order of last use is known. */
  used(hexes: readonly string[]): void;
  /** The disk is full although the cache is not. */
  relieve(): void;
  /** Hears of what others changed. */
  listen(listener: (note: BlobNote) => void): void;
}

/** The keeper of the store of index documents. */
export interface DocumentKeeper {
  changed(note: DocumentNote): void;
  listen(listener: (note: DocumentNote) => void): void;
}
