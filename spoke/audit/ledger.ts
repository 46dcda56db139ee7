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
import { createChangeSignal } from './change-signal.ts';
import { type Closure, CLOSURE_FILE, encodeClosure } from './closure.ts';
import type { NotedDamage } from './damage-note.ts';
import { sentence, watchDamage } from './damage-watch.ts';
import { CURRENT_FILE, closeEpoch, nextEpochName, orderEpochs } from './epochs.ts';
import { type DamageFound, damageBehind } from './find-damage.ts';
import { growingPause } from './growing-pause.ts';
import { knownExtent } from './known-extent.ts';
import type { LedgerDisk } from './ledger-disk.ts';
import type { LedgerEvent } from './ledger-event.ts';
import { createRowHold } from './row-hold.ts';
import type { FoundRow } from './row-reader.ts';
import type { RowConstants, RowTemplate, RowValues } from './row-template.ts';
import type { LogEnd, ShipperStats } from './shipper.ts';
import { SPOOL_LIMITS } from './spool.ts';
import type { SpoolDisk } from './spool-disk.ts';
import { type ClosedEpoch, type ShipLog, createTending } from './tend-epochs.ts';

/** Why a log ends and the next one begins. */
export interface RollReason {
  /** One snake_case word. */
  readonly reason: string;
  /** One sentence. */
  readonly detail: string;
  /** Rows from here on cannot reach the hub in the closed log; none unless given. */
  readonly salvageFrom?: number;
  /** Ids of rows from there on that the hub has refused for good. */
  readonly refused?: readonly string[];
  /** The hub itself has said so: there is nothing more to ask it. */
  readonly settled?: boolean;
}

export interface LedgerStats extends AuditLogStats {
  /** Logs that take no more rows and still owe some to the hub, oldest first. */
  readonly owing: readonly OwingLog[];
  /** What nobody has accepted yet. */
  readonly damage: readonly NotedDamage[];
}

/** A log that takes no more rows and still owes some to the hub. */
export interface OwingLog {
  readonly log: string;
  /** Why it was closed. */
  readonly reason: string;
  readonly state: 'shipping' | 'salvaging';
  /** Rows that it has, as far as that is known. */
  readonly nextIndex: number;
  /** Rows that the hub has receipted, or that stand in the open log. */
  readonly acknowledged: number;
}

export interface Ledger {
  /** Same promises as `AuditLog.append`; a roll under way makes it wait, never fail. */
  append(draft: RowDraft): Promise<Recorded>;
  /** Good for as long as the ledger lives, whichever log is open. Throws `invalid_argument`. */
  template(constants: RowConstants): RowTemplate;
  appendTo(template: RowTemplate, values: RowValues): Promise<Recorded>;
  stats(): LedgerStats;
  /** Rows of requests that stood in a closed log and were recorded again since the start. */
  recordedAgain(): number;
  /** Of the open log's upload. */
  upload(): ShipperStats;
  /** The newest row with this request code in any log whose rows are at hand. */
  findByCode(code: string): Promise<FoundRow | undefined>;
  /** Damage that nobody has accepted: a spoke in block mode refuses while there is any, unless its signed settings say otherwise. */
  damage(): readonly NotedDamage[];
  /** The log that rows go into now. */
  open(): AuditLog;
  /**
   * Ends the open log and begins the next. Rows accepted before finish where they are; rows that come meanwhile wait for the
   * new log. Rejects when no new log can be begun: until the next attempt succeeds rows are refused.
   */
  roll(why: RollReason): Promise<void>;
  /** Ships, records again what closed logs left over, reopens after disk trouble. Until the signal aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export interface LedgerOptions
  extends Omit<AuditLogOptions, 'disk' | 'clock' | 'random' | 'retiredAt' | 'elsewhereBytes'> {
  readonly disk: LedgerDisk;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Makes the row of an event. */
  readonly event: (event: LedgerEvent) => RowDraft;
  readonly ship: ShipLog;
}

