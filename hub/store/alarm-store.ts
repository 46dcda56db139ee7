// Trouble with logs that somebody has to look at, with what proves it, and the batches that were refused for good.

export const ALARM_KINDS = ['fork', 'rollback', 'gap', 'poisoned', 'rows_lost', 'cloned_identity'] as const;
export type AlarmKind = (typeof ALARM_KINDS)[number];

export interface NewAlarm {
  readonly kind: AlarmKind;
  readonly unit: string;
  readonly spoke: string;
  readonly log: string;
  /** One sentence, safe to show. */
  readonly detail: string;
  /** Two signed notes that cannot both be true: what the hub holds and what it was offered. Empty where there is none. */
  readonly held: Uint8Array;
  readonly offered: Uint8Array;
}

export interface AlarmRecord extends NewAlarm {
  readonly id: number;
  readonly atMs: number;
  /** Null while it is open. */
  readonly settledAtMs: number | null;
  /** Name of the operator who settled it, '' while it is open. */
  readonly settledBy: string;
}

/** A batch as it came. */
export interface RefusedBatch {
  readonly log: string;
  readonly unit: string;
  readonly spoke: string;
  readonly firstIndex: number;
  readonly code: string;
  readonly detail: string;
  readonly rows: readonly Uint8Array[];
  readonly checkpoint: Uint8Array;
}

export interface QuarantinedBatch extends RefusedBatch {
  readonly id: number;
  readonly atMs: number;
}

/** How much refused evidence is kept, in bytes as they are stored. Beyond it the alarm alone tells what happened. */
export const QUARANTINE_LIMITS = {
  batchesPerLog: 4,
  bytesPerLog: 4 << 20,
  bytesPerSpoke: 64 << 20,
} as const;

export interface AlarmStore {
  /** Raises an alarm unless one of the same kind about the same log is open. True when it is new. */
  raise(alarm: NewAlarm): Promise<boolean>;
  /** Newest first. Empty members match everything. */
  list(
    filter: { readonly unit?: string; readonly spoke?: string; readonly log?: string; readonly openOnly: boolean },
    page: { readonly size: number; readonly cursor: string },
  ): Promise<{ readonly alarms: readonly AlarmRecord[]; readonly nextCursor: string }>;
  alarm(id: number): Promise<AlarmRecord | undefined>;
  /** Closes an alarm in an operator's name; false when there is no such open alarm. */
  settle(id: number, by: string): Promise<boolean>;
  /** Refused batches of a log, oldest first. */
  quarantined(log: string): Promise<readonly QuarantinedBatch[]>;
}
