// The ledger of one worker: the log that rows go into now, and those before it. The pipeline records here and never hears of
// epochs: when a log can take no more rows (its disk failed, its files are damaged, the hub closed it) the next one is
// opened under the requests' feet, and what the closed one still owes the hub is brought there by `tend-epochs.ts`.

import { formatLogId } from '@weir/shared/audit/log-id.ts';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import { type AuditLog, type AuditLogOptions, type AuditLogStats, type Recorded, createAuditLog } from './audit-log.ts';
import type { Closure } from './closure.ts';
import { CURRENT_FILE, type EpochEntry, closeEpoch, nextEpochName, orderEpochs } from './epochs.ts';
import type { LedgerDisk } from './ledger-disk.ts';
import type { LedgerEvent } from './ledger-event.ts';
import type { FoundRow } from './row-reader.ts';
import type { RowConstants, RowTemplate, RowValues } from './row-template.ts';
import type { SpoolDisk } from './spool-disk.ts';

/** Why a log ends and the next one begins. */
export interface RollReason {
  /** One snake_case word. */
  readonly reason: string;
  /** One sentence. */
  readonly detail: string;
  /** Rows from here on cannot reach the hub in the closed log. */
  readonly salvageFrom?: number;
}

export interface LedgerStats extends AuditLogStats {
  /** Epochs that take no more rows and still owe some to the hub. */
  readonly owing: number;
}

export interface Ledger {
  /** Same promises as `AuditLog.append`; a roll under way makes it wait, never fail. */
  append(draft: RowDraft): Promise<Recorded>;
  /** Good for as long as the ledger lives, whichever log is open. Throws `invalid_argument`. */
  template(constants: RowConstants): RowTemplate;
  appendTo(template: RowTemplate, values: RowValues): Promise<Recorded>;
  stats(): LedgerStats;
  findByCode(code: string): Promise<FoundRow | undefined>;
  /** The log that rows go into now. */
  open(): AuditLog;
  /**
   * Ends the open log and begins the next. Rows accepted before finish where they are; rows that come meanwhile wait for the
   * new log. Rejects when no new log can be begun; the old one then stays, whatever state it is in.
   */
  roll(why: RollReason): Promise<void>;
  close(): Promise<void>;
}

export interface LedgerOptions extends Omit<AuditLogOptions, 'disk' | 'clock' | 'random'> {
  readonly disk: LedgerDisk;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Makes the row of an event. */
  readonly event: (event: LedgerEvent) => RowDraft;
}

/** An epoch whose log is at hand. */
interface Epoch {
  readonly name: string;
  readonly folder: SpoolDisk;
  readonly log: AuditLog;
}

/** Where the log before an epoch ended. */
interface Ending {
  readonly log: string;
  readonly size: number;
  readonly root: string;
  readonly reason: string;
}

/** Events that could not be recorded yet; beyond it the oldest are dropped, loudly. */
const UNTOLD_MAX = 64;

