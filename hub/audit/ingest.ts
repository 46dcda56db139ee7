// Takes what spokes upload. A log is opened first: its key, the process that speaks for it and what both sides hold are
// compared. Then batch after batch is checked by itself, joined to the stored log under its lock, stored with many others in
// one commit, and answered with a receipt. What cannot be right closes its log, and leaves an alarm with the evidence.

import { parseLogId } from '@weir/shared/audit/log-id.ts';
import { openReceipt } from '@weir/shared/audit/tlog/checkpoint.ts';
import { openBinding } from '@weir/shared/audit/tlog/log-binding.ts';
import { type NoteSigner, parseVkey, type Verifier } from '@weir/shared/audit/tlog/note.ts';
import { WeirError, asWeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { LogOpening, LogPosition, RowBatch, UploadAnswer } from '@weir/shared/wire/audit.ts';
import type { AlarmStore, NewAlarm } from '../store/alarm-store.ts';
import type { AuditStore, LogClosing, LogHead } from '../store/audit-store.ts';
import { batchBytes, checkBatch, isOwn, openSigned, type Uploader } from './check-batch.ts';
import { COMMIT_LIMITS, type CommitLimits, createGroupCommit, nack, type QueuedBatch } from './commit-group.ts';
import { createHeldBatches, type HeldLimits, sizeInMemory } from './held-batches.ts';
import { judgeOpening, type SignedEnd } from './judge-opening.ts';
import { createLanes, LANE_LIMITS, type LaneLimits } from './lanes.ts';
import { createReceipts } from './receipts.ts';

export interface IngestLimits extends LaneLimits, CommitLimits, HeldLimits {
  /** Batches of one stream that are taken in before the first of them is answered. */
  readonly window: number;
  /** Logs whose keys are kept at hand. */
  readonly keys: number;
}

export const INGEST_LIMITS: IngestLimits = {
  ...LANE_LIMITS,
  ...COMMIT_LIMITS,
  heldBatches: 2_048,
  heldBytes: 64 << 20,
  window: 16,
  keys: 20_000,
};

export interface Ingest {
  readonly window: number;
  /** Stores a batch and says so, or refuses it whole. Never throws for what a spoke can send or for a troubled store. */
  take(from: Uploader, batch: RowBatch): Promise<UploadAnswer>;
  /**
   * Opens a session for a log and says where the hub's copy stands. Throws `forbidden` for a log of another spoke and
   * `untrusted` for a key that the spoke's enrolled key does not vouch for. A caller that is gone is not judged.
   */
  open(from: Uploader, opening: LogOpening, signal: AbortSignal): Promise<LogPosition>;
  /** Calls back after rows were committed through this hub; returns the way to stop. */
  onStored(heard: () => void): () => void;
}

export interface IngestParts {
  readonly store: Pick<AuditStore, 'head' | 'admit' | 'enter' | 'noteInstance' | 'prepare' | 'commitGroup' | 'close'>;
  readonly alarms: Pick<AlarmStore, 'raise'>;
  readonly workspace: string;
  /** A spoke's enrolled audit key (32 bytes), undefined for a spoke that is not enrolled. */
  readonly enrolledKey: (from: Uploader) => Promise<Uint8Array | undefined>;
  readonly receiptKey: NoteSigner;
  /** Root of a stored log at a size below its end. */
  readonly rootAt: (log: string, size: number) => Promise<Buffer>;
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs' | 'sleep'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly limits?: Partial<IngestLimits>;
}

export function createIngest(parts: IngestParts): Ingest {
  const { store, clock, logger, metrics } = parts;
  const limits = { ...INGEST_LIMITS, ...parts.limits };
  const receipts = createReceipts(parts.receiptKey, clock);
  const listeners = new Set<() => void>();
  const keys = new Map<string, Promise<Verifier | undefined>>();
  const held = createHeldBatches(limits, metrics);

  const commitGroup = createGroupCommit({
    store,
    receipts,
    clock,
    logger,
    metrics,
    limits,
    onStored() {
      for (const heard of listeners) heard();
    },
  });
  const lanes = createLanes<QueuedBatch>(limits, commitGroup);

  /** The key that a log was admitted with; it never changes. Batches of one log wait for one answer and keep their order. */
  function keyOf(log: string): Promise<Verifier | undefined> {
    const known = keys.get(log);
    if (known !== undefined) return known;
    const asked = readKey(log);
    keys.set(log, asked);
    if (keys.size > limits.keys) for (const oldest of keys.keys()) if (keys.delete(oldest)) break;
    return asked;
  }

  async function readKey(log: string): Promise<Verifier | undefined> {
    let key: Verifier | undefined;
    try {
      const head = await store.head(log);
      key = head === undefined ? undefined : verifierOf(head.vkey);
      return key;
    } finally {
      if (key === undefined) keys.delete(log);
    }
  }

  async function check(from: Uploader, batch: RowBatch): Promise<UploadAnswer | QueuedBatch['checked']> {
    let key: Verifier | undefined;
    try {
      key = await keyOf(batch.log);
    } catch (thrown) {
      logger.error({ log: batch.log, error: describeThrown(thrown) }, 'the key of an audit log could not be read');
      return nack(batch, 'unavailable', 'the hub could not store the batch', { retryAfterMs: limits.retryAfterMs });
    }
    if (key === undefined) return nack(batch, 'unknown_key', 'the log has not been opened');
    return checkBatch(from, batch, { key, receivedAtMs: clock.nowMs(), prepare: store.prepare });
  }

  /** The answer to a batch that there is room for. */
  async function admitted(from: Uploader, batch: RowBatch): Promise<UploadAnswer> {
    if (!isOwn(from, batch.log)) return nack(batch, 'wrong_identity', 'the log belongs to another spoke');
    const giveBack = held.take(`${from.unit}/${from.spoke}`, sizeInMemory(batch));
    if (giveBack === undefined) {
      const { retryAfterMs } = limits;
      return nack(batch, 'overloaded', 'the hub has too many batches waiting', { retryAfterMs });
    }
    try {
      return await enqueue(from, batch);
    } finally {
      giveBack();
    }
  }

  async function enqueue(from: Uploader, batch: RowBatch): Promise<UploadAnswer> {
    const checked = await check(from, batch);
    if (checked.kind === 'ack' || checked.kind === 'nack') return checked;
    const { promise, resolve } = Promise.withResolvers<UploadAnswer>();
    const rows = batch.rows.length;
    lanes.put({ log: batch.log, unit: from.unit, rows, bytes: batchBytes(batch), checked, answer: resolve });
    return promise;
  }

  /** Raises an alarm that leaves the log as it is. */
  async function raise(alarm: NewAlarm): Promise<void> {
    if (!(await parts.alarms.raise(alarm))) return;
    metrics.count('weir_hub_audit_alarms_total', { kind: alarm.kind });
    logger.error({ log: alarm.log, kind: alarm.kind, detail: alarm.detail }, 'an audit log needs a look');
  }

  async function close(closing: LogClosing): Promise<void> {
    const { alarm } = closing;
    await store.close(closing);
    metrics.count('weir_hub_audit_alarms_total', { kind: alarm.kind });
    logger.error({ log: alarm.log, kind: alarm.kind, detail: alarm.detail }, 'an audit log was closed');
  }

  /** The log's key as the spoke's enrolled key vouches for it. A binding that was accepted once is not asked again. */
  async function boundKey(from: Uploader, opening: LogOpening, head: LogHead | undefined): Promise<string> {
    if (head !== undefined && head.binding.equals(opening.binding)) return head.vkey;
    const publicKey = await parts.enrolledKey(from);
    if (publicKey === undefined) throw new WeirError('forbidden', 'the spoke is not enrolled');
    const { workspace } = parts;
    const { unit, spoke } = from;
    const bound = openBinding(opening.binding, { workspace, unit, spoke, publicKey });
    if (bound.log !== opening.log) throw new WeirError('untrusted', 'the log key is bound to another log');
    return bound.vkey;
  }

  /** Notes who speaks, and tells whether the log has been taken over by a copy of this spoke meanwhile. */
  async function isTakenOver(from: Uploader, opening: LogOpening, head: LogHead): Promise<boolean> {
    const { log, instance } = opening;
    const worker = parseLogId(log)?.worker ?? '';
    const heard = await store.enter({ unit: from.unit, spoke: from.spoke, worker, instance });
    if (heard === 'superseded') {
      const detail = 'a process spoke that another one had followed: two machines have one identity';
      const alarm = alarmAbout(head, 'cloned_identity', detail, opening.checkpoint);
      // A log that nobody else has opened is nobody else's: its rows are taken, and the alarm stands.
      if (head.instance !== '' && head.instance !== instance) {
        await close({ log, reason: 'fork', alarm });
        return true;
      }
      await raise(alarm);
    }
    await store.noteInstance(log, instance);
    return false;
  }

  /**
   * Why a log is closed for this caller, who takes as stored only what that allows. One that went back to an earlier state may
   * have recorded since, before it heard that its log was closed: to it the log has forked. A copy that only lags behind has
   * gone back, whatever the other copy has done.
   */
  async function closedFor(head: LogHead, opening: LogOpening): Promise<LogHead['reason']> {
    const { log, vkey, reason } = head;
    if (opening.checkpoint.length === 0 || vkey === '') return reason;
    const signed = openSigned(opening.checkpoint, parseVkey(vkey));
    if (typeof signed === 'string') return reason;
    const claim = { checkpoint: { ...signed, note: opening.checkpoint }, receipt: undefined };
    const judgement = await judgeOpening(head, claim, (size) => parts.rootAt(log, size));
    return judgement.kind === 'close' ? judgement.reason : reason;
  }

  async function judge(head: LogHead, opening: LogOpening, signal: AbortSignal): Promise<void> {
    const { log } = opening;
    const key = parseVkey(head.vkey);
    const checkpoint = opening.checkpoint.length === 0 ? undefined : openSigned(opening.checkpoint, key);
    if (typeof checkpoint === 'string') {
      const alarm = alarmAbout(head, 'poisoned', `bad_signature: ${checkpoint}`, opening.checkpoint);
      await close({ log, reason: 'poisoned', alarm });
      return;
    }
    const judgement = await judgeOpening(
      head,
      {
        checkpoint: checkpoint === undefined ? undefined : { ...checkpoint, note: opening.checkpoint },
        receipt: receiptIn(opening, key),
      },
      (size) => parts.rootAt(log, size),
    );
    // What a caller said that has gone since may be older than what it has sent by now.
    signal.throwIfAborted();
    if (judgement.kind === 'alarm') await raise(judgement.alarm);
    if (judgement.kind === 'close') await close({ log, reason: judgement.reason, alarm: judgement.alarm });
  }

  /** A receipt that this hub gave; any other proves nothing. */
  function receiptIn({ log, receipt }: LogOpening, key: Verifier): SignedEnd | undefined {
    if (receipt.length === 0) return undefined;
    try {
      const { checkpoint } = openReceipt(receipt, { log: key, hub: receipts.hub });
      return { ...checkpoint, note: receipt };
    } catch (thrown) {
      const { message } = asWeirError(thrown, 'untrusted', 'unreadable');
      logger.warn({ log, error: message }, 'a spoke showed a receipt that this hub did not give');
      return undefined;
    }
  }

  return {
    window: limits.window,
    async take(from, batch) {
      const started = clock.monotonicMs();
      const answer = await admitted(from, batch);
      metrics.observe('weir_hub_audit_store_seconds', (clock.monotonicMs() - started) / 1000);
      if (answer.kind === 'nack') {
        const { log, code, detail } = answer;
        metrics.count('weir_hub_audit_nacks_total', { code });
        logger.warn({ log, code, detail, unit: from.unit, spoke: from.spoke }, 'refused a batch of audit rows');
      }
      return answer;
    },

    async open(from, opening, signal) {
      const { log } = opening;
      if (!isOwn(from, log)) throw new WeirError('forbidden', 'the log belongs to another spoke');
      const known = await store.head(log);
      if (known?.state === 'closed') return positionOf(known, await closedFor(known, opening));
      const vkey = await boundKey(from, opening, known);
      const { unit, spoke } = from;
      const head = known ?? (await store.admit({ log, unit, spoke, vkey, binding: Buffer.from(opening.binding) }));
      signal.throwIfAborted();
      if (head.vkey !== vkey) {
        const detail = 'the spoke vouches for another key than the log was admitted with';
        await close({ log, reason: 'poisoned', alarm: alarmAbout(head, 'poisoned', detail, opening.binding) });
      } else if (!(await isTakenOver(from, opening, head))) {
        await judge(head, opening, signal);
      }
      return positionOf((await store.head(log)) ?? head);
    },

    onStored(heard) {
      listeners.add(heard);
      return () => listeners.delete(heard);
    },
  };

  function positionOf(head: LogHead, reason = head.reason): LogPosition {
    const { nextIndex, state } = head;
    return { nextIndex, receipt: receipts.of(head), state, reason };
  }
}

function verifierOf(vkey: string): Verifier | undefined {
  return vkey === '' ? undefined : parseVkey(vkey);
}

function alarmAbout(head: LogHead, kind: NewAlarm['kind'], detail: string, offered: Uint8Array): NewAlarm {
  const { log, unit, spoke } = head;
  return { kind, unit, spoke, log, detail, held: head.receipt, offered };
}
