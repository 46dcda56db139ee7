// Brings to the hub what the logs of one worker owe it: the open log as it grows, closed ones until the hub has every row
// that it will ever take from them, and the rows that are left over by recording them again. Oldest first, few at once.

import { createHash } from 'node:crypto';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import type { AuditLog, Recorded } from './audit-log.ts';
import type { ChangeSignal } from './change-signal.ts';
import type { Closure } from './closure.ts';
import type { LedgerEvent } from './ledger-event.ts';
import { readableRows } from './readable-rows.ts';
import type { RowHold } from './row-hold.ts';
import { type Place, salvage } from './salvage.ts';
import { type HubLoss, type LogEnd, type Shipper, type ShipperStats, idOf } from './shipper.ts';
import type { SpoolDisk } from './spool-disk.ts';

/** Closed logs that are shipped at the same time. */
const AT_ONCE = 2;
/** Pause after an epoch that could not be tended: its disk, or the open log, is in trouble. */
const PAUSE_MS = 1_000;
const PAUSE_MAX_MS = 60_000;

export interface ShipHooks {
  /** No more rows of the log can reach the hub. */
  readonly onEnded: (end: LogEnd) => void;
  /** The hub lacks rows that it has receipted. */
  readonly onHubLoss: (loss: HubLoss) => void;
  /** Whether a row has to travel in a batch of its own. */
  readonly isAlone?: (row: Buffer) => boolean;
}

/** Makes the shipper of one log. */
export type ShipLog = (log: AuditLog, hooks: ShipHooks) => Shipper;

export interface ClosedEpoch {
  readonly name: string;
  /** Log id. */
  readonly log: string;
  closure: Closure;
}

/** The ledger as seen from here. */
export interface TendedLedger {
  open(): AuditLog;
  /** Oldest first. */
  closed(): readonly ClosedEpoch[];
  folder(epoch: ClosedEpoch): Promise<SpoolDisk>;
  /** The log of a closed epoch for reading and shipping. Throws `corrupt` when it is damaged. */
  logOf(epoch: ClosedEpoch): Promise<AuditLog>;
  /** Writes down where a closed epoch stands. */
  save(epoch: ClosedEpoch, closure: Closure): Promise<void>;
  append(draft: RowDraft): Promise<Recorded>;
  /** Records an event, now or as soon as a row can be written. */
  tell(event: LedgerEvent): Promise<void>;
  /** A log that is read turns out to be damaged. */
  damaged(log: string, error: WeirError): Promise<void>;
  /** The open log can take no more rows to the hub. */
  ended(log: string, end: LogEnd): void;
  hubLost(log: string, loss: HubLoss): void;
  readonly changes: ChangeSignal;
}

export interface TendingParts {
  readonly ledger: TendedLedger;
  readonly ship: ShipLog;
  readonly hold: RowHold;
  readonly event: (event: LedgerEvent) => RowDraft;
  readonly clock: Clock;
  readonly random: Pick<Random, 'unit'>;
  readonly logger: Logger;
}

export interface Tending {
  /** Until the signal aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>;
  /** Of the open log's shipper. */
  stats(): ShipperStats;
  /** Rows of requests that were recorded again since the start. */
  recordedAgain(): number;
}

const STOPPED: ShipperStats = { state: 'stopped', acknowledged: 0, inFlight: 0, trouble: '' };

