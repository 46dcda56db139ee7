// What a worker says it has done, written into its own log each minute: requests as the listener saw them, and how many rows
// of requests it has recorded. Whoever reads the log later can compare the rows with the numbers, so that a row which was left
// out shows, unless the worker lies about both.

import { COUNTERS_OUTCOME, COUNTERS_RULE } from '@weir/shared/audit/coverage.ts';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import { eventRow } from './event-row.ts';
import type { AuditPort, PipelinePorts } from './ports.ts';

/** Counted since the worker started, by whoever speaks to clients. */
export interface Traffic {
  /** Requests that were read and handed on; what could not be read is told of in rows of its own. */
  readonly requests: number;
  /** Of these: answered with a status of 400 or above. */
  readonly refused: number;
  /** Bytes of bodies handed to connections. */
  readonly servedBytes: number;
  /** Of the requests: without an answer, or broken off by this side. */
  readonly failed: number;
}

export interface CountedLog extends AuditPort {
  /** Rows of requests accepted since the start, less those that were refused after all. */
  readonly rows: number;
}

/** Counts a row when it takes its place in the log, so that those before a counter row are exactly those that it counts. */
export function countRows(log: AuditPort): CountedLog {
  let rows = 0;
  const uncount = (thrown: unknown): never => {
    rows -= 1;
    throw thrown;
  };
  return {
    get rows() {
      return rows;
    },
    append(row) {
      if (row.action === 'event') return log.append(row);
      rows += 1;
      return log.append(row).catch(uncount);
    },
    template: (constants) => log.template(constants),
    appendTo(template, values) {
      rows += 1;
      return log.appendTo(template, values).catch(uncount);
    },
    damaged: () => log.damaged(),
  };
}

export interface Counters {
  /** The row of the period since the last one, which ends now. Record it at once. */
  next(): RowDraft;
}

export function createCounters(
  ports: Pick<PipelinePorts, 'random' | 'policy'> & { readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs' | 'sleep'> },
  traffic: () => Traffic,
  rows: () => number,
): Counters {
  let from = new Date(ports.clock.nowMs()).toISOString();
  let last = { ...NOTHING };
  return {
    next() {
      const until = new Date(ports.clock.nowMs()).toISOString();
      const { requests, refused, servedBytes, failed } = traffic();
      const now = { requests, refused, served_bytes: servedBytes, failed, rows: rows() };
      const facts = {
        from,
        until,
        requests: now.requests - last.requests,
        refused: now.refused - last.refused,
        served_bytes: now.served_bytes - last.served_bytes,
        failed: now.failed - last.failed,
        rows: now.rows - last.rows,
        total_requests: now.requests,
        total_refused: now.refused,
        total_served_bytes: now.served_bytes,
        total_rows: now.rows,
      };
      from = until;
      last = now;
      const event = { outcome: COUNTERS_OUTCOME, level: 'allow', status: 0, detail: '', bundle: '' } as const;
      return {
        ...eventRow(ports, event),
        rules: [
          {
            rule: COUNTERS_RULE,
            layer: 'host',
            code: COUNTERS_OUTCOME,
            level: 'allow',
            effective: 'allow',
            exception: '',
            facts,
          },
        ],
      };
    },
  };
}

const NOTHING = { requests: 0, refused: 0, served_bytes: 0, failed: 0, rows: 0 };
