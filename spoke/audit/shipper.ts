// Brings every row of a log to the hub, in order, at least once: says how the log stands and learns where the hub's copy
// ends, streams signed batches from there inside a bounded window, and begins anew after any trouble. The hub stores each row
// once and answers with receipts; what it says is believed only as far as it is signed and agrees with the log's own tree.

import { readRow } from '@weir/shared/audit/row-codec.ts';
import { TILE_WIDTH } from '@weir/shared/audit/tlog/tile.ts';
import type { Verifier } from '@weir/shared/audit/tlog/note.ts';
import { WeirError, asWeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import { BATCH_BYTES_MAX, BATCH_ROWS_MAX, type LogPosition, type UploadAnswer } from '@weir/shared/wire/audit.ts';
import type { AuditLog } from './audit-log.ts';
import type { AuditUplink, UploadStream } from './audit-uplink.ts';
import { findParting } from './find-parting.ts';
import { createReceiptCheck } from './receipt-check.ts';

export interface ShipperLimits {
  /** Batches sent and not yet answered. */
  readonly window: number;
  readonly batchRows: number;
  readonly batchBytes: number;
  /** A batch that is not full goes this long after the one before it at the earliest: each costs a signature on both sides. */
  readonly lingerMs: number;
  /** Full-jitter backoff after a failure: below `backoffMs · 2ⁿ`, at most `backoffMaxMs`. */
  readonly backoffMs: number;
  readonly backoffMaxMs: number;
  /** Pause after an answer that sending again does not cure, or that cannot be believed: someone has to look. */
  readonly refusedPauseMs: number;
}

export const SHIPPER_LIMITS: ShipperLimits = {
  window: 16,
  batchRows: BATCH_ROWS_MAX,
  batchBytes: BATCH_BYTES_MAX,
  lingerMs: 100,
  backoffMs: 250,
  backoffMaxMs: 30_000,
  refusedPauseMs: 60_000,
};

/**
 * shipping: connected. waiting: between attempts. refused: the hub does not take the rows. distrusted: what the hub says
 * cannot be true; rows are kept. ended: no more rows of this log can reach the hub.
 */
export type ShipperState = 'shipping' | 'waiting' | 'refused' | 'distrusted' | 'ended' | 'stopped';

export interface ShipperStats {
  readonly state: ShipperState;
  /** Rows below this index are receipted by the hub. */
  readonly acknowledged: number;
  readonly inFlight: number;
  /** Code and sentence of the last trouble, '' after a success. */
  readonly trouble: string;
}

/**
 * fork: the hub holds other rows. rollback: it holds rows that this log never had, so this folder is an old copy. gap: it
 * lacks rows that are gone here. The rest are the hub's own words for a log that it has closed.
 */
export const END_REASONS = ['fork', 'rollback', 'gap', 'poisoned', 'retired', 'closed'] as const;
export type EndReason = (typeof END_REASONS)[number];

/** Why no more rows can reach the hub in this log. */
export interface LogEnd {
  readonly reason: EndReason;
  /** One sentence. */
  readonly detail: string;
  /** The hub has the rows below, as they are here; those from here on have to reach it in another log. */
  readonly salvageFrom: number;
  /** Ids of the rows from there on that were in the batch for which the hub closed the log, when a row was at fault. */
  readonly refused?: readonly string[];
  /** How many rows the hub has of the history that this log was part of, told when they are more than are here. */
  readonly held?: number;
}

/** Rows [held, receipted) are lost at the hub, which had receipted them. */
export interface HubLoss {
  readonly receipted: number;
  readonly held: number;
}

export interface Shipper {
  /** Ships until the signal aborts or the log has come to its end; never rejects. */
  run(signal: AbortSignal): Promise<void>;
  stats(): ShipperStats;
}

export interface ShipperParts {
  readonly log: Pick<
    AuditLog,
    | 'id'
    | 'vkey'
    | 'binding'
    | 'read'
    | 'waitFor'
    | 'checkpointAt'
    | 'rootAt'
    | 'consistency'
    | 'leaves'
    | 'edgeAt'
    | 'receipt'
    | 'acknowledge'
    | 'withhold'
    | 'stats'
  >;
  readonly uplink: AuditUplink;
  /** Pinned keys of the hub's receipts. Without one, rows are sent and none is ever dropped. */
  readonly receiptKeys: readonly Verifier[];
  /** Names this process, and no other that ever was. */
  readonly instance: string;
  readonly clock: Clock;
  readonly random: Pick<Random, 'unit'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly limits?: Partial<ShipperLimits>;
  /** Called once, when no more rows can reach the hub in this log. */
  readonly onEnded?: (end: LogEnd) => void;
  /** Called each time a session finds the hub without rows that it has receipted; what is kept is sent again. */
  readonly onHubLoss?: (loss: HubLoss) => void;
  /** Whether a row has to travel in a batch of its own. */
  readonly isAlone?: (row: Buffer) => boolean;
}

export function createShipper(parts: ShipperParts): Shipper {
  const { log, uplink, clock, random, logger, metrics } = parts;
  const limits = { ...SHIPPER_LIMITS, ...parts.limits };
  const checkReceipt = createReceiptCheck(log.vkey, parts.receiptKeys);
  let state: ShipperState = 'waiting';
  let trouble = '';
  let acknowledged = log.receipt()?.size ?? 0;
  let inFlight = 0;
  let sentAtMs = Number.NEGATIVE_INFINITY;
  let warnedOfKeys = false;
  /** The batch that the hub has refused because of a row in it. */
  let refused: Sent | undefined;
  /** Since the last success. */
  let refusals = 0;

  async function session(signal: AbortSignal, succeeded: () => void): Promise<void> {
    const next = await agree(signal);
    signal.throwIfAborted();
    state = 'shipping';
    trouble = '';
    const ending = new AbortController();
    const both = AbortSignal.any([signal, ending.signal]);
    const stream = uplink.open(both);
    const window = createWindow(limits.window);
    const sent: Sent[] = [];
    inFlight = 0;
    try {
      const sending = send(stream, next, window, sent, both);
      const receiving = receive(stream, next, window, sent, succeeded, signal);
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

  /** Tells the hub how the log stands, and judges what it answers. */
  async function agree(signal: AbortSignal): Promise<number> {
    const size = log.stats().durableIndex;
    const own = log.receipt();
    const position = await uplink.position(
      {
        log: log.id,
        binding: log.binding,
        instance: parts.instance,
        checkpoint: size === 0 ? new Uint8Array() : await log.checkpointAt(size),
        receipt: own?.bytes ?? new Uint8Array(),
      },
      signal,
    );
    const { nextIndex: held } = position;
    const receipted = own?.size ?? 0;
    if (position.state === 'closed' && position.reason === 'fork') {
      // An empty copy parts at its beginning.
      const salvageFrom = held === 0 ? 0 : await parted(held, checkReceipt(position.receipt, held).root, signal);
      throw new Ended({ reason: 'fork', detail: 'the hub holds other rows of this log', salvageFrom });
    }
    await checkHeld(held, position.receipt, signal).catch((thrown: unknown) => {
      // A log that was begun twice under one name has another key at the hub: a closed one is left behind all the same.
      const isOther = thrown instanceof WeirError && thrown.code === 'untrusted' && position.state === 'closed';
      throw isOther ? new Ended({ ...closedBy(position), salvageFrom: Math.min(held, receipted) }) : thrown;
    });
    if (position.state === 'closed') throw new Ended({ ...closedBy(position), refused: await refusedFrom(held) });
    const { firstIndex } = log.stats();
    if (held < firstIndex) {
      throw new Ended({
        reason: 'gap',
        detail: `the hub's copy ends at ${held}, this log begins at ${firstIndex}`,
        salvageFrom: held,
      });
    }
    if (held < receipted) hubLost({ receipted, held });
    return held;
  }

  /** Ids of the rows from `held` on in the batch that was refused. */
  async function refusedFrom(held: number): Promise<readonly string[]> {
    if (refused === undefined || held < refused.first) return [];
    const ids: string[] = [];
    for (let at = held; at < refused.end; ) {
      const { rows } = await log.read(at, refused.end - at, limits.batchBytes);
      if (rows.length === 0) break;
      for (const row of rows) ids.push(idOf(row));
      at += rows.length;
    }
    return ids;
  }

  function hubLost(loss: HubLoss): void {
    log.withhold(loss.held);
    acknowledged = loss.held;
    metrics.count('weir_spoke_audit_hub_losses_total');
    logger.error({ log: log.id, ...loss }, 'the hub lacks audit rows that it has receipted: they are sent again');
    parts.onHubLoss?.(loss);
  }

  /** The first row that the hub lacks or has otherwise, whatever became of either side since the newest receipt. */
  function parted(held: number, root: Buffer, signal: AbortSignal): Promise<number> {
    const known = Math.min(log.receipt()?.size ?? 0, log.stats().durableIndex);
    return findParting(log, uplink, { held, root, known }, signal);
  }

  /** Compares what the hub says it has with this log, and takes its receipt. Throws `Ended` or `untrusted`. */
  async function checkHeld(held: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    if (held === 0) {
      if (bytes.length > 0) throw new WeirError('untrusted', 'the hub has no rows and shows a receipt');
      return;
    }
    if (bytes.length === 0)
      throw new WeirError('untrusted', `the hub shows no receipt for the ${held} rows it says it has`);
    const { root, receipt } = checkReceipt(bytes, held);
    // From here on the log's own key has signed what the hub shows.
    const { durableIndex } = log.stats();
    if (held > durableIndex) {
      throw new Ended({
        reason: 'rollback',
        detail: `the hub has rows up to ${held}, this log ends at ${durableIndex}`,
        salvageFrom: await parted(held, root, signal),
        held,
      });
    }
    if (!(await log.rootAt(held)).equals(root)) {
      throw new Ended({
        reason: 'fork',
        detail: `the hub holds other rows below ${held}`,
        salvageFrom: await parted(held, root, signal),
      });
    }
    if (receipt === undefined) {
      if (!warnedOfKeys) {
        logger.error(
          { log: log.id },
          'this spoke has no key to check receipts with, so no audit row is ever dropped: join it to the hub again',
        );
      }
      warnedOfKeys = true;
      return;
    }
    acknowledged = held;
    metrics.gauge('weir_spoke_audit_unacknowledged_rows', durableIndex - held);
    log.acknowledge(receipt).catch((thrown: unknown) => {
      // The hub remembers; a spoke that forgets asks again.
      logger.warn({ log: log.id, error: describeThrown(thrown) }, 'a receipt could not be written down');
    });
  }

  async function send(
    stream: UploadStream,
    start: number,
    window: Window,
    sent: Sent[],
    signal: AbortSignal,
  ): Promise<never> {
    for (let next = start; ; ) {
      await window.room(signal);
      await moreRows(next, signal);
      // Within one tile, so that the proof from one batch to the next needs no more than whole tiles.
      const wanted = Math.min(limits.batchRows, TILE_WIDTH - (next % TILE_WIDTH));
      await linger(next + wanted, signal);
      const rows = together((await log.read(next, wanted, limits.batchBytes)).rows);
      if (rows.length === 0) continue;
      const end = next + rows.length;
      const checkpoint = await log.checkpointAt(end);
      const proof = await log.consistency(next, end);
      signal.throwIfAborted();
      window.take();
      sent.push({ first: next, end });
      inFlight += 1;
      sentAtMs = clock.monotonicMs();
      await stream.send({ log: log.id, firstIndex: next, rows, checkpoint, proof });
      next = end;
    }
  }

  /** As many of the rows as may travel in one batch. */
  function together(rows: readonly Buffer[]): readonly Buffer[] {
    const { isAlone } = parts;
    if (isAlone === undefined) return rows;
    const alone = rows.findIndex((row) => isAlone(row));
    return alone === -1 ? rows : rows.slice(0, Math.max(1, alone));
  }

  /** Resolves when row `next` is durable; for a log that gets no more rows, not before the session ends. */
  async function moreRows(next: number, signal: AbortSignal): Promise<void> {
    try {
      await log.waitFor(next, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      if (log.stats().state !== 'retired') throw thrown;
      await new Promise<never>((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      });
    }
  }

  /** Waits until the batch is full, or the pause since the last one is over. */
  async function linger(full: number, signal: AbortSignal): Promise<void> {
    const pauseMs = sentAtMs + limits.lingerMs - clock.monotonicMs();
    if (pauseMs <= 0 || log.stats().durableIndex >= full) return;
    const enough = new AbortController();
    const either = AbortSignal.any([signal, enough.signal]);
    // Whichever comes first, however it ends.
    await Promise.race([log.waitFor(full - 1, either), clock.sleep(pauseMs, either)].map(settled));
    enough.abort(new WeirError('cancelled', 'the batch goes'));
    signal.throwIfAborted();
  }

  async function receive(
    stream: UploadStream,
    start: number,
    window: Window,
    sent: Sent[],
    succeeded: () => void,
    signal: AbortSignal,
  ): Promise<never> {
    let held = start;
    for await (const answer of stream.answers) {
      if (answer.log !== log.id) throw new WeirError('untrusted', 'the hub answered for another log');
      if (answer.kind === 'nack') {
        if (ROW_FAULTS.has(answer.code)) refused = sent[0];
        throw new Refused(answer);
      }
      const end = sent.shift()?.end;
      if (end === undefined) throw new WeirError('untrusted', 'the hub answered a batch that was not sent');
      if (answer.nextIndex < Math.max(end, held)) {
        throw new WeirError('untrusted', `the hub acknowledged rows up to ${answer.nextIndex}, not ${end}`);
      }
      held = answer.nextIndex;
      await checkHeld(held, answer.receipt, signal);
      window.give();
      inFlight -= 1;
      succeeded();
    }
    throw new WeirError('unavailable', 'the hub ended the upload', { retry: 'now' });
  }

  /** Milliseconds to wait after a failed session. */
  function pauseAfter(thrown: unknown, failures: number): number {
    const backoff = random.unit() * Math.min(limits.backoffMaxMs, limits.backoffMs * 2 ** Math.min(failures, 16));
    if (thrown instanceof WeirError && thrown.code === 'untrusted') {
      state = 'distrusted';
      metrics.count('weir_spoke_audit_receipts_refused_total');
      logger.error(
        { log: log.id, error: thrown.message },
        "the hub's word on audit rows is not believed: rows are kept",
      );
      return limits.refusedPauseMs * (0.5 + random.unit());
    }
    if (thrown instanceof Refused && !thrown.curable) {
      refusals += 1;
      state = 'refused';
      logger.error(
        { log: log.id, code: thrown.answer.code, detail: thrown.answer.detail },
        'the hub refuses audit rows',
      );
      // It has closed the log, most likely, and says so when asked.
      return refusals === 1 ? backoff : limits.refusedPauseMs * (0.5 + random.unit());
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
            refusals = 0;
          });
        } catch (thrown) {
          if (signal.aborted) break;
          if (thrown instanceof Ended) {
            state = 'ended';
            trouble = `${thrown.end.reason}: ${thrown.end.detail}`;
            logger.error({ log: log.id, ...thrown.end }, 'no more rows of this audit log can reach the hub');
            parts.onEnded?.(thrown.end);
            return;
          }
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

/** The hub's rows are the beginning of this log: what comes after them is owed. */
function closedBy({ nextIndex: held, reason: said }: LogPosition): LogEnd {
  const reason = END_REASONS.find((known) => known === said) ?? 'closed';
  const detail = `the hub has closed this log: ${said === '' ? 'it does not say why' : said.slice(0, 80)}`;
  return { reason, detail, salvageFrom: held };
}

/** No more rows of this log can reach the hub. */
class Ended extends WeirError {
  readonly end: LogEnd;

  constructor(end: LogEnd) {
    super('conflict', end.detail);
    this.end = end;
  }
}

class Refused extends WeirError {
  readonly answer: Extract<UploadAnswer, { kind: 'nack' }>;
  /** Whether sending again, from the hub's position, can succeed. */
  readonly curable: boolean;

  constructor(answer: Extract<UploadAnswer, { kind: 'nack' }>) {
    super('conflict', `the hub refused a batch: ${answer.code}`);
    this.answer = answer;
    this.curable = CURABLE.has(answer.code);
  }
}

/** Id of a row, '' when the bytes are none. */
export function idOf(row: Buffer): string {
  try {
    return readRow(row).id;
  } catch {
    return '';
  }
}

/** What is wrong with a row, as against the batch around it. */
const ROW_FAULTS: ReadonlySet<string> = new Set([
  'wrong_identity',
  'malformed',
  'not_canonical',
  'too_large',
  'unsound',
]);

/** Rows of a batch that has no answer yet. */
interface Sent {
  readonly first: number;
  readonly end: number;
}

/** `closed` and `unknown_key` are cured by asking for the position, which says more. */
const CURABLE: ReadonlySet<string> = new Set(['gap', 'overloaded', 'unavailable', 'closed', 'unknown_key']);

async function settled(waiting: Promise<void>): Promise<void> {
  await waiting.catch(() => undefined);
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
