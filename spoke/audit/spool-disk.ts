// The disk under the spool, as a port: what the spool needs of a file system and nothing more. One folder per log, flat names.

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
  /** Names in the folder, in no order; names it does not know are the caller's to ignore. */
  list(): Promise<readonly string[]>;
  /**
   * Makes a file of `size` zero bytes, blocks allocated and durable together with its name: all or nothing. Fails with
   * `resource_exhausted` when the disk is full.
   */
  allocate(name: string, size: number): Promise<void>;
  open(name: string): Promise<SpoolFile>;
  /** Up to `length` bytes from `offset`; fewer only at the end of the file. Rejects with `not_found` when it is gone. */
  read(name: string, offset: number, length: number): Promise<Buffer>;
  /** Size in bytes. */
  size(name: string): Promise<number>;
  /** Overwrites with zeros, durably. */
  zero(name: string, from: number, until: number): Promise<void>;
  remove(name: string): Promise<void>;
  /** The whole of a small file, undefined when there is none. */
  load(name: string): Promise<Buffer | undefined>;
  /** Replaces a small file as one step: after a crash it holds the old bytes or the new ones. */
  replace(name: string, bytes: Uint8Array): Promise<void>;
  /** Resolves in a later turn of the event loop, after the callbacks that are due now. */
  turn(): Promise<void>;
  /** Lets go of the folder. */
  close(): Promise<void>;
}
