// How far the ledger was pushed to each sink. A cursor moves only after the sink took the rows before it.

export interface PushCursor {
  readonly log: string;
  /** Index of the first row that the sink has not taken. */
  readonly nextIndex: number;
}

export interface PushStore {
  /** Cursors of a sink, by log; empty for a sink that was never pushed to. */
  cursors(sink: string): Promise<readonly PushCursor[]>;

  /** Moves cursors forward, all or none; one that stands further already stays. */
  advance(sink: string, cursors: readonly PushCursor[]): Promise<void>;

  /**
   * Whether the sink was begun before; the first call begins it, with these cursors (empty: from the first row of every log).
   * Atomic: of two hubs, one begins it.
   */
  begin(sink: string, cursors: readonly PushCursor[]): Promise<'begun' | 'known'>;
}
