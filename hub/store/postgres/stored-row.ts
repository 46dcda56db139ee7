// A stored row as Postgres gives it back.

import type { StoredRow } from '../audit-store.ts';

export const ROW_COLUMNS = 'log, index, row, leaf, flags, event_time, stored_at';

export interface StoredColumns {
  readonly log: string;
  readonly index: number;
  readonly row: Buffer;
  readonly leaf: Buffer;
  readonly flags: number;
  readonly event_time: Date;
  readonly stored_at: Date;
}

export function storedRow(row: StoredColumns): StoredRow {
  return {
    log: row.log,
    index: row.index,
    bytes: row.row,
    leaf: row.leaf,
    flags: row.flags,
    eventTimeMs: row.event_time.getTime(),
    storedAtMs: row.stored_at.getTime(),
  };
}
