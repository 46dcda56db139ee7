// Does a log contain what its worker says it recorded? Each minute a worker writes into its own log how many requests it
// was asked and how many rows it wrote; the numbers are counted at the listener, apart from the rows. Whoever reads the log
// in order can compare.

import { z } from 'zod';
import type { AuditRow } from './row.ts';

/** Outcome and rule of a counter row. */
export const COUNTERS_OUTCOME = 'counters';
export const COUNTERS_RULE = 'host.counters';
/** Faults that are listed; all are counted. */
export const COVERAGE_FAULTS_MAX = 100;

const count = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const instant = z.iso.datetime({ precision: 3 });
const countersSchema = z.object({
  /** Begin and end of the period, RFC 3339 UTC. */
  from: instant,
  until: instant,
  requests: count,
  refused: count,
  served_bytes: count,
  failed: count,
  /** Rows of requests that the worker recorded in the period, out of closed logs too, less those of an earlier one that the disk refused after all. */
  rows: z.int().min(-Number.MAX_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER),
  /** Since the worker started. */
  total_requests: count,
  total_refused: count,
  total_served_bytes: count,
  total_rows: count,
});
type Counters = z.infer<typeof countersSchema>;

const TOTALS = ['requests', 'refused', 'served_bytes', 'rows'] as const;

export interface CoverageFault {
  /** The counter row that does not fit what stands before it. */
  readonly index: number;
  readonly what: string;
}

export interface CoverageReport {
  /** Counter rows read. */
  readonly counters: number;
  /** Sums over all counter rows read. */
  readonly requests: number;
  readonly refused: number;
  readonly servedBytes: number;
  /** Rows of requests that no two counter rows enclose: before the first, after the last, or where a worker was killed. */
  readonly uncounted: number;
  /** The first `COVERAGE_FAULTS_MAX`. */
  readonly faults: readonly CoverageFault[];
  readonly faultCount: number;
}

/** Reads one log's rows in order and compares them with its counter rows. */
export class CoverageCheck {
  readonly #sums = { counters: 0, requests: 0, refused: 0, servedBytes: 0, uncounted: 0, faultCount: 0 };
  readonly #faults: CoverageFault[] = [];
  #last: Counters | undefined;
  /** Rows of requests since the last counter row. */
  #rows = 0;

  /** A row that is no counter row; events are not rows of requests. */
  row(action: string): void {
    if (action !== 'event') this.#rows += 1;
  }

  /** A row with the outcome `counters`. */
  counters(row: Pick<AuditRow, 'index' | 'rules'>): void {
    const facts = row.rules.find(({ rule, layer }) => rule === COUNTERS_RULE && layer === 'host')?.facts;
    const parsed = countersSchema.safeParse(facts);
    if (!parsed.success) {
      this.#fault(row.index, 'the counters cannot be read');
      this.#forget();
      return;
    }
    this.#sums.counters += 1;
    this.#sums.requests += parsed.data.requests;
    this.#sums.refused += parsed.data.refused;
    this.#sums.servedBytes += parsed.data.served_bytes;
    this.#compare(row.index, parsed.data);
    this.#last = parsed.data;
    this.#rows = 0;
  }

  /** Rows that cannot be read, because they are kept elsewhere: what stands around them cannot be compared. */
  gap(): void {
    this.#forget();
  }

  report(): CoverageReport {
    return { ...this.#sums, uncounted: this.#sums.uncounted + this.#rows, faults: [...this.#faults] };
  }

  #compare(index: number, now: Counters): void {
    const last = this.#last;
    const continues = now.from === last?.until;
    if (last === undefined) {
      // The first of a log may count rows of the log before it, and stand after rows that were recorded a second time.
      this.#sums.uncounted += this.#rows;
    } else if (!continues && TOTALS.every((name) => now[`total_${name}`] === now[name])) {
      // A worker that has started again counts from nothing; its killed predecessor's last rows are counted by nobody.
      if (this.#rows < now.rows) this.#missing(index, now.rows);
      else this.#sums.uncounted += this.#rows - now.rows;
    } else {
      // By the totals, so that a counter row which a full disk refused does not make those around it wrong.
      const counted = now.total_rows - last.total_rows;
      if (counted !== this.#rows) this.#missing(index, counted);
      for (const name of TOTALS) {
        const [before, after] = [last[`total_${name}`], now[`total_${name}`]];
        if (after < before) this.#fault(index, `total_${name} has fallen from ${before} to ${after}`);
        else if (continues && after !== before + now[name]) {
          this.#fault(index, `total_${name} is ${after}, but the counters add up to ${before + now[name]}`);
        }
      }
    }
  }

  #missing(index: number, counted: number): void {
    this.#fault(index, `${counted} rows of requests were counted since the last counters, the log has ${this.#rows}`);
  }

  #forget(): void {
    this.#sums.uncounted += this.#rows;
    this.#rows = 0;
    this.#last = undefined;
  }

  #fault(index: number, what: string): void {
    this.#sums.faultCount += 1;
    if (this.#faults.length < COVERAGE_FAULTS_MAX) this.#faults.push({ index, what });
  }
}
