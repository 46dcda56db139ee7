// The disk under the spool, as a port: what a log needs of a file system and nothing more. One folder per log; segments and
// small files lie flat in it, tiles and old receipts in folders of their own below.

/** A segment open for durable writing. */
export interface SpoolFile {
  /**
   * Writes at `offset` and resolves once the bytes are durable, with the number of bytes written; fewer than given means
   * that the write came up short. Never retried here.
   */
  write(bytes: Uint8Array, offset: number): Promise<number>;
  close(): Promise<void>;
}

export interface SpoolDisk {
  /** Names in the folder, or in a folder below it ([] when there is none), in no order; unknown ones are the caller's to ignore. */
  list(folder?: string): Promise<readonly string[]>;
  /**
   * Makes a file of `size` zero bytes, blocks allocated and durable together with its name: all or nothing. Fails with
   * `resource_exhausted` when the disk is full.
   */
  allocate(name: string, size: number): Promise<void>;
  /**
   * Makes `name` out of the blocks of `from`, a file of the same size, as zero bytes: needs no room on the disk. `from` is gone
   * at once; `name` is there, durably and whole, or not at all.
   */
  recycle(from: string, name: string, size: number): Promise<void>;
  open(name: string): Promise<SpoolFile>;
  /** Up to `length` bytes from `offset`; fewer only at the end of the file. Rejects with `not_found` when it is gone. */
  read(name: string, offset: number, length: number): Promise<Buffer>;
  /** Size in bytes. */
  size(name: string): Promise<number>;
  /** Overwrites with zeros, durably. */
  zero(name: string, from: number, until: number): Promise<void>;
  /** Durable on return; a file that is not there is no trouble. */
  remove(path: string): Promise<void>;
  /** The whole of a small file, undefined when there is none. */
  load(path: string): Promise<Buffer | undefined>;
  /** Replaces a small file as one step: after a crash it holds the old bytes or the new ones. Folders are made as needed. */
  replace(path: string, bytes: Uint8Array): Promise<void>;
  /** As `replace`, but not durable before `flush`: a crash may lose the file or leave any bytes in it. For what can be made again. */
  store(path: string, bytes: Uint8Array): Promise<void>;
  /** Makes stored files durable together with their names. Rejects with `not_found` when one is not there. */
  flush(paths: readonly string[]): Promise<void>;
  /** Resolves in a later turn of the event loop, after the callbacks that are due now. */
  turn(): Promise<void>;
  /** Lets go of the folder. */
  close(): Promise<void>;
}
