// How far each log is in each write-once copy. Only what was read back from the copy is written here.

export interface CopyPosition {
  readonly log: string;
  readonly target: string;
  /** Rows whose bundles and tiles are in the copy: where copying goes on. */
  readonly copied: number;
  /** Rows under the copy's checkpoint: what can be restored from it. */
  readonly verified: number;
  /** When a receipt was kept there for good last. */
  readonly receiptAtMs: number | null;
  readonly updatedAtMs: number;
}

export interface CopyStore {
  position(target: string, log: string): Promise<CopyPosition | undefined>;

  /** Moves a position; rows never move back. `closed` once the copy says that the log is closed. */
  moved(
    target: string,
    log: string,
    to: {
      readonly copied: number;
      readonly verified: number;
      readonly receiptAtMs?: number;
      readonly closed?: boolean;
    },
  ): Promise<void>;

  /**
   * Ids of logs that the copy lacks something of, by id, those after `after`: rows, that they are closed, or a kept receipt
   * although the last one is older than `receiptBeforeMs`.
   */
  behind(
    target: string,
    page: { readonly after: string; readonly limit: number; readonly receiptBeforeMs: number },
  ): Promise<readonly string[]>;

  /** Rows of all logs that are not verified in the copy. */
  unverified(target: string): Promise<number>;

  /** Positions by (target, log), those after `after`; of one log unless ''. */
  list(filter: {
    readonly log: string;
    readonly after: { readonly target: string; readonly log: string } | undefined;
    readonly limit: number;
  }): Promise<readonly CopyPosition[]>;
}