export function createTending(parts: TendingParts): Tending {
  const { ledger, hold, clock, logger } = parts;
  let shipper: Shipper | undefined;
  const taken = new Set<ClosedEpoch>();
  let again = 0;
  /**
   * Ids of rows that were in a batch which the hub refused. Each travels alone, so that the one which is at fault
   * takes no other with it. Forgotten by a restart, which costs one more log at worst.
   */
  const suspects = new Set<string>();

  /** One session after the other for whichever log is open. */
  async function shipOpen(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const log = ledger.open();
      const session = new AbortController();
      shipper = parts.ship(
        guarded(log, () => undefined),
        {
          onEnded: (end) => ledger.ended(log.id, end),
          onHubLoss: (loss) => ledger.hubLost(log.id, loss),
          isAlone,
        },
      );
      const shipped = shipper.run(AbortSignal.any([signal, session.signal]));
      try {
        while (ledger.open() === log) await ledger.changes.next(signal);
      } finally {
        session.abort(new WeirError('cancelled', 'the log was closed'));
        await shipped;
      }
    }
  }

  /** The log as its shipper sees it: rows are dropped only while nobody needs them, and damage is told. */
  function guarded(log: AuditLog, acknowledged: (nextIndex: number) => void): AuditLog {
    return {
      ...log,
      async read(from, maxRows, maxBytes) {
        try {
          return await log.read(from, maxRows, maxBytes);
        } catch (thrown) {
          if (isDamage(thrown)) void ledger.damaged(log.id, thrown);
          throw thrown;
        }
      },
      async acknowledge(receipt) {
        for (let held = hold.released(); held !== undefined; held = hold.released()) await held;
        await log.acknowledge(receipt);
        acknowledged(log.stats().acknowledged);
      },
    };
  }

  /** Takes the oldest closed epoch that is not settled, again and again. */
  async function settleAll(signal: AbortSignal): Promise<void> {
    for (let failures = 0; ; ) {
      const epoch = ledger.closed().find((each) => !each.closure.settled && !each.closure.drained && !taken.has(each));
      if (epoch === undefined) {
        await ledger.changes.next(signal);
        continue;
      }
      taken.add(epoch);
      try {
        await settle(epoch, signal);
        failures = 0;
      } catch (thrown) {
        signal.throwIfAborted();
        if (isDamage(thrown)) await ledger.damaged(epoch.log, thrown);
        logger.error({ log: epoch.log, error: describeThrown(thrown) }, 'a closed audit log could not be shipped');
        failures += 1;
        await clock.sleep(pauseAfter(failures), signal);
      } finally {
        taken.delete(epoch);
        ledger.changes.raise();
      }
    }
  }

  /** Until the hub has every row that it takes from this log. */
  async function settle(epoch: ClosedEpoch, signal: AbortSignal): Promise<void> {
    const log = await ledger.logOf(epoch);
    // Damage may have taken more since it was last looked at; at the end of a log it looks like rows that never were.
    const { durableIndex: readable } = log.stats();
    const isShort = readable < (epoch.closure.salvage_from ?? epoch.closure.size ?? readable);
    const salvageFrom = isShort ? readable : epoch.closure.salvage_from;
    const until = salvageFrom ?? readable;
    // A damaged log may have sent more than it can show: where its rows have to be recorded again only the hub can say.
    if (salvageFrom === null && log.stats().acknowledged >= until) {
      await ledger.save(epoch, { ...epoch.closure, size: until, settled: true, drained: true });
      return;
    }
    const ending = new AbortController();
    let end: LogEnd | undefined;
    let reached = log.stats().acknowledged;
    const isDelivered = (): void => ending.abort(new WeirError('cancelled', 'the log is with the hub'));
    const shipped = guarded(log, (acknowledged) => {
      reached = acknowledged;
      if (reached >= until) isDelivered();
    });
    const session = parts.ship(
      {
        ...shipped,
        waitFor(index, waiting) {
          // Of a log that is damaged from its first row on nothing is sent, and nothing acknowledged: agreeing was all.
          if (until === 0) isDelivered();
          return shipped.waitFor(index, waiting);
        },
      },
      {
        onEnded(told) {
          end = told;
          ending.abort(new WeirError('cancelled', told.detail));
        },
        onHubLoss: (loss) => ledger.hubLost(epoch.log, loss),
        isAlone,
      },
    );
    await session.run(AbortSignal.any([signal, ending.signal]));
    signal.throwIfAborted();
    const size = epoch.closure.size ?? (salvageFrom === null ? log.stats().durableIndex : null);
    const from = leftFrom(salvageFrom, reached, end);
    const isDone = from === null || (size !== null && from >= size);
    const why = end === undefined ? '' : `; then ${end.reason}: ${end.detail}`;
    await ledger.save(epoch, {
      ...epoch.closure,
      detail: `${epoch.closure.detail}${why}`.slice(0, 400),
      size,
      salvage_from: isDone ? null : from,
      refused: [...(end?.refused ?? [])],
      settled: true,
      drained: isDone,
    });
  }

  /** Takes the oldest settled epoch with rows left over, again and again. */
  async function salvageAll(signal: AbortSignal, resumed: () => void): Promise<void> {
    for (let failures = 0; ; ) {
      const epoch = ledger.closed().find(({ closure }) => closure.settled && !closure.drained);
      if (epoch === undefined) {
        resumed();
        await ledger.changes.next(signal);
        continue;
      }
      try {
        await salvageOne(epoch, signal, resumed);
        failures = 0;
      } catch (thrown) {
        signal.throwIfAborted();
        logger.error(
          { log: epoch.log, error: describeThrown(thrown) },
          'rows of a closed log could not be recorded again',
        );
        failures += 1;
        await clock.sleep(pauseAfter(failures), signal);
      }
      ledger.changes.raise();
    }
  }

  async function salvageOne(epoch: ClosedEpoch, signal: AbortSignal, resumed: () => void): Promise<void> {
    const folder = await ledger.folder(epoch);
    const digest = createHash('sha256').update(epoch.log).digest();
    const { size, refused } = epoch.closure;
    const others = ledger.closed().filter((each) => each !== epoch);
    const refusedBefore = new Set(others.flatMap(({ closure }) => closure.refused));
    // Before any of them is recorded: whoever ships is not waited for.
    for (const id of [...refusedBefore, ...refused]) suspects.add(id);
    await salvage(
      {
        log: epoch.log,
        closure: epoch.closure,
        rows: (from) => readableRows(folder, digest, from, size ?? Number.MAX_SAFE_INTEGER),
        async isLeft({ index, bytes }, { id }) {
          // By itself, so that it was at fault and no other; and not for the first time.
          if (refused.length !== 1 || refused[0] !== id || !refusedBefore.has(id)) return false;
          const file = `refused/${index}`;
          await folder.replace(file, bytes);
          const detail = `the hub has refused row ${index} of ${epoch.log} twice; it stays in ${file}`;
          await ledger.tell({ outcome: 'row_refused', detail, facts: { log: epoch.log, index, id, file } });
          return true;
        },
        save: (next) => ledger.save(epoch, next),
        target: {
          place: () => ({ into: ledger.open().id, at: ledger.open().stats().nextIndex }),
          append: counted,
          since,
          keepingRows: (work) => hold.during(work),
        },
        event: parts.event,
        clock,
        onResumed: resumed,
        onSkipped: (index, why) => logger.error({ log: epoch.log, index, why }, 'a row could not be recorded again'),
      },
      signal,
    );
    logger.info({ log: epoch.log, ...epoch.closure.salvage }, 'rows of a closed audit log were recorded again');
  }

  /** Counted when it takes its place, as the rows of requests are. */
  async function counted(draft: RowDraft): Promise<Recorded> {
    const rows = draft.action === 'event' ? 0 : 1;
    again += rows;
    try {
      return await ledger.append(draft);
    } catch (thrown) {
      again -= rows;
      throw thrown;
    }
  }

  function isAlone(row: Buffer): boolean {
    return suspects.size > 0 && suspects.has(idOf(row));
  }

  async function* since(place: Place): AsyncGenerator<Buffer> {
    const closed = ledger.closed();
    const at = closed.findIndex(({ log }) => log === place.into);
    if (at !== -1) {
      for (const [offset, epoch] of closed.slice(at).entries()) {
        const digest = createHash('sha256').update(epoch.log).digest();
        const until = epoch.closure.size ?? Number.MAX_SAFE_INTEGER;
        const from = offset === 0 ? place.at : 0;
        for await (const { bytes } of readableRows(await ledger.folder(epoch), digest, from, until)) yield bytes;
      }
    }
    const log = ledger.open();
    for (let next = log.id === place.into ? place.at : log.stats().firstIndex; ; ) {
      const { rows } = await log.read(Math.max(next, log.stats().firstIndex), 256, 1 << 20);
      if (rows.length === 0) return;
      yield* rows;
      next = Math.max(next, log.stats().firstIndex) + rows.length;
    }
  }

  function pauseAfter(failures: number): number {
    return Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** Math.min(failures, 16)) * (0.5 + parts.random.unit() / 2);
  }

  return {
    async run(signal) {
      // Until what the last process began is looked through, rows stay whatever the hub acknowledges.
      const resumed = Promise.withResolvers<void>();
      const isUnsure = ledger.closed().some(({ closure }) => closure.salvage !== null && !closure.drained);
      const holding = isUnsure ? hold.during(() => resumed.promise) : Promise.resolve();
      const work = [
        salvageAll(signal, resumed.resolve).finally(resumed.resolve),
        shipOpen(signal),
        ...Array.from({ length: AT_ONCE }, () => settleAll(signal)),
      ];
      await Promise.allSettled([...work, holding]);
    },
    stats: () => shipper?.stats() ?? STOPPED,
    recordedAgain: () => again,
  };
}

function isDamage(thrown: unknown): thrown is WeirError {
  return thrown instanceof WeirError && thrown.code === 'corrupt';
}

/** From which row on a settled log has to be recorded again, null when from none. */
function leftFrom(damagedFrom: number | null, receipted: number, end: LogEnd | undefined): number | null {
  if (end === undefined) return damagedFrom === null ? null : Math.max(damagedFrom, receipted);
  // What was sent before the damage is at the hub, though it cannot be read here any more; but what the hub holds instead of
  // it does not count.
  if (damagedFrom === null || end.reason === 'fork') return end.salvageFrom;
  return Math.max(end.salvageFrom, end.held ?? 0);
}
