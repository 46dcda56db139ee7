// Rows coming back from a copy into the database they were lost from. A segment is one transaction under its log's lock: rows
// and the end of the log that covers them move together, and ingest of that log waits.

import type { CloseReason, LogHead, NewRow } from './audit-store.ts';

export interface RestoreSegment {
  /** As it is now; a log that was not known is empty. */
  readonly head: LogHead;
  /** Leaves of stored rows at [from, until) by index, hashed anew from their bytes. */
  leaves(from: number, until: number): Promise<ReadonlyMap<number, Buffer>>;
  /** Rows that are not stored yet. */
  add(rows: readonly NewRow[]): Promise<void>;
  /** Moves the end of the log. */
  end(
    to: Pick<LogHead, 'nextIndex' | 'edge' | 'checkpoint' | 'receipt'> & { readonly lastEventMs: number },
  ): Promise<void>;
  /** Every row is in the database again. */
  complete(): Promise<void>;
  close(reason: CloseReason): Promise<void>;
}

export interface RestoreStore {
  /** Commits when `work` resolves, unless it only looks; otherwise nothing has changed. */
  segment<Result>(
    log: Pick<LogHead, 'log' | 'unit' | 'spoke' | 'vkey' | 'binding'>,
    options: { readonly lookOnly: boolean },
    work: (segment: RestoreSegment) => Promise<Result>,
  ): Promise<Result>;
}
