// Months of stored rows as retention sees them: what is in them, and how they are removed. Rows that come in meanwhile are
// never removed unseen.

/** One month's partition. */
export interface Month {
  /** Unix milliseconds; until is exclusive. */
  readonly fromMs: number;
  readonly untilMs: number;
}

/** Rows of one log in a month. */
export interface MonthOfLog {
  readonly log: string;
  readonly unit: string;
  readonly first: number;
  readonly last: number;
  readonly rows: number;
  /** When the newest of them was stored. */
  readonly storedMs: number;
}

export interface RemovedMonth extends Month {
  readonly rows: number;
  readonly removedAtMs: number;
}

export interface RetentionStore {
  /** Months that have a partition and end at or before `untilMs`, oldest first. */
  months(untilMs: number): Promise<readonly Month[]>;

  contents(month: Month): Promise<readonly MonthOfLog[]>;

  /**
   * One transaction: removes the month's rows below `below` of each log, keeps the others, and moves the logs' `keptFrom`.
   * False, and nothing has changed, when the month no longer holds exactly what `contents` says. Throws `unavailable` when
   * the table is too busy.
   */
  remove(month: Month, contents: readonly MonthOfLog[], below: ReadonlyMap<string, number>): Promise<boolean>;

  /** Months whose rows are only in copies, oldest first. */
  removed(): Promise<readonly RemovedMonth[]>;
}
