// What the ledger tells about itself: rows of the open epoch like any other, so that whoever reads the audit sees where one
// log ends, where the next begins, and what happened in between.

/** Outcome words of these rows. */
export const LEDGER_EVENTS = [
  /** First row of every epoch: `before`, `size` and `root` of the log before it, `reason`. */
  'epoch_opened',
  /** A batch that the last run left unfinished was cut off: `segment`, `offset`, `index`. */
  'log_repaired',
  /** Rows that were durable cannot be read, or files are not what was written: `log`, `what`, `file`, `offset`, `index`. */
  'log_damaged',
  /** Somebody has looked at the damage: `log`, `who`, `at`. */
  'damage_accepted',
  /** Rows of a closed log stand in this one again: `log`, `from`, `until`, `recorded`, `skipped`. */
  'log_salvaged',
  /** A row that the hub has refused twice, the second time by itself, is not recorded again: `log`, `index`, `id`, `file`. */
  'row_refused',
  /** Recording goes on after the disk had failed: `log`, `failed_at`, `attempts`. */
  'log_reopened',
  /** The hub lacks rows that it has receipted: `log`, `receipted`, `held`. */
  'hub_lost_rows',
] as const;

export interface LedgerEvent {
  readonly outcome: (typeof LEDGER_EVENTS)[number];
  /** One sentence, at most 200 characters. */
  readonly detail: string;
  readonly facts: Readonly<Record<string, string | number>>;
}
