// Sends rows to one sink as they come, log by log in order and each at least once: a log's cursor moves only after the sink
// took the rows before it, so whatever dies in between is sent again and known by its row id. A sink that is down or slow
// holds up nothing but itself; a row that a sink refuses for good holds up its own log, loudly, and nothing is passed over.

import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import type { AuditStore } from '../store/audit-store.ts';
import type { PushCursor, PushStore } from '../store/push-store.ts';
import { ledgerRow } from './ledger-row.ts';
import { type PushFormat, type PushMessage, pushMessage, type PushSink } from './push-sink.ts';

export const PUSH_LIMITS = {
  /** Rows and bytes of a batch: what is in memory, and what is sent again after a failure. */
  batchRows: 500,
  batchBytes: 4 << 20,
  /** Rows of one log in a batch, at least: with very many logs each waits its turn instead of getting a row at a time. */
  shareRows: 50,
  /** Pause when there is nothing to send. */
  pollMs: 1_000,
  /** First and longest wait after a failure; the real one is anywhere below. */
  backoffMs: 500,
  backoffMaxMs: 60_000,
  /** Failures in a row after which the breaker opens: the sink is asked with one row at a time until it takes one. */
  breakAfter: 5,
  /** Wait before a log whose next row was refused for good is tried again. */
  refusedMs: 60_000,
} as const;

export interface PushOptions {
  /** Name of the sink in cursors and metrics. */
  readonly name: string;
  readonly format: PushFormat;
  /** Where a sink that was never pushed to begins: with the first row there is, or with the first that comes. */
  readonly from: 'beginning' | 'now';
  readonly limits?: Partial<Record<keyof typeof PUSH_LIMITS, number>>;
}

export interface PushPorts {
  readonly rows: Pick<AuditStore, 'positions' | 'rowsFrom'>;
  readonly cursors: PushStore;
  readonly sink: PushSink;
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs' | 'sleep'>;
  readonly random: Pick<Random, 'unit'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface Push {
  /** Sends until the signal aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

interface Batch {
  readonly messages: readonly PushMessage[];
  /** When the hub stored the oldest row of it. */
  readonly oldestMs: number;
}

export function createPush(ports: PushPorts, options: PushOptions): Push {
  const { rows, cursors, sink, clock, random, logger, metrics } = ports;
  const { name, format, from } = options;
  const limits = { ...PUSH_LIMITS, ...options.limits };
  /** Index of the next row of each log. */
  const next = new Map<string, number>();
  /** Logs whose next row was refused, and when they are tried again (monotonic). */
  const refused = new Map<string, number>();
  let failures = 0;
  /** The log after which the next batch begins, so that a busy log keeps no other waiting. */
  let last = '';

  async function load(): Promise<void> {
    const begun = from === 'now' ? await rows.positions('') : [];
    await cursors.begin(name, begun);
    next.clear();
    for (const { log, nextIndex } of await cursors.cursors(name)) next.set(log, nextIndex);
  }

  /** Logs with rows to send, in turn; tells how far the sink is behind. */
  async function waiting(): Promise<readonly { readonly log: string; readonly until: number }[]> {
    const behind = (await rows.positions('')).filter(({ log, nextIndex }) => nextIndex > (next.get(log) ?? 0));
    const lag = behind.reduce((sum, { log, nextIndex }) => sum + nextIndex - (next.get(log) ?? 0), 0);
    metrics.gauge('weir_hub_push_lag_rows', lag, { sink: name });
    if (lag === 0) metrics.gauge('weir_hub_push_lag_seconds', 0, { sink: name });
    const now = clock.monotonicMs();
    const ready = behind
      .filter(({ log }) => now >= (refused.get(log) ?? Number.NEGATIVE_INFINITY))
      .map(({ log, nextIndex }) => ({ log, until: nextIndex }));
    const after = ready.findIndex(({ log }) => log > last);
    return after < 1 ? ready : [...ready.slice(after), ...ready.slice(0, after)];
  }

  async function gather(logs: Awaited<ReturnType<typeof waiting>>): Promise<Batch> {
    const rowsMax = failures >= limits.breakAfter ? 1 : limits.batchRows;
    const messages: PushMessage[] = [];
    let bytes = 0;
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const { log, until } of logs) {
      const share = Math.max(limits.shareRows, Math.ceil(rowsMax / logs.length));
      let index = next.get(log) ?? 0;
      const found = await rows.rowsFrom(log, index, Math.min(share, rowsMax - messages.length, until - index));
      if (found.length === 0) await passMissing(log, index, until);
      for (const stored of found) {
        if (stored.index > index) await passMissing(log, index, stored.index);
        index = stored.index + 1;
        const message = pushMessage(ledgerRow(stored), format);
        bytes += Buffer.byteLength(message.text);
        if (messages.length > 0 && bytes > limits.batchBytes) return { messages, oldestMs };
        messages.push(message);
        oldestMs = Math.min(oldestMs, stored.storedAtMs);
        last = log;
      }
      if (messages.length >= rowsMax) break;
    }
    return { messages, oldestMs };
  }

