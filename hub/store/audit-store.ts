// Rows at rest. Each log is a gap-free prefix of what its spoke wrote, byte for byte; rows are only ever added.

import type { Level } from '@weir/shared/domain/level.ts';
import type { NewAlarm, RefusedBatch } from './alarm-store.ts';
import type { PageRequest } from './page.ts';

/** A row as stored: its exact bytes, and where it stands. */
export interface StoredRow {
  readonly log: string;
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly storedAtMs: number;
  /** As claimed by the spoke. */
  readonly eventTimeMs: number;
  /** RFC 6962 leaf hash of the bytes, as computed when the row came in. */
  readonly leaf: Buffer;
  readonly flags: number;
}

/** What is odd about a row's claimed time, as bits of `flags`. */
export const ROW_FLAGS = {
  /** Claimed more than five minutes after the row arrived. */
  ahead: 1,
  /** Claimed more than a minute earlier than the row before it. */
  backwards: 2,
} as const;

/** A verified row with the members that queries look at. */
export interface NewRow {
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly leaf: Buffer;
  readonly flags: number;
  readonly eventTimeMs: number;
  readonly actor: string;
  readonly purl: string;
  readonly level: Level;
  readonly rules: readonly string[];
  readonly code: string;
  readonly action: string;
  readonly outcome: string;
}

/**
 * Rows of one log in the form in which the store writes them. They are prepared as soon as they are verified, so that bytes,
 * not thousands of objects, wait for the commit.
 */
export interface PreparedRows {
  readonly count: number;
  /** The exact bytes of one row. */
  row(place: number): Buffer;
  /** The rows [from, until), sharing memory. */
  slice(from: number, until?: number): PreparedRows;
  /** Adds a bit to the flags of the first row. */
  flagFirst(bit: number): void;
}

export const LOG_STATES = ['open', 'closed'] as const;
export type LogState = (typeof LOG_STATES)[number];
/** Why a log is closed: nobody extends it any more. */
export const CLOSE_REASONS = ['fork', 'rollback', 'gap', 'poisoned', 'retired'] as const;
export type CloseReason = (typeof CLOSE_REASONS)[number];

/** Where a log stands at the hub, and what its spoke signed for that. */
export interface LogHead {
  readonly log: string;
  readonly unit: string;
  readonly spoke: string;
  readonly state: LogState;
  /** '' while it is open. */
  readonly reason: CloseReason | '';
  /** Every row below is stored. */
  readonly nextIndex: number;
  /** `TreeEdge` of `nextIndex` leaves, encoded. */
  readonly edge: Buffer;
  /** The log's signed checkpoint for exactly `nextIndex` rows, empty for an empty log. */
  readonly checkpoint: Buffer;
  /** The same with the hub's cosignature. */
  readonly receipt: Buffer;
  /** The log's key as a verifier line, and the spoke's signed word for it. */
  readonly vkey: string;
  readonly binding: Buffer;
  /** The process that opened the log last. */
  readonly instance: string;
  /** Event time of the newest row, null for an empty log. */
  readonly lastEventMs: number | null;
  /** Rows below are no longer in this database. */
  readonly keptFrom: number;
  /** Leaves below are covered by full tiles. */
  readonly tiled: number;
  readonly updatedAtMs: number;
}

/** Consecutive rows that continue a log, and where the log stands after them. */
export interface LogAppend extends Pick<LogHead, 'log' | 'unit' | 'spoke' | 'nextIndex'> {
  readonly rows: readonly PreparedRows[];
  readonly edge: Uint8Array;
  readonly checkpoint: Uint8Array;
  readonly receipt: Uint8Array;
  readonly lastEventMs: number;
}

/** A log that takes no more rows, why, and what proves it. */
export interface LogClosing {
  readonly log: string;
  readonly reason: CloseReason;
  readonly alarm: NewAlarm;
  readonly quarantine?: RefusedBatch;
}

export interface GroupChange {
  readonly appends: readonly LogAppend[];
  readonly closings: readonly LogClosing[];
}

/** Stored leaf hashes of a log in [from, until), by index; those that are nowhere stored are missing. */
export type LeafReader = (log: string, from: number, until: number) => Promise<ReadonlyMap<number, Buffer>>;

