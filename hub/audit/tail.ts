// Follows rows as they are committed, by whichever hub: each log is read on from where the follower stands, so that nothing
// is missed or told twice however slow the follower is. A commit through this hub wakes it at once, others within a poll.

import type { AuditRow } from '@weir/shared/audit/row.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { AuditStore, RowFilter, StoredRow } from '../store/audit-store.ts';
import type { Ingest } from './ingest.ts';
import { matchesFilter } from './match-row.ts';

export const TAIL_LIMITS = {
  /** Newest rows told first. */
  backlog: 1_000,
  /** Rows read at once. */
  rows: 500,
  /** Longest delay of rows that another hub committed. */
  pollMs: 1_000,
} as const;

export interface TailParts {
  readonly store: Pick<AuditStore, 'positions' | 'rowsFrom' | 'query'>;
  readonly ingest: Pick<Ingest, 'onStored'>;
  readonly clock: Pick<Clock, 'sleep'>;
}

/** The newest `backlog` matching rows, oldest first, then matching rows as they come; ends when the signal aborts. */
export async function* tailRows(
  parts: TailParts,
  filter: RowFilter,
  backlog: number,
  signal: AbortSignal,
): AsyncGenerator<StoredRow> {
  const { store, clock } = parts;
  const unit = filter.unit ?? '';
  let heard = false;
  let waking = new AbortController();
  const stop = parts.ingest.onStored(() => {
    heard = true;
    waking.abort();
  });
  try {
    const told = new Map((await store.positions(unit)).map(({ log, nextIndex }) => [log, nextIndex]));
    if (backlog > 0) {
      const size = Math.min(backlog, TAIL_LIMITS.backlog);
      const { rows } = await store.query(filter, { size, cursor: '', oldestFirst: false });
      // What was committed since the positions were read comes below, in its turn.
      yield* rows.filter(({ log, index }) => index < (told.get(log) ?? 0)).toReversed();
    }
    while (!signal.aborted) {
      heard = false;
      for (const { log, nextIndex } of await store.positions(unit)) {
        if (filter.log !== undefined && filter.log !== log) continue;
        for (let from = told.get(log) ?? 0; from < nextIndex && !signal.aborted; from = told.get(log) ?? nextIndex) {
          const rows = await store.rowsFrom(log, from, TAIL_LIMITS.rows);
          told.set(log, (rows.at(-1)?.index ?? nextIndex - 1) + 1);
          for (const row of rows) if (matchesFilter(rowIn(row), filter)) yield row;
        }
      }
      if (heard || signal.aborted) continue;
      waking = new AbortController();
      await clock.sleep(TAIL_LIMITS.pollMs, AbortSignal.any([signal, waking.signal])).catch(() => undefined);
    }
  } finally {
    stop();
  }
}

/** Stored rows were verified when they came in. */
function rowIn(stored: StoredRow): AuditRow {
  return JSON.parse(Buffer.from(stored.bytes).toString('utf8')) as AuditRow;
}
