// Rows of connections that never became a request. Anyone who can reach the port can cause them without a token, so beyond a
// rate they get neither a row nor an answer: they are closed, counted, and told of in the next row.

import type { RowDraft } from '@weir/shared/audit/row.ts';
import { eventRow } from './event-row.ts';
import type { PipelinePorts } from './ports.ts';

/** Rows in one second. */
export const TURNED_AWAY_ROWS_MAX = 50;
const SECOND_MS = 1000;

export interface TurnedAwayRows {
  /** The row of one more, undefined when it is only counted and gets no answer. */
  next(fault: string, status: number): RowDraft | undefined;
  /** A row of those that were only counted, undefined when there are none. */
  untold(): RowDraft | undefined;
}

export function createTurnedAway(ports: Pick<PipelinePorts, 'clock' | 'random' | 'policy'>): TurnedAwayRows {
  let secondMs = Number.NEGATIVE_INFINITY;
  let rows = 0;
  let closed = 0;
  let sinceMs = 0;

  function told(): string {
    if (closed === 0) return '';
    const text = `${closed} more were closed without an answer since ${new Date(sinceMs).toISOString()}`;
    closed = 0;
    return text;
  }

  return {
    next(fault, status) {
      const now = ports.clock.monotonicMs();
      if (now - secondMs >= SECOND_MS) {
        secondMs = now;
        rows = 0;
      }
      if (rows >= TURNED_AWAY_ROWS_MAX) {
        if (closed === 0) sinceMs = ports.clock.nowMs();
        closed += 1;
        return undefined;
      }
      rows += 1;
      return eventRow(ports, { outcome: `connection_${fault}`, level: 'deny', status, detail: told(), bundle: '' });
    },
    untold() {
      if (closed === 0) return undefined;
      return eventRow(ports, { outcome: 'connections_closed', level: 'deny', status: 0, detail: told(), bundle: '' });
    },
  };
}
