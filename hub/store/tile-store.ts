// Full tiles of the logs' trees, beside the rows they are made from. A tile never changes; what is below a log's `tiled` was
// compared with the log's own root.

/** 256 hashes of one level, 8192 bytes. */
export interface StoredTile {
  readonly level: number;
  readonly index: number;
  readonly hashes: Buffer;
}

export interface TileStore {
  /** Tiles of one level from an index on, by index; those that are not stored are missing. */
  tiles(log: string, level: number, from: number, count: number): Promise<ReadonlyMap<number, Buffer>>;

  /** Stores tiles; one that is there already is replaced. */
  put(log: string, tiles: readonly StoredTile[]): Promise<void>;

  /** Moves the end of what is covered; it never moves back, and never past the log's end. */
  cover(log: string, tiled: number): Promise<void>;

  /** Ids of logs that have more full tiles than are covered, by id, those after `after`. */
  behind(after: string, limit: number): Promise<readonly string[]>;
}
