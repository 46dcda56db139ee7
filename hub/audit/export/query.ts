// What is exported: pages of rows in one fixed order, which can be taken up again after any of them.

import type { AuditStore, RowFilter, StoredRow } from '../../store/audit-store.ts';

export type ExportedRow = Pick<StoredRow, 'bytes' | 'storedAtMs'>;

export interface ExportPage {
  readonly rows: readonly ExportedRow[];
  /** Where to go on after these rows; '' when they were the last. */
  readonly nextCursor: string;
}

export interface ExportQuery {
  /** The question as text, equal for equal questions: an interrupted export is only taken up with the same one. */
  readonly identity: string;
  /** Pages after a cursor, '' for the beginning. A page may be empty. */
  pages(cursor: string, signal: AbortSignal): AsyncIterable<ExportPage>;
}

/** Rows at a time: at 16 KiB each, 16 MiB at the very most. */
export const EXPORT_PAGE_ROWS = 1_000;

/**
 * All rows that match a filter, by event time, each page asked for with `ask`. Rows that are in the ledger when the export
 * begins are all in it, also after an interruption; rows that arrive meanwhile may be.
 */
export function filteredRows(
  filter: RowFilter,
  ask: (page: { readonly size: number; readonly cursor: string; readonly signal: AbortSignal }) => Promise<ExportPage>,
): ExportQuery {
  const given = Object.entries(filter).filter(([, value]) => value !== undefined);
  return {
    identity: JSON.stringify(Object.fromEntries(given.toSorted(([a], [b]) => (a < b ? -1 : 1)))),
    async *pages(cursor, signal) {
      for (let at = cursor; ; ) {
        signal.throwIfAborted();
        const page = await ask({ size: EXPORT_PAGE_ROWS, cursor: at, signal });
        yield page;
        if (page.nextCursor === '') return;
        at = page.nextCursor;
      }
    },
  };
}

/** The same straight from the store. */
export function storedRows(store: Pick<AuditStore, 'query'>, filter: RowFilter): ExportQuery {
  return filteredRows(filter, ({ size, cursor }) => store.query(filter, { size, cursor, oldestFirst: true }));
}