/** Opens the worker's folder, whatever the last run left in it. Throws `conflict` when it belongs to another worker. */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const { disk, clock, random, logger } = options;
  const now = (): string => new Date(clock.nowMs()).toISOString();
  const logOf = (epoch: string): string =>
    formatLogId({ unit: options.unit, spoke: options.spoke, worker: options.worker, epoch });

  const found = await orderEpochs(disk, logOf, now());
  const closed: EpochEntry[] = [...found.closed];
  let open: Epoch;
  if (found.open === undefined) {
    open = await begin();
    await disk.replace(CURRENT_FILE, Buffer.from(`${open.name}\n`));
  } else {
    const folder = await disk.epoch(found.open.name);
    open = { name: found.open.name, folder, log: await createAuditLog({ ...options, disk: folder }) };
  }

  /** An epoch that is made and not yet named by `current`. */
  let prepared: Epoch | undefined;
  /** Why the open log was ended, while the roll is not complete. */
  let ending: (RollReason & { readonly at: string }) | undefined;
  let rolling: Promise<void> | undefined;
  /** Set while rows have to wait for the next log. */
  let gate: Promise<void> | undefined;
  const constantsOf = new WeakMap<RowTemplate, { readonly constants: RowConstants; made: RowTemplate }>();
  const untold: LedgerEvent[] = [];

  if (open.log.stats().nextIndex === 0) {
    const last = closed.at(-1);
    await tellFirst(open, last === undefined ? undefined : endingOf(last));
  }
  if (open.log.torn !== undefined) {
    const { segment, offset, nextIndex } = open.log.torn;
    await tell({
      outcome: 'log_repaired',
      detail: 'a batch that the last run left unfinished was cut off',
      facts: { log: open.log.id, segment, offset, index: nextIndex },
    });
  }

  async function begin(): Promise<Epoch> {
    const name = nextEpochName(random, await disk.epochs());
    const folder = await disk.epoch(name);
    try {
      await folder.replace('log.json', Buffer.from(`${JSON.stringify({ v: 1, log: logOf(name) })}\n`));
      return { name, folder, log: await createAuditLog({ ...options, disk: folder }) };
    } catch (thrown) {
      // Without rows and without a name in `current` it never was; what stays is cleared at the next start.
      await disk.discard(name).catch(() => undefined);
      throw thrown;
    }
  }

  /** The first row of an epoch says what was before it. */
  async function tellFirst({ log }: Epoch, before: Ending | undefined): Promise<void> {
    const { log: id = '', size = 0, root = '', reason = 'first' } = before ?? {};
    const event: LedgerEvent = {
      outcome: 'epoch_opened',
      detail: id === '' ? 'first log of this worker' : `follows ${id}: ${reason}`,
      facts: { before: id, size, root, reason },
    };
    await log.append(options.event(event));
  }

  /** Records an event, now or as soon as a row can be written. */
  async function tell(event: LedgerEvent): Promise<void> {
    untold.push(event);
    if (untold.length > UNTOLD_MAX) logger.error({ ...untold.shift() }, 'an event of the ledger goes unrecorded');
    await tellUntold();
  }

  async function tellUntold(): Promise<void> {
    for (let event = untold[0]; event !== undefined; event = untold[0]) {
      try {
        untold.shift();
        await append(options.event(event));
      } catch (thrown) {
        untold.unshift(event);
        logger.error(
          { outcome: event.outcome, error: describeThrown(thrown) },
          'an event row could not be made durable',
        );
        return;
      }
    }
  }

  function append(draft: RowDraft): Promise<Recorded> {
    return gate === undefined ? open.log.append(draft) : gate.then(() => append(draft));
  }

  function appendTo(made: RowTemplate, values: RowValues): Promise<Recorded> {
    if (gate !== undefined) return gate.then(() => appendTo(made, values));
    const { log } = open;
    return log.appendTo(made.log === log.id ? made : remade(made), values);
  }

  function template(constants: RowConstants): RowTemplate {
    const made = open.log.template(constants);
    constantsOf.set(made, { constants, made });
    return made;
  }

  /** A template of a former log, for the open one. */
  function remade(former: RowTemplate): RowTemplate {
    const known = constantsOf.get(former);
    if (known === undefined) throw new WeirError('invalid_argument', 'the template belongs to another ledger');
    if (known.made.log !== open.log.id) known.made = open.log.template(known.constants);
    return known.made;
  }

  /**
   * Each step is durable before the next, and each may be the last before a crash: the new folder exists, the old log is
   * closed, `current` names the new one, its first row stands. A step that fails is tried again by the next roll; until it
   * succeeds the ended log refuses rows, because nobody could say in which of the two they would count.
   */
  async function rollNow(why: RollReason): Promise<void> {
    const before = open;
    prepared ??= await begin();
    const next = prepared;
    const { promise, resolve: release } = Promise.withResolvers<void>();
    gate = promise;
    try {
      await before.log.close();
      ending ??= { ...why, at: now() };
      const size = before.log.stats().durableIndex;
      const closure = await closeEpoch(before.folder, {
        reason: ending.reason,
        detail: ending.detail,
        at: ending.at,
        size,
        salvage_from: ending.salvageFrom ?? null,
      });
      await disk.replace(CURRENT_FILE, Buffer.from(`${next.name}\n`));
      closed.push({ name: before.name, log: before.log.id, closure });
      open = next;
      prepared = undefined;
      ending = undefined;
      logger.warn({ log: next.log.id, before: before.log.id, reason: why.reason }, 'a new audit log was begun');
      await tellFirst(next, { log: before.log.id, size, root: '', reason: closure.reason });
    } finally {
      gate = undefined;
      release();
    }
  }

  return {
    append,
    template,
    appendTo,
    stats: () => ({ ...open.log.stats(), owing: closed.filter(({ closure }) => owes(closure)).length }),
    findByCode: (code) => open.log.findByCode(code),
    open: () => open.log,
    async roll(why) {
      rolling ??= rollNow(why).finally(() => {
        rolling = undefined;
      });
      await rolling;
    },
    async close() {
      await rolling?.catch(() => undefined);
      await open.log.close();
      await prepared?.log.close();
      await disk.close();
    },
  };
}

function owes(closure: Closure | undefined): boolean {
  return closure?.drained !== true;
}

function endingOf({ log, closure }: EpochEntry): Ending {
  return { log, size: closure?.size ?? 0, root: '', reason: closure?.reason ?? 'interrupted' };
}
