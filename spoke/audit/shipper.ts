// Brings every row of a log to the hub, in order, at least once: asks where the hub's copy ends, streams batches from there
// inside a bounded window, and begins anew from the hub's answer after any trouble. The hub stores each row once.

import { WeirError, asWeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import { BATCH_BYTES_MAX, BATCH_ROWS_MAX, type UploadAnswer } from '@weir/shared/wire/audit.ts';
import type { AuditLog } from './audit-log.ts';
import type { AuditUplink, UploadStream } from './audit-uplink.ts';

export interface ShipperLimits {
  /** Batches sent and not yet answered. */
  readonly window: number;
  readonly batchRows: number;
  readonly batchBytes: number;
  /** Full-jitter backoff after a failure: below `backoffMs · 2ⁿ`, at most `backoffMaxMs`. */
  readonly backoffMs: number;
  readonly backoffMaxMs: number;
  /** Pause after an answer that sending again does not cure: someone has to look. */
  readonly refusedPauseMs: number;
}

export const SHIPPER_LIMITS: ShipperLimits = {
  window: 16,
  batchRows: BATCH_ROWS_MAX,
  batchBytes: BATCH_BYTES_MAX,
  backoffMs: 250,
  backoffMaxMs: 30_000,
  refusedPauseMs: 60_000,
};

/**
 * shipping: connected. waiting: between attempts. refused: the hub does not take the rows. diverged: the hub's copy and this
 * log cannot be the same history (a restored snapshot on either side).
 */
export type ShipperState = 'shipping' | 'waiting' | 'refused' | 'diverged' | 'stopped';

export interface ShipperStats {
  readonly state: ShipperState;
  /** Rows below this index are committed at the hub. */
  readonly acknowledged: number;
  readonly inFlight: number;
  /** Code and sentence of the last trouble, '' after a success. */
  readonly trouble: string;
}

export interface Shipper {
  /** Ships until the signal aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>;
  stats(): ShipperStats;
}

export interface ShipperParts {
  readonly log: Pick<AuditLog, 'id' | 'read' | 'waitFor' | 'acknowledge' | 'stats'>;
  readonly uplink: AuditUplink;
  readonly clock: Clock;
  readonly random: Pick<Random, 'unit'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly limits?: Partial<ShipperLimits>;
  /** Called each time the hub's copy turns out to be of another history. */
  readonly onDiverged?: (error: WeirError) => void;
}

export function createShipper(parts: ShipperParts): Shipper {
  const { log, uplink, clock, random, logger, metrics } = parts;
  const limits = { ...SHIPPER_LIMITS, ...parts.limits };
  let state: ShipperState = 'waiting';
  let trouble = '';
  let acknowledged = 0;
  let inFlight = 0;

  async function session(signal: AbortSignal, succeeded: () => void): Promise<void> {
    const start = await uplink.position(log.id, signal);
    refuseOtherHistory(start);
    acknowledge(start);
    state = 'shipping';
    trouble = '';
    const ending = new AbortController();
    const both = AbortSignal.any([signal, ending.signal]);
    const stream = uplink.open(both);
    const window = createWindow(limits.window);
    inFlight = 0;
    try {
      const sending = send(stream, start, window, both);
      const receiving = receive(stream, window, succeeded);
      // Whichever ends first ends the session; the other one is then cancelled and awaited.
      try {
        await Promise.race([sending, receiving]);
      } finally {
        ending.abort(new WeirError('cancelled', 'the upload session ended'));
        stream.close();
        await Promise.allSettled([sending, receiving]);
      }
    } finally {
      inFlight = 0;
    }
  }

  async function send(stream: UploadStream, start: number, window: Window, signal: AbortSignal): Promise<never> {
    for (let next = start; ; ) {
      await window.room(signal);
      await log.waitFor(next, signal);
      const { rows } = await log.read(next, limits.batchRows, limits.batchBytes);
      if (rows.length === 0) continue;
      window.take();
      inFlight += 1;
      await stream.send({ log: log.id, firstIndex: next, rows, checkpoint: new Uint8Array(), proof: [] });
      next += rows.length;
    }
  }

  async function receive(stream: UploadStream, window: Window, succeeded: () => void): Promise<never> {
    for await (const answer of stream.answers) {
      if (answer.log !== log.id) throw new WeirError('invalid_argument', 'the hub answered for another log');
      if (answer.kind === 'nack') throw new Refused(answer);
      refuseOtherHistory(answer.nextIndex);
      acknowledge(answer.nextIndex);
      window.give();
      inFlight -= 1;
      succeeded();
    }
    throw new WeirError('unavailable', 'the hub ended the upload', { retry: 'now' });
  }

  function acknowledge(nextIndex: number): void {
    acknowledged = Math.max(acknowledged, nextIndex);
    metrics.gauge('weir_spoke_audit_unacknowledged_rows', log.stats().durableIndex - acknowledged);
    log.acknowledge(nextIndex).catch((thrown: unknown) => {
      // The hub remembers; a spoke that forgets asks again.
      logger.warn({ log: log.id, error: describeThrown(thrown) }, 'the upload position could not be written down');
    });
  }

  function refuseOtherHistory(hubIndex: number): void {
    const { durableIndex, firstIndex } = log.stats();
    if (hubIndex > durableIndex) {
      throw new Diverged(`the hub has rows up to ${hubIndex}, this log ends at ${durableIndex}`);
    }
    if (hubIndex < firstIndex) {
      throw new Diverged(`the hub's copy ends at ${hubIndex}, this log begins at ${firstIndex}`);
    }
  }

  /** Milliseconds to wait after a failed session. */
  function pauseAfter(thrown: unknown, failures: number): number {
    const backoff = random.unit() * Math.min(limits.backoffMaxMs, limits.backoffMs * 2 ** Math.min(failures, 16));
    if (thrown instanceof Diverged) {
      state = 'diverged';
      logger.error({ log: log.id, error: thrown.message }, 'the hub holds another history of this audit log');
      parts.onDiverged?.(new WeirError('corrupt', thrown.message, { next: 'set the log aside and start a new one' }));
      return limits.refusedPauseMs * (0.5 + random.unit());
    }
    if (thrown instanceof Refused && !thrown.curable) {
      state = 'refused';
      logger.error(
        { log: log.id, code: thrown.answer.code, detail: thrown.answer.detail },
        'the hub refuses audit rows',
      );
      return limits.refusedPauseMs * (0.5 + random.unit());
    }
    state = 'waiting';
    logger.warn({ log: log.id, error: describeThrown(thrown) }, 'the audit upload was interrupted');
    return thrown instanceof Refused ? thrown.answer.retryAfterMs * (1 + random.unit()) + backoff : backoff;
  }

  return {
    async run(signal) {
      let failures = 0;
      while (!signal.aborted) {
        try {
          await session(signal, () => {
            failures = 0;
          });
        } catch (thrown) {
          if (signal.aborted) break;
          const error = asWeirError(thrown, 'unavailable', 'the hub could not be reached');
          trouble =
            thrown instanceof Refused
              ? `${thrown.answer.code}: ${thrown.answer.detail}`
              : `${error.code}: ${error.message}`;
          metrics.count('weir_spoke_audit_upload_failures_total');
          const pauseMs = pauseAfter(thrown, failures);
          failures += 1;
          await clock.sleep(pauseMs, signal).catch(() => undefined);
        }
      }
      state = 'stopped';
    },
    stats: () => ({ state, acknowledged, inFlight, trouble }),
  };
}

class Diverged extends WeirError {
  constructor(message: string) {
    super('conflict', message);
  }
}

class Refused extends WeirError {
  readonly answer: Extract<UploadAnswer, { kind: 'nack' }>;
  /** Whether sending again, from the hub's position, can succeed. */
  readonly curable: boolean;

  constructor(answer: Extract<UploadAnswer, { kind: 'nack' }>) {
    super('conflict', `the hub refused a batch: ${answer.code}`);
    this.answer = answer;
    this.curable = answer.code === 'gap' || answer.code === 'overloaded' || answer.code === 'unavailable';
  }
}

interface Window {
  /** Resolves when there is room for one more. */
  room(signal: AbortSignal): Promise<void>;
  take(): void;
  give(): void;
}

/** A window for one sender: only one call of `room` waits at a time. */
function createWindow(size: number): Window {
  let taken = 0;
  let wake: (() => void) | undefined;
  return {
    async room(signal) {
      signal.throwIfAborted();
      if (taken < size) return;
      await new Promise<void>((resolve, reject) => {
        const abort = (): void => reject(signal.reason as Error);
        signal.addEventListener('abort', abort, { once: true });
        wake = () => {
          signal.removeEventListener('abort', abort);
          resolve();
        };
      });
    },
    take() {
      taken += 1;
    },
    give() {
      taken -= 1;
      wake?.();
      wake = undefined;
    },
  };
}
