// One group of batches: what of it continues its logs is stored in one transaction, then cosigned and answered. Trouble that
// passes is waited out for a moment; trouble of one log does not hold up the others.

import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { NackCode, RowBatch, UploadAnswer } from '@weir/shared/wire/audit.ts';
import type { AuditStore, GroupChange, LogAppend, LogClosing } from '../store/audit-store.ts';
import type { BadBatch, SoundBatch } from './check-batch.ts';
import { type Extension, extendLog } from './extend-log.ts';
import type { LaneItem } from './lanes.ts';
import type { Receipts } from './receipts.ts';

export interface CommitLimits {
  /** Attempts at one commit, and the pause before the second; it doubles from one to the next. */
  readonly attempts: number;
  readonly pauseMs: number;
  /** What a troubled hub asks a spoke to wait, milliseconds; the spoke adds its jitter. */
  readonly retryAfterMs: number;
}

export const COMMIT_LIMITS: CommitLimits = { attempts: 6, pauseMs: 50, retryAfterMs: 1_000 };

export interface QueuedBatch extends LaneItem {
  readonly unit: string;
  readonly checked: SoundBatch | BadBatch;
  answer(answer: UploadAnswer): void;
}

export function createGroupCommit(parts: {
  readonly store: Pick<AuditStore, 'commitGroup'>;
  readonly receipts: Receipts;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly limits: CommitLimits;
  /** Called after rows were committed. */
  readonly onStored: () => void;
}): (group: readonly QueuedBatch[]) => Promise<void> {
  const { store, receipts, clock, logger, metrics, limits } = parts;

  /** Answers by batch once the changes are committed; throws what the store throws. */
  async function attempt(group: readonly QueuedBatch[], careful: boolean): Promise<() => void> {
    const byLog = Map.groupBy(group, ({ log }) => log);
    let tell: (() => void)[] = [];
    await store.commitGroup([...byLog.keys()].toSorted(), { careful }, async (heads, leaves) => {
      tell = [];
      const appends: LogAppend[] = [];
      const closings: LogClosing[] = [];
      for (const [log, queued] of byLog) {
        const head = heads.get(log);
        if (head === undefined) {
          tell.push(() => refuseAll(queued, 'unknown_key', 'the log has not been opened'));
          continue;
        }
        const extension = await extendLog(
          head,
          queued.map(({ checked }) => checked),
          (from, until) => leaves(log, from, until),
          { careful },
        );
        const { nextIndex, rows, edge, checkpoint, lastEventMs, closing } = extension;
        let receipt: Uint8Array;
        if (nextIndex > head.nextIndex && lastEventMs !== null) {
          receipt = receipts.cosign(checkpoint);
          appends.push({
            log,
            unit: head.unit,
            spoke: head.spoke,
            rows,
            nextIndex,
            edge,
            checkpoint,
            receipt,
            lastEventMs,
          });
        } else {
          receipt = receipts.of(head);
        }
        if (closing !== undefined) closings.push(closing);
        tell.push(() => answerLog(queued, extension, receipt));
      }
      return { appends, closings } satisfies GroupChange;
    });
    return () => {
      for (const each of tell) each();
    };
  }

  function answerLog(queued: readonly QueuedBatch[], extension: Extension, receipt: Uint8Array): void {
    const { outcomes, nextIndex, closing } = extension;
    if (closing !== undefined) {
      const { alarm } = closing;
      metrics.count('weir_hub_audit_alarms_total', { kind: alarm.kind });
      logger.error({ log: alarm.log, kind: alarm.kind, detail: alarm.detail }, 'an audit log was closed');
    }
    let added = 0;
    let repeated = 0;
    for (const [place, item] of queued.entries()) {
      const outcome = outcomes[place];
      if (outcome?.kind === 'stored') {
        added += outcome.added;
        repeated += item.rows - outcome.added;
        item.answer({ kind: 'ack', log: item.log, nextIndex, receipt });
      } else {
        item.answer(nack(item, outcome?.code ?? 'unavailable', outcome?.detail ?? '', { nextIndex }));
      }
    }
    const unit = queued[0]?.unit ?? '';
    metrics.count('weir_hub_audit_rows_total', { unit }, added);
    metrics.count('weir_hub_audit_repeated_total', { unit }, repeated);
    if (added > 0) parts.onStored();
  }

  async function commit(all: readonly QueuedBatch[], careful: boolean): Promise<void> {
    let group = all;
    for (let tried = 1, pauseMs = limits.pauseMs; ; tried += 1, pauseMs *= 2) {
      try {
        (await attempt(group, careful))();
        return;
      } catch (thrown) {
        const busy = busyLogs(thrown);
        if (busy.size > 0) {
          const held = group.filter(({ log }) => busy.has(log));
          refuseAll(held, 'unavailable', 'the log is held by somebody else at the hub', limits.retryAfterMs);
          group = group.filter(({ log }) => !busy.has(log));
          if (group.length === 0) return;
          continue;
        }
        const passing = thrown instanceof WeirError && thrown.code === 'unavailable';
        if (passing && tried < limits.attempts) {
          metrics.count('weir_hub_audit_retries_total');
          await clock.sleep(pauseMs);
          continue;
        }
        await afterFailure(group, careful, thrown);
        return;
      }
    }
  }

  async function afterFailure(group: readonly QueuedBatch[], careful: boolean, thrown: unknown): Promise<void> {
    const code = thrown instanceof WeirError ? thrown.code : 'internal';
    const logs = Map.groupBy(group, ({ log }) => log);
    if (code !== 'unavailable' && logs.size > 1) {
      // Whatever is wrong is wrong with one of them.
      for (const ofLog of logs.values()) await commit(ofLog, careful);
      return;
    }
    if (code === 'conflict' && !careful) {
      await commit(group, true);
      return;
    }
    const error = thrown instanceof WeirError ? describeThrown(thrown.cause ?? thrown) : describeThrown(thrown);
    logger.error({ logs: logs.size, batches: group.length, code, error }, 'audit rows could not be stored');
    refuseAll(group, 'unavailable', 'the hub could not store the batch', limits.retryAfterMs);
  }

  return (group) => commit(group, false);
}

/** Logs that somebody else holds, a restoring for instance: the others of their group do not wait for them. */
function busyLogs(thrown: unknown): ReadonlySet<string> {
  const busy = thrown instanceof WeirError ? thrown.detail['busy'] : undefined;
  return new Set(typeof busy === 'string' && busy !== '' ? busy.split(' ') : []);
}

function refuseAll(group: readonly QueuedBatch[], code: NackCode, detail: string, retryAfterMs = 0): void {
  for (const item of group) item.answer(nack(item, code, detail, { retryAfterMs }));
}

/** A refusal of one batch. */
export function nack(
  batch: Pick<RowBatch, 'log'>,
  code: NackCode,
  detail: string,
  { nextIndex = 0, retryAfterMs = 0 }: { readonly nextIndex?: number; readonly retryAfterMs?: number } = {},
): Extract<UploadAnswer, { kind: 'nack' }> {
  return { kind: 'nack', log: batch.log, nextIndex, code, detail, retryAfterMs };
}