/** Every member that is set must match. */
export interface RowFilter {
  readonly unit?: string;
  readonly spoke?: string;
  /** Any of these pseudonyms; an empty list matches nothing. */
  readonly actors?: readonly string[];
  /** Exact purl, or a prefix ending in '*'. */
  readonly purl?: string;
  readonly level?: Level;
  readonly rule?: string;
  readonly code?: string;
  readonly log?: string;
  readonly action?: string;
  readonly outcome?: string;
  /** Event time, unix milliseconds: from inclusive, until exclusive. */
  readonly fromMs?: number;
  readonly untilMs?: number;
}

export interface RowPage {
  readonly rows: readonly StoredRow[];
  /** Cursor of the next page, '' when this is the last. */
  readonly nextCursor: string;
}

export interface AuditStore {
  /** The log's head, undefined for an unknown log. */
  head(log: string): Promise<LogHead | undefined>;

  /** Heads by log id (of one unit, of one spoke), those after the log `after`. */
  heads(filter: {
    readonly unit?: string;
    readonly spoke?: string;
    readonly after?: string;
    readonly limit: number;
  }): Promise<readonly LogHead[]>;

  /**
   * Makes a log known with its key, or finds it as it is. Throws `resource_exhausted` when the spoke has too many logs
   * already, `forbidden` when the log is another spoke's.
   */
  admit(log: Pick<LogHead, 'log' | 'unit' | 'spoke' | 'vkey' | 'binding'>): Promise<LogHead>;

  /**
   * Notes the process that speaks for a worker. `superseded` when another one has spoken since this one was first heard;
   * otherwise it is the one that speaks now.
   */
  enter(who: {
    readonly unit: string;
    readonly spoke: string;
    readonly worker: string;
    readonly instance: string;
  }): Promise<'present' | 'superseded'>;

  /** Notes the process that opened a log last. */
  noteInstance(log: string, instance: string): Promise<void>;

  /** Brings consecutive rows of one log into the form in which they are written. */
  prepare(owner: Pick<LogHead, 'log' | 'unit' | 'spoke'>, rows: readonly NewRow[]): PreparedRows;

  /**
   * One transaction: locks the heads of these logs, asks `plan` what to change, and changes it; all of it or nothing.
   * `plan` may be called again after a failure. With `careful`, `leaves` also tells of rows beyond a head, which only a
   * damaged database has, hashed anew from their bytes. Throws `conflict` when a row beyond a head stands in the way,
   * `unavailable` when the same call may succeed later; then nothing is known of whether the changes were made, unless
   * `detail.busy` names the logs that somebody else holds (with spaces between): then none was.
   */
  commitGroup(
    logs: readonly string[],
    options: { readonly careful: boolean },
    plan: (heads: ReadonlyMap<string, LogHead>, leaves: LeafReader) => Promise<GroupChange>,
  ): Promise<void>;

  /** Closes a log for good and raises the alarm; nothing when it is closed already. */
  close(closing: LogClosing): Promise<void>;

  /** Ends of all logs (of one unit unless ''), by log. */
  positions(unit: string): Promise<readonly { readonly log: string; readonly nextIndex: number }[]>;

  /** Rows of a log from an index on, in order, at most `limit`. */
  rowsFrom(log: string, index: number, limit: number): Promise<readonly StoredRow[]>;

  /** Leaf hashes of a log from an index on, in order and without gaps, at most `limit`: from rows or, where they are gone, tiles. */
  leavesFrom(log: string, index: number, limit: number): Promise<readonly Buffer[]>;

  /** By event time (then log and index), newest first unless `oldestFirst`. An unreadable cursor throws `invalid_argument`. */
  query(filter: RowFilter, page: PageRequest & { readonly oldestFirst: boolean }): Promise<RowPage>;

  /** The newest row with this request code. */
  byCode(code: string): Promise<StoredRow | undefined>;

  /** The row with this UUIDv7. */
  byId(id: string): Promise<StoredRow | undefined>;

  /** Makes the partitions that cover these event times; times outside any partition still find the default one. */
  ensurePartitions(fromMs: number, untilMs: number): Promise<void>;

  /** First moments (unix milliseconds) of the months that rows in the default partition belong to, oldest first. */
  strayMonths(): Promise<readonly number[]>;
}
