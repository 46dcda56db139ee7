// Rows at rest. Each log is a gap-free prefix of what its spoke wrote, byte for byte; rows are only ever added.

import type { Level } from '@weir/shared/domain/level.ts';
import type { PageRequest } from './page.ts';

/** A row as stored: its exact bytes, and where it stands. */
export interface StoredRow {
  readonly log: string;
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly storedAtMs: number;
}

/** A verified row with the members that queries look at. */
export interface NewRow {
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly eventTimeMs: number;
  readonly actor: string;
  readonly purl: string;
  readonly level: Level;
  readonly rules: readonly string[];
  readonly code: string;
  readonly action: string;
  readonly outcome: string;
}

/** Consecutive rows of one log. */
export interface NewRows {
  readonly log: string;
  readonly unit: string;
  readonly spoke: string;
  /** At least one; `rows[0].index` onwards without gaps. */
  readonly rows: readonly NewRow[];
}

export type StoreOutcome =
  /** Everything below `nextIndex` is committed; `added` of these rows are new. */
  | { readonly kind: 'stored'; readonly nextIndex: number; readonly added: number }
  /** The rows begin after the end of the stored log: nothing was stored. */
  | { readonly kind: 'gap'; readonly nextIndex: number }
  /** A row that is stored already has other bytes: nothing was stored. */
  | { readonly kind: 'fork'; readonly nextIndex: number; readonly index: number };

/** Every member that is set must match. */
export interface RowFilter {
  readonly unit?: string;
  readonly spoke?: string;
  readonly actor?: string;
  /** Exact purl, or a prefix ending in '*'. */
  readonly purl?: string;
  readonly level?: Level;
  readonly rule?: string;
  readonly code?: string;
  readonly log?: string;
  readonly action?: string;
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
  /** One transaction: rows that are stored already are passed over, the rest is added, the log's end moves. */
  append(rows: NewRows): Promise<StoreOutcome>;

  /** Index after the log's last row, 0 for an unknown log. */
  position(log: string): Promise<number>;

  /** Ends of all logs (of one unit unless ''), by log. */
  positions(unit: string): Promise<readonly { readonly log: string; readonly nextIndex: number }[]>;

  /** Rows of a log from an index on, in order, at most `limit`. */
  rowsFrom(log: string, index: number, limit: number): Promise<readonly StoredRow[]>;

  /** By event time (then log and index), newest first unless `oldestFirst`. An unreadable cursor throws `invalid_argument`. */
  query(filter: RowFilter, page: PageRequest & { readonly oldestFirst: boolean }): Promise<RowPage>;

  /** The newest row with this request code. */
  byCode(code: string): Promise<StoredRow | undefined>;

  /** Makes the partitions that cover these event times; times outside any partition still find the default one. */
  ensurePartitions(fromMs: number, untilMs: number): Promise<void>;
}