  /** Retention took rows away before the sink was begun: told, never silent. */
  async function passMissing(log: string, wanted: number, found: number): Promise<void> {
    metrics.count('weir_hub_push_missing_rows_total', { sink: name }, found - wanted);
    logger.error(
      { sink: name, log, from: wanted, until: found },
      'rows left the database before they were pushed; they are in the write-once copy',
    );
    // Rows before the gap may be in the batch at hand: only a cursor that stands at the gap passes it.
    if ((next.get(log) ?? 0) < wanted) return;
    await cursors.advance(name, [{ log, nextIndex: found }]);
    next.set(log, found);
  }

  async function moveTo(messages: readonly PushMessage[]): Promise<void> {
    const ends = new Map<string, number>();
    for (const { log, index } of messages) ends.set(log, index + 1);
    const moved: PushCursor[] = [...ends].map(([log, nextIndex]) => ({ log, nextIndex }));
    await cursors.advance(name, moved);
    for (const { log, nextIndex } of moved) {
      next.set(log, nextIndex);
      refused.delete(log);
    }
    metrics.count('weir_hub_push_rows_total', { sink: name }, messages.length);
  }

  /** Sends what the sink takes; what it refuses is cut in halves until the one row is found that it does not want. */
  async function send(messages: readonly PushMessage[], signal: AbortSignal): Promise<void> {
    const [first] = messages;
    if (first === undefined) return;
    try {
      await sink.deliver(messages, signal);
    } catch (thrown) {
      if (!isRefusal(thrown)) throw thrown;
      if (messages.length > 1) {
        const half = messages.length >> 1;
        await send(messages.slice(0, half), signal);
        // The rest of a log waits behind its refused row.
        await send(
          messages.slice(half).filter(({ log }) => !refused.has(log)),
          signal,
        );
        return;
      }
      refused.set(first.log, clock.monotonicMs() + limits.refusedMs);
      metrics.count('weir_hub_push_refused_total', { sink: name });
      logger.error(
        { sink: name, row: first.id, log: first.log, index: first.index, error: describeThrown(thrown) },
        'a sink refuses a row for good; its log waits there until the sink takes it',
      );
      return;
    }
    await moveTo(messages);
  }

  function succeeded(): void {
    if (failures >= limits.breakAfter) logger.info({ sink: name }, 'a sink takes rows again');
    failures = 0;
    metrics.gauge('weir_hub_push_healthy', refused.size === 0 ? 1 : 0, { sink: name });
  }

  function failed(thrown: unknown): void {
    failures += 1;
    metrics.count('weir_hub_push_failures_total', { sink: name });
    const fields = { sink: name, failures, error: describeThrown(thrown) };
    if (failures === limits.breakAfter) {
      metrics.gauge('weir_hub_push_healthy', 0, { sink: name });
      logger.error(fields, 'a sink keeps failing; it is asked again from time to time and gets every row in the end');
    } else if (failures < limits.breakAfter) logger.warn(fields, 'rows could not be pushed');
  }

  /** Sends one batch; false when there was nothing to send. */
  async function turn(signal: AbortSignal): Promise<boolean> {
    const batch = await gather(await waiting());
    if (batch.messages.length === 0) return false;
    metrics.gauge('weir_hub_push_lag_seconds', Math.max(0, (clock.nowMs() - batch.oldestMs) / 1000), { sink: name });
    await send(batch.messages, signal);
    return true;
  }

  async function loop(signal: AbortSignal): Promise<void> {
    let loaded = false;
    while (!signal.aborted) {
      let waitMs = 0;
      try {
        // Whoever led before may have moved the cursors.
        if (!loaded) await load();
        loaded = true;
        if (!(await turn(signal))) waitMs = limits.pollMs;
        succeeded();
      } catch (thrown) {
        if (signal.aborted) return;
        failed(thrown);
        const ceiling = Math.min(limits.backoffMaxMs, limits.backoffMs * 2 ** Math.min(failures - 1, 20));
        waitMs = retryAfter(thrown) ?? Math.ceil(ceiling * random.unit());
      }
      if (waitMs > 0) await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  return {
    async run(signal) {
      await loop(signal);
      // Only who leads has anything to say about a sink.
      metrics.gauge('weir_hub_push_lag_rows', 0, { sink: name });
      metrics.gauge('weir_hub_push_lag_seconds', 0, { sink: name });
      metrics.gauge('weir_hub_push_healthy', 1, { sink: name });
    },
  };
}

function isRefusal(thrown: unknown): boolean {
  return thrown instanceof WeirError && (thrown.code === 'invalid_argument' || thrown.code === 'too_large');
}

/** Milliseconds that the sink asked for, undefined when it asked for none. */
function retryAfter(thrown: unknown): number | undefined {
  const ms = thrown instanceof WeirError ? thrown.detail['retry_after_ms'] : undefined;
  return typeof ms === 'number' ? Math.min(ms, PUSH_LIMITS.backoffMaxMs) : undefined;
}