/** Between two looks at whether the open log has failed. */
const WATCH_MS = 100;
const DISK_PAUSES = { firstMs: 200, maxMs: 30_000, calmMs: 60_000 } as const;
/** A hub that closes every log gets a new one ever more rarely; rows wait in the closed one meanwhile. */
const HUB_PAUSES = { firstMs: 1_000, maxMs: 10 * 60_000, calmMs: 15 * 60_000 } as const;
/** Events that could not be recorded yet; beyond it the oldest are dropped, loudly. */
const UNTOLD_MAX = 64;
const UNTOLD_RETRY_MS = 1_000;

/** Segments that the open log may have whatever the closed ones take. */
const SEGMENTS_MIN = 3;

/** An epoch whose log is at hand. */
interface Epoch {
  readonly name: string;
  readonly folder: SpoolDisk;
  readonly log: AuditLog;
}

/** Opens the worker's folder, whatever the last run left in it. Throws `conflict` when it belongs to another worker. */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const { disk, clock, random, logger, metrics } = options;
  const now = (): string => new Date(clock.nowMs()).toISOString();
  const logOf = (epoch: string): string =>
    formatLogId({ unit: options.unit, spoke: options.spoke, worker: options.worker, epoch });

  const changes = createChangeSignal();
  const hold = createRowHold();
  const untold: LedgerEvent[] = [];
  const constantsOf = new WeakMap<RowTemplate, { readonly constants: RowConstants; made: RowTemplate }>();
  /** Logs of closed epochs that are at hand, by epoch. */
  const atHand = new Map<string, AuditLog>();
  const damage = await watchDamage({ disk, clock, logger, record: (event) => append(options.event(event)) });
  /** Bytes of the segments of closed epochs, by name. */
  const bytesOf = new Map<string, number>();
  const spoolLimits = { ...SPOOL_LIMITS, ...options.limits };
  const closedBytes = (): number => bytesOf.values().reduce((sum, bytes) => sum + bytes, 0);
  /** What closed epochs take of the limit; the open log has room for a few segments in any case, or nothing could ever leave. */
  const elsewhereBytes = (): number =>
    Math.min(closedBytes(), Math.max(0, spoolLimits.totalBytes - SEGMENTS_MIN * spoolLimits.segmentBytes));
  /** One after the other. */
  let makingRoom: Promise<void> = Promise.resolve();
  /** Logs whose damage or end is being dealt with. */
  const handling = new Set<string>();
  const stopping = new AbortController();
  const diskPause = growingPause(DISK_PAUSES, clock);
  const hubPause = growingPause(HUB_PAUSES, clock);
  /** An epoch that is made and not yet named by `current`. */
  let prepared: Epoch | undefined;
  /** Why the open log was ended, while the roll is not complete. */
  let ending: (RollReason & { readonly at: string }) | undefined;
  let rolling: Promise<void> | undefined;
  /** Set while rows have to wait for the next log. */
  let gate: Promise<void> | undefined;

  const found = await orderEpochs(disk, logOf, now());
  const closed: ClosedEpoch[] = [];
  for (const { name, log, closure } of found.closed) if (closure !== undefined) closed.push({ name, log, closure });
  for (const { epoch, file, what } of found.faults) {
    const entry = closed.find(({ name }) => name === epoch);
    // Its files stay as they are, so a damaged epoch is met at every start.
    if (entry?.closure.reason === 'damaged' && file !== CLOSURE_FILE) continue;
    const harm = { what, file, offset: 0, index: 0 };
    await damage.note(epoch === '' ? '' : logOf(epoch), harm);
    if (entry === undefined) continue;
    const detail = `${entry.closure.reason}, then ${sentence({ log: entry.log, ...harm })}`.slice(0, 400);
    await save(entry, { ...entry.closure, reason: 'damaged', detail });
  }
  for (const { name } of closed) await measure(name);
  let open = await openCurrent();
  if (open.log.stats().nextIndex === 0) {
    await tellFirst(open, closed.at(-1)).catch((thrown: unknown) =>
      logger.error({ log: open.log.id, error: describeThrown(thrown) }, 'the audit log could not be begun'),
    );
  }
  if (open.log.torn !== undefined) {
    const { segment, offset, nextIndex } = open.log.torn;
    await tell({
      outcome: 'log_repaired',
      detail: 'a batch that the last run left unfinished was cut off',
      facts: { log: open.log.id, segment, offset, index: nextIndex },
    });
  }
  await damage.attend().catch(() => undefined);
  makeRoomSoon();

  const tending = createTending({
    ledger: {
      open: () => open.log,
      closed: () => closed,
      folder: ({ name }) => disk.epoch(name),
      logOf: readable,
      save,
      append,
      tell,
      damaged,
      ended: (log, end) => void ended(log, end),
      hubLost(log, { receipted, held }) {
        const detail = `the hub has ${held} of ${receipted} rows that it has receipted`;
        void tell({ outcome: 'hub_lost_rows', detail, facts: { log, receipted, held } });
      },
      changes,
    },
    ship: options.ship,
    hold,
    event: options.event,
    clock,
    random,
    logger,
  });

  async function openCurrent(): Promise<Epoch> {
    const entry = found.open;
    if (entry !== undefined) {
      const { name } = entry;
      const folder = await disk.epoch(name);
      try {
        return { name, folder, log: await createAuditLog({ ...options, disk: folder, elsewhereBytes }) };
      } catch (thrown) {
        if (!(thrown instanceof WeirError && thrown.code === 'corrupt')) throw thrown;
        const harm = await damageBehind(folder, entry.log, thrown);
        await damage.note(entry.log, harm);
        const why = { reason: 'damaged', detail: sentence({ log: entry.log, ...harm }), at: now(), size: null };
        const closure = await closeEpoch(folder, { ...why, salvage_from: harm.inRows ? harm.index : null });
        closed.push({ name, log: entry.log, closure });
        await measure(name);
      }
    }
    const begun = await begin();
    try {
      await disk.replace(CURRENT_FILE, Buffer.from(`${begun.name}\n`));
      return begun;
    } catch (thrown) {
      await begun.log.close().catch(() => undefined);
      throw thrown;
    }
  }

  async function begin(): Promise<Epoch> {
    const name = nextEpochName(random, await disk.epochs());
    const folder = await disk.epoch(name);
    try {
      await folder.replace('log.json', Buffer.from(`${JSON.stringify({ v: 1, log: logOf(name) })}\n`));
      return { name, folder, log: await createAuditLog({ ...options, disk: folder, elsewhereBytes }) };
    } catch (thrown) {
      // Without rows and without a name in `current` it never was; what stays is cleared at the next start.
      await disk.discard(name).catch(() => undefined);
      throw thrown;
    }
  }

  /** The first row of an epoch says what was before it. */
  async function tellFirst({ log }: Epoch, before: ClosedEpoch | undefined): Promise<void> {
    const { log: id = '', closure } = before ?? {};
    const size = closure?.size ?? 0;
    const root = before === undefined ? '' : await rootOf(before, size).catch(() => '');
    const reason = closure?.reason ?? 'first';
    const detail = id === '' ? 'first log of this worker' : `follows ${id}: ${reason}`;
    await log.append(options.event({ outcome: 'epoch_opened', detail, facts: { before: id, size, root, reason } }));
  }

  /** Root of a closed log in base64, as its checkpoints have it; '' when it cannot be told. */
  async function rootOf({ name }: ClosedEpoch, size: number): Promise<string> {
    const log = atHand.get(name);
    return log === undefined ? '' : (await log.rootAt(size)).toString('base64');
  }

  /** Records an event, now or as soon as a row can be written. */
  async function tell(event: LedgerEvent): Promise<void> {
    untold.push(event);
    if (untold.length > UNTOLD_MAX) logger.error({ ...untold.shift() }, 'an event of the ledger goes unrecorded');
    await tellUntold();
  }

  async function tellUntold(): Promise<void> {
    for (let event = untold.shift(); event !== undefined; event = untold.shift()) {
      try {
        await append(options.event(event));
      } catch (thrown) {
        untold.unshift(event);
        const { outcome } = event;
        logger.error({ outcome, error: describeThrown(thrown) }, 'an event row could not be made durable');
        return;
      }
    }
  }

  function append(draft: RowDraft): Promise<Recorded> {
    if (gate !== undefined) return gate.then(() => append(draft));
    return ending === undefined ? open.log.append(draft) : Promise.reject(between());
  }

  function appendTo(made: RowTemplate, values: RowValues): Promise<Recorded> {
    if (gate !== undefined) return gate.then(() => appendTo(made, values));
    const { log } = open;
    if (ending !== undefined) return Promise.reject(between());
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

  function roll(why: RollReason): Promise<void> {
    rolling ??= rollNow(why).finally(() => {
      rolling = undefined;
      changes.raise();
    });
    return rolling;
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
      // Before anything can fail: a log that takes no more rows is seen to until there is another.
      ending ??= { ...why, at: now() };
      const size = await before.log.retire();
      const { reason, detail, at, salvageFrom, refused = [], settled = false } = ending;
      const isLeft = salvageFrom !== undefined && salvageFrom < size;
      const closure = await closeEpoch(before.folder, {
        reason,
        detail,
        at,
        size,
        settled,
        salvage_from: isLeft ? salvageFrom : null,
        refused: [...refused],
        drained: settled && !isLeft,
      });
      await disk.replace(CURRENT_FILE, Buffer.from(`${next.name}\n`));
      const entry = { name: before.name, log: before.log.id, closure };
      atHand.set(before.name, before.log);
      closed.push(entry);
      open = next;
      prepared = undefined;
      ending = undefined;
      metrics.count('weir_spoke_audit_epochs_total', { reason });
      logger.warn({ log: next.log.id, before: entry.log, size, reason, detail }, 'a new audit log was begun');
      await measure(before.name).catch(() => undefined);
      await tellFirst(next, entry);
      if (closure.drained) {
        await letGo(before.name);
        makeRoomSoon();
      }
    } finally {
      gate = undefined;
      release();
    }
  }

  /** The log of a closed epoch for reading and shipping, as far as its rows are sound. */
  async function readable(epoch: ClosedEpoch): Promise<AuditLog> {
    const known = atHand.get(epoch.name);
    if (known !== undefined) return known;
    const { size, salvage_from: bad } = epoch.closure;
    const folder = await disk.epoch(epoch.name);
    const retiredAt = Math.min(size ?? Number.MAX_SAFE_INTEGER, bad ?? Number.MAX_SAFE_INTEGER);
    // Damaged files are evidence: none of them goes when its rows are with the hub.
    const isEvidence = epoch.closure.reason === 'damaged';
    const limits = { ...options.limits, ...(isEvidence ? { keepBytes: Number.MAX_SAFE_INTEGER } : {}) };
    const log = await createAuditLog({ ...options, disk: folder, retiredAt, limits });
    atHand.set(epoch.name, log);
    return log;
  }

  function owingLog({ name, log, closure }: ClosedEpoch): OwingLog {
    const known = atHand.get(name)?.stats();
    const acknowledged = closure.salvage?.next ?? known?.acknowledged ?? 0;
    const nextIndex = closure.size ?? known?.durableIndex ?? acknowledged;
    return { log, reason: closure.reason, state: closure.settled ? 'salvaging' : 'shipping', nextIndex, acknowledged };
  }

  async function letGo(name: string): Promise<void> {
    const log = atHand.get(name);
    atHand.delete(name);
    await log?.close();
  }

  async function save(epoch: ClosedEpoch, closure: Closure): Promise<void> {
    await (await disk.epoch(epoch.name)).replace(CLOSURE_FILE, encodeClosure(closure));
    epoch.closure = closure;
    if (closure.drained) {
      await letGo(epoch.name);
      makeRoomSoon();
    }
    changes.raise();
  }

  function makeRoomSoon(): void {
    makingRoom = makingRoom.then(makeRoom).catch((thrown: unknown) => {
      logger.warn({ error: describeThrown(thrown) }, 'rows of closed audit logs could not be dropped yet');
    });
  }

  /** Notes how much room a closed epoch's rows take. */
  async function measure(name: string): Promise<void> {
    const folder = await disk.epoch(name);
    let bytes = 0;
    for (const file of await folder.list()) if (file.endsWith('.seg')) bytes += await folder.size(file);
    bytesOf.set(name, bytes);
  }

  /** Rows of closed epochs that owe nothing go, oldest first, when they are more than is kept, or when rows need their room. */
  async function makeRoom(): Promise<void> {
    for (const { name, closure } of closed) if (closure.drained) await measure(name);
    const isEvidence = damage.standing().length > 0;
    for (const epoch of closed) {
      const { keepBytes, totalBytes, segmentBytes } = spoolLimits;
      const kept = closed.reduce(
        (sum, { name, closure }) => (closure.drained ? sum + (bytesOf.get(name) ?? 0) : sum),
        0,
      );
      const isTight = closedBytes() + open.log.stats().usedBytes + 2 * segmentBytes > totalBytes;
      if (kept <= keepBytes && !isTight) return;
      const { name, closure } = epoch;
      if (!closure.drained || (bytesOf.get(name) ?? 0) === 0) continue;
      if (closure.reason === 'damaged') {
        if (isEvidence) continue;
        // Nothing is proved from a damaged log: its rows stand in another one.
        const folder = await disk.epoch(name);
        for (const file of await folder.list()) if (file.endsWith('.seg')) await folder.remove(file);
      } else {
        await (await readable(epoch)).drop();
        await letGo(name);
      }
      await measure(name);
      logger.info({ log: epoch.log }, 'the rows of a closed audit log were dropped');
    }
  }

  /** A log that is being read is not what was written: named exactly, ended if it is open, shipped as far as it is sound. */
  async function damaged(id: string, thrown: WeirError): Promise<void> {
    if (handling.has(id)) return;
    handling.add(id);
    try {
      const epoch = closed.find(({ log }) => log === id);
      const folder = epoch === undefined ? open.folder : await disk.epoch(epoch.name);
      const harm = await damageBehind(folder, id, thrown);
      await damage.note(id, harm);
      if (epoch !== undefined) await cutShort(epoch, harm);
      else if (open.log.id === id) {
        const { name } = open;
        const detail = sentence({ log: id, ...harm });
        await roll({ reason: 'damaged', detail, ...(harm.inRows ? { salvageFrom: harm.index } : {}) });
        // Opened anew it ends where it is sound.
        await letGo(name);
      }
      await damage.attend();
    } catch (failed) {
      logger.error({ log: id, error: describeThrown(failed) }, 'a damaged audit log could not be closed yet');
    } finally {
      handling.delete(id);
    }
  }

  /** A closed log is shipped to where it is sound; one of which nothing can be shipped is left to salvage. */
  async function cutShort(epoch: ClosedEpoch, harm: DamageFound): Promise<void> {
    const { closure } = epoch;
    const sound = closure.salvage_from ?? Number.MAX_SAFE_INTEGER;
    await letGo(epoch.name);
    if (harm.inRows && harm.index < sound) await save(epoch, { ...closure, salvage_from: harm.index, settled: false });
    else {
      const { from } = await knownExtent(await disk.epoch(epoch.name));
      await save(epoch, { ...closure, salvage_from: Math.min(sound, from), settled: true });
    }
  }

  /** The hub takes no more rows of the open log: it is followed by another as soon as the disk allows. */
  async function ended(id: string, end: LogEnd): Promise<void> {
    if (handling.has(id)) return;
    handling.add(id);
    try {
      while (open.log.id === id && !stopping.signal.aborted) {
        const pauseMs = hubPause.next();
        if (pauseMs > 0)
          logger.error({ log: id, reason: end.reason, pause_ms: pauseMs }, 'the hub closes one log after the other');
        await clock.sleep(pauseMs, stopping.signal);
        // Followed by another meanwhile: what the hub said is not about that one.
        if (open.log.id !== id) return;
        const { reason, detail, salvageFrom, refused = [] } = end;
        await roll({ reason, detail, salvageFrom, refused, settled: true }).catch((failed: unknown) =>
          logger.error(
            { log: id, error: describeThrown(failed) },
            'a log that the hub has closed could not be followed by another yet',
          ),
        );
      }
    } catch (thrown) {
      if (!stopping.signal.aborted) throw thrown;
    } finally {
      handling.delete(id);
    }
  }

  /** No row can be recorded before there is another log. */
  function isOut(): boolean {
    return open.log.stats().state === 'failed' || ending !== undefined;
  }

  /** Goes on after the disk has failed, on new files: what a failed flush left in the old ones nobody knows. */
  async function watchLog(signal: AbortSignal): Promise<void> {
    let failedAt: string | undefined;
    let attempts = 0;
    while (!signal.aborted) {
      try {
        if (isOut()) {
          failedAt ??= now();
          await clock.sleep(diskPause.next(), signal);
          // Somebody else may have had more luck meanwhile.
          if (!isOut()) continue;
          attempts += 1;
          const { id } = open.log;
          await roll({ reason: 'disk_failed', detail: open.log.stats().reason });
          const facts = { log: id, failed_at: failedAt, attempts };
          await tell({ outcome: 'log_reopened', detail: `rows are recorded again, after ${id} had failed`, facts });
        } else {
          failedAt = undefined;
          attempts = 0;
          await clock.sleep(untold.length > 0 ? UNTOLD_RETRY_MS : WATCH_MS, signal);
        }
        if (untold.length > 0) await tellUntold();
      } catch (thrown) {
        if (!signal.aborted)
          logger.error({ attempts, error: describeThrown(thrown) }, 'the audit log could not be reopened yet');
      }
    }
  }

  return {
    append,
    template,
    appendTo,
    roll,
    stats() {
      const stats = open.log.stats();
      return {
        ...stats,
        state: ending === undefined ? stats.state : 'failed',
        owing: closed.filter(({ closure }) => !closure.drained).map(owingLog),
        damage: damage.standing(),
      };
    },
    recordedAgain: () => tending.recordedAgain(),
    upload: () => tending.stats(),
    async findByCode(code) {
      for (const log of [open.log, ...[...atHand.values()].toReversed()]) {
        const row = await log.findByCode(code);
        if (row !== undefined) return row;
      }
      return undefined;
    },
    damage: () => damage.standing(),
    open: () => open.log,
    async run(signal) {
      await Promise.all([tending.run(signal), damage.run(signal), watchLog(signal)]);
    },
    async close() {
      stopping.abort(new WeirError('cancelled', 'the ledger is closing'));
      await rolling?.catch(() => undefined);
      await makingRoom;
      // Each is let go of, whatever becomes of the others.
      const logs = [open.log, ...(prepared === undefined ? [] : [prepared.log]), ...atHand.values()];
      const ends = await Promise.allSettled(logs.map((log) => log.close()));
      await disk.close();
      const failed = ends.find((end) => end.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    },
  };
}

function between(): WeirError {
  return new WeirError('spool_failed', 'the audit log has ended and the next one cannot be begun yet', {
    retry: 'later',
    next: 'check the disk; the spoke tries again by itself',
  });
}
