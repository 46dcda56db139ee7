// Follows rows as they are committed, by whichever hub: each log is read on from where the follower stands, so that nothing
// is missed or told twice however slow the follower is. A commit through this hub wakes it at once, others within a poll.
// The follower is told its positions as well, and may come back with them to another hub or a later run of this one.

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
  /** Positions that a follower may come back with: more logs than a large federation has in years. */
  positions: 100_000,
} as const;

export interface TailParts {
  readonly store: Pick<AuditStore, 'positions' | 'rowsFrom' | 'query'>;
  readonly ingest: Pick<Ingest, 'onStored'>;
  readonly clock: Pick<Clock, 'sleep'>;
}

export interface TailPosition {
  readonly log: string;
  readonly nextIndex: number;
}

/** Where to begin: with the newest matching rows, or where an earlier call ended. */
export type TailStart = { readonly backlog: number } | { readonly after: readonly TailPosition[] };

export type TailStep =
  | { readonly kind: 'row'; readonly row: StoredRow }
  /** Every row below these was told, or did not match. */
  | { readonly kind: 'positions'; readonly positions: readonly TailPosition[] };

/**
 * With a backlog the newest matching rows, oldest first, then the positions of all logs, then matching rows as they come;
 * ends when the signal aborts. Of a follower that comes back, logs that it does not name are new: told from their beginning.
 */
export async function* tailRows(
  parts: TailParts,
  filter: RowFilter,
  start: TailStart,
  signal: AbortSignal,
): AsyncGenerator<TailStep> {
  const { store, clock } = parts;
  let heard = false;
  let waking = new AbortController();
  const stop = parts.ingest.onStored(() => {
    heard = true;
    waking.abort();
  });
  const positions = async (): Promise<readonly TailPosition[]> =>
    (await store.positions(filter.unit ?? '')).filter(({ log }) => filter.log === undefined || filter.log === log);
  try {
    const known = 'after' in start ? start.after : await positions();
    const told = new Map(known.map(({ log, nextIndex }) => [log, nextIndex]));
    if ('after' in start) {
      // Says that the follower is being served again, also when nothing has happened meanwhile.
      yield { kind: 'positions', positions: [] };
    } else {
      if (start.backlog > 0) {
        const size = Math.min(start.backlog, TAIL_LIMITS.backlog);
        const { rows } = await store.query(filter, { size, cursor: '', oldestFirst: false });
        // What was committed since the positions were read comes below, in its turn.
        const before = rows.filter(({ log, index }) => index < (told.get(log) ?? 0));
        for (const row of before.toReversed()) yield { kind: 'row', row };
      }
      yield { kind: 'positions', positions: known };
    }
    while (!signal.aborted) {
      heard = false;
      for (const { log, nextIndex } of await positions()) {
        for (let from = told.get(log) ?? 0; from < nextIndex && !signal.aborted; from = told.get(log) ?? nextIndex) {
          const rows = await store.rowsFrom(log, from, TAIL_LIMITS.rows);
          const next = (rows.at(-1)?.index ?? nextIndex - 1) + 1;
          told.set(log, next);
          let last = -1;
          for (const row of rows) {
            if (!matchesFilter(rowIn(row), filter)) continue;
            last = row.index;
            yield { kind: 'row', row };
          }
          if (last + 1 !== next) yield { kind: 'positions', positions: [{ log, nextIndex: next }] };
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
