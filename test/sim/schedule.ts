// One simulated run from one seed: a spoke's workers, hubs and a line in trouble of every kind; then the trouble stops, and
// everything has to come right within a bounded number of steps.

import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import { openCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { parseVkey } from '@weir/shared/audit/tlog/note.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { LogOpening, LogPosition, RowBatch, UploadAnswer } from '@weir/shared/wire/audit.ts';
import { createChance } from '../kill/chance.ts';
import { createBook } from './book.ts';
import { createSimDatabase } from './sim-database.ts';
import { createSimDisk, type Platters, type SimDisk } from './sim-disk.ts';
import { createHubs } from './sim-hub.ts';
import { createLine, type LineFaults } from './sim-line.ts';
import { draftOf, type RecordAt, idOf, recordsOf, type RowKind } from './sim-rows.ts';
import { createWorker, PEER, type Request, type Worker } from './sim-spoke.ts';
import { World } from './world.ts';

/** Kinds of trouble. A run draws a few of them, so that each also comes alone. */
export const FAULTS = [
  'spoke_crash',
  'spoke_stop',
  'hub_crash',
  'line_lossy',
  'line_down',
  'commit_fails',
  'disk_full',
  'disk_fails',
  'clock_jump',
  'hub_restored',
  'spoke_restored',
  'clone',
  'flipped_bit',
  'poison',
] as const;
export type Fault = (typeof FAULTS)[number];

export interface Outcome {
  readonly seed: number;
  readonly digest: string;
  readonly steps: number;
  readonly rows: number;
  /** What came to pass, and how often. */
  readonly reached: ReadonlyMap<string, number>;
  /** What was wrong; undefined when nothing was. */
  readonly failure: string | undefined;
}

const HEALING_STEPS_MAX = 30_000;
/** Turns in which nothing happens, although somebody looks after everything. */
const STILL_MAX = 4;
/** Between two looks at whether all is well. */
const LOOK_EVERY = 8;
const HOUR_MS = 3_600_000;

export async function runSchedule(seed: number, listen?: (line: string) => void): Promise<Outcome> {
  const chance = createChance(seed);
  const world = new World(chance, listen);
  const reached = new Map<string, number>();
  const reach = (what: string): void => void reached.set(what, (reached.get(what) ?? 0) + 1);
  let failure: string | undefined;
  const fail = (what: string): void => {
    if (failure === undefined) world.note(`WRONG: ${what}`);
    failure ??= what;
  };

  const metrics: Metrics = {
    count(name, labels, by = 1) {
      const label = labels === undefined ? '' : Object.values(labels).join(' ');
      if (by > 0 && COUNTED.has(name)) reach(`${name.slice('weir_'.length, -'_total'.length)} ${label}`.trimEnd());
    },
    gauge: () => undefined,
    observe: () => undefined,
  };
  const logger = (name: string): Logger => {
    if (listen === undefined) return SILENT;
    const say = (level: string) => (fields: object, message: string) =>
      listen(`    ${name} ${level}: ${message} ${JSON.stringify(fields, (_key, value: unknown) => (value instanceof Error ? value.message : value))}`);
    const own: Logger = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error'), child: () => own };
    return own;
  };

  // The scene.
  const menu = new Set<Fault>(FAULTS.filter(() => chance.unit() < 0.25));
  const db = createSimDatabase(world);
  db.onFailure = (what) => reach(`database ${what}`);
  let superseded = 0;
  db.onSuperseded = () => {
    superseded += 1;
    reach('superseded process heard');
  };
  const hubs = createHubs(world, db, { logger, metrics });
  const book = createBook(db);
  const done = new Set<Fault>();
  const faults: LineFaults = { down: false, failing: 0, onFailure: (what) => reach(`line loses ${what}`), poison: undefined };
  const wantedHubs = chance.unit() < 0.3 ? 2 : 1;
  const bursts = chance.unit() < 0.25;
  let unresolved = 0;
  let isHealing = false;

  function meet(fault: Fault): void {
    done.add(fault);
    reach(`fault ${fault}`);
    world.note(`FAULT ${fault}`);
  }

  // What passes on the line, looked at as it passes.
  const receipts = new Map<string, string>();

  function seeReceipt(log: string, nextIndex: number, receipt: Uint8Array): void {
    if (receipt.length === 0) return;
    const [, size = '', root = ''] = Buffer.from(receipt).toString('latin1').split('\n', 3);
    if (Number(size) !== nextIndex) fail(`a receipt for ${size} rows came with ${nextIndex} of ${log}`);
    const key = `${log} ${size}`;
    const known = receipts.get(key);
    receipts.set(key, root);
    if (known !== undefined && known !== root && !done.has('hub_restored')) fail(`two receipts for ${size} rows of ${log} contradict each other`);
  }

  const isAlarmed = (kinds: readonly string[], log: string): boolean =>
    db.alarms.some((alarm) => alarm.log === log && kinds.includes(alarm.kind));

  function sawOpening(opening: LogOpening, position: LogPosition): void {
    const { log } = opening;
    const { nextIndex, state } = position;
    seeReceipt(log, nextIndex, position.receipt);
    if (state === 'closed') {
      if (db.heads().get(log)?.state === 'closed' && !db.alarms.some((alarm) => alarm.log === log)) fail(`${log} was closed without an alarm`);
      return;
    }
    const head = db.heads().get(log);
    if (head === undefined) return;
    const size = opening.checkpoint.length === 0 ? 0 : openCheckpoint(opening.checkpoint, parseVkey(head.vkey)).size;
    if (size < nextIndex && !done.has('clone')) fail(`the hub has ${nextIndex} rows of ${log} and let in a spoke with ${size}`);
    const receipted = sizeIn(opening.receipt);
    if (receipted > nextIndex && !isAlarmed(['rows_lost'], log)) fail(`the hub lost rows of ${log} that it had receipted, without an alarm`);
  }

  function sawAnswer(batch: RowBatch, answer: UploadAnswer, poisoned: boolean): void {
    if (answer.kind === 'ack') {
      seeReceipt(answer.log, answer.nextIndex, answer.receipt);
      if (poisoned) fail(`a batch that was changed on its way was taken into ${batch.log}`);
    } else if (poisoned && FATAL.has(answer.code)) {
      reach('poisoned batch refused');
      if (!isAlarmed(['poisoned', 'fork'], batch.log)) fail(`a poisoned batch of ${batch.log} raised no alarm`);
    }
  }

  // The workers.
  let workers: Worker[] = [];
  /** Copies of a worker that run somewhere else, by worker. */
  const clones: Worker[] = [];
  const all = (): readonly Worker[] => [...workers, ...clones];
  const disks = (): readonly SimDisk[] => all().map(({ disk }) => disk);

  function addWorker(name: string, worker: string, disk: SimDisk): Worker {
    disk.onFailure = (what) => reach(`disk fails: ${what.split(' ', 1)[0]}`);
    return createWorker({
      world,
      name,
      worker,
      disk,
      logger,
      metrics,
      uplink: (process) =>
        createLine({
          world,
          hubs,
          faults,
          watch: {
            opened: (_who, opening, position) => sawOpening(opening, position),
            answered: (_who, batch, answer, poisoned) => sawAnswer(batch, answer, poisoned),
          },
          spoke: process,
          peer: PEER,
        }),
      onRequest: (request) => book.asked(request),
      onAnswered: () => reach('answered'),
      onWrong: fail,
      onEvent(event, draft) {
        book.told(draft);
        reach(`event ${event.outcome}`);
      },
      onStartFailed(thrown) {
        reach('start failed');
        if (isHealing || !isInjected(thrown)) fail(`${name} does not start: ${thrown instanceof Error ? thrown.stack : String(thrown)}`);
      },
    });
  }

  const savedDisks = new Map<Worker, Platters>();
  let savedDatabase: unknown;

  function request(worker: Worker, kind: RowKind, viaTemplate: boolean): void {
    const { process } = worker;
    if (process === undefined) return;
    worker.request(draftOf(kind, world.random(process), Math.floor(world.nowMs + process.skewMs)), viaTemplate);
  }

  const actions: Record<Fault, () => void> = {
    spoke_crash() {
      const worker = chance.pick(all());
      if (worker.process === undefined) return;
      meet('spoke_crash');
      worker.crash();
    },
    spoke_stop() {
      const worker = chance.pick(workers);
      if (worker.ledger === undefined) return;
      meet('spoke_stop');
      worker.stop();
    },
    hub_crash() {
      if (hubs.alive.length === 0) return;
      meet('hub_crash');
      hubs.crash(chance.pick(hubs.alive));
    },
    line_lossy() {
      faults.failing = faults.failing > 0 ? 0 : 0.2;
      if (faults.failing > 0) meet('line_lossy');
    },
    line_down() {
      faults.down = !faults.down;
      if (faults.down) meet('line_down');
    },
    commit_fails() {
      db.failing = db.failing > 0 ? 0 : chance.pick([0.2, 0.7]);
      if (db.failing > 0) meet('commit_fails');
    },
    disk_full() {
      const { disk } = chance.pick(all());
      disk.full = !disk.full;
      if (disk.full) meet('disk_full');
    },
    disk_fails() {
      const { disk } = chance.pick(all());
      disk.failing = disk.failing > 0 ? 0 : chance.pick([0.1, 0.5, 1]);
      if (disk.failing > 0) meet('disk_fails');
    },
    clock_jump() {
      const jump = (chance.unit() - 0.5) * 2 * chance.pick([60_000, HOUR_MS, 24 * HOUR_MS]);
      meet('clock_jump');
      if (chance.unit() < 0.3) hubs.skewMs = Math.round(jump);
      else chance.pick(all()).skewMs = Math.round(jump);
    },
    hub_restored() {
      if (savedDatabase === undefined || chance.unit() < 0.4) {
        savedDatabase = db.snapshot();
        return;
      }
      for (const replica of hubs.alive) hubs.crash(replica);
      meet('hub_restored');
      // Of logs that take no more rows nobody asks again what the hub has of them.
      const open = new Set(workers.map(({ lastLog }) => lastLog));
      const settled = [...db.heads().values()].filter(({ log, state }) => state === 'closed' || !open.has(log));
      const told = settled.flatMap(({ log }) => db.rowsOf(log).map((row) => idOf(row.bytes)));
      book.losing(disks, () => db.restore(savedDatabase));
      book.forgive(told);
    },
    spoke_restored() {
      const worker = chance.pick(workers);
      const saved = savedDisks.get(worker);
      if (saved === undefined || chance.unit() < 0.4) {
        savedDisks.set(worker, worker.disk.snapshot());
        return;
      }
      worker.crash();
      meet('spoke_restored');
      book.losing(disks, () => worker.disk.restore(saved));
    },
    clone() {
      const [clone] = clones;
      if (clone !== undefined) {
        dropClone(clone);
        return;
      }
      const original = chance.pick(workers);
      if (original.disk.platters.size === 0) return;
      meet('clone');
      const copy = addWorker(`${original.worker}'`, original.worker, createSimDisk(world, original.disk.snapshot()));
      clones.push(copy);
      copy.start();
    },
    flipped_bit() {
      const worker = chance.pick(workers);
      worker.crash();
      flip(worker.disk);
    },
    poison() {
      faults.poison = (batch) => {
        const changed = poisoned(batch);
        if (changed === undefined) return undefined;
        faults.poison = undefined;
        meet('poison');
        return changed;
      };
    },
  };

  function dropClone(clone: Worker): void {
    clone.crash();
    book.losing(disks, () => clones.splice(clones.indexOf(clone), 1));
  }

  function flip(disk: SimDisk): void {
    const files = [...disk.platters].filter(([, content]) => content.length > 0);
    if (files.length === 0) return;
    const segments = files.filter(([path, content]) => path.endsWith('.seg') && recordsOf(content).length > 0);
    const [path, content] = chance.pick(segments.length > 0 && chance.unit() < 0.6 ? segments : files);
    const records = path.endsWith('.seg') ? recordsOf(content) : [];
    const end = records.at(-1)?.end ?? content.length;
    const at = chance.between(0, end);
    meet('flipped_bit');
    reach(`flipped bit in ${path.endsWith('.seg') ? 'segment' : (path.split('/').at(-1) ?? '').replace(/^[0-9]+$/, 'receipts')}`);
    world.note(`flips bit in ${path} at ${at} of ${end}`);
    const tail = tailOf(disk, path, records).filter(({ end: recordEnd }) => recordEnd > at);
    book.losing(disks, () => {
      content[at] = (content[at] ?? 0) ^ (1 << chance.between(0, 8));
    });
    const hit = records.filter(({ start, end: recordEnd }) => start <= at && at < recordEnd);
    book.forgive([...hit, ...tail].map(({ id }) => id));
  }

  /** The records of the last batch of a log, if nothing that was signed speaks for them: damaged, they look unfinished. */
  function tailOf(disk: SimDisk, path: string, records: readonly RecordAt[]): readonly RecordAt[] {
    const folder = path.slice(0, path.lastIndexOf('/') + 1);
    const first = records.at(-1);
    const isNewest = ![...disk.platters].some(
      ([other, content]) => other.startsWith(folder) && other.endsWith('.seg') && other > path && recordsOf(content).length > 0,
    );
    if (first === undefined || !isNewest) return [];
    const signed = Math.max(sizeIn(disk.platters.get(`${folder}checkpoint`) ?? Buffer.alloc(0)), sizeIn(disk.platters.get(`${folder}receipt`) ?? Buffer.alloc(0)));
    return records.filter(({ index }) => index >= first.index - first.batchPosition && index >= signed);
  }

  function poisoned(batch: RowBatch): RowBatch | undefined {
    const part = chance.pick(['row', 'row', 'checkpoint'] as const);
    if (part === 'checkpoint') return { ...batch, checkpoint: changedByte(batch.checkpoint) };
    const at = chance.between(0, batch.rows.length);
    return { ...batch, rows: batch.rows.map((row, place) => (place === at ? changedByte(row) : row)) };
  }

  function changedByte(bytes: Uint8Array): Uint8Array {
    const changed = Buffer.from(bytes);
    const at = chance.between(0, changed.length);
    changed[at] = (changed[at] ?? 0) ^ (1 << chance.between(0, 7));
    return changed;
  }

  function act(): void {
    if (hubs.alive.length < wantedHubs && chance.unit() < 0.3) {
      hubs.start();
      return;
    }
    const down = all().filter(({ process }) => process === undefined);
    if (down.length > 0 && chance.unit() < 0.4) {
      chance.pick(down).start();
      return;
    }
    if (menu.size > 0 && chance.unit() < 0.3) {
      actions[chance.pick([...menu])]();
      return;
    }
    for (const worker of all()) if ((worker.ledger?.damage().length ?? 0) > 0 && chance.unit() < 0.3) worker.accept();
    const worker = chance.pick(all());
    if (bursts && chance.unit() < 0.3) for (let left = chance.between(10, 40); left > 0; left -= 1) request(worker, 'served', true);
    else if (bursts && chance.unit() < 0.3) for (let left = chance.between(1, 6); left > 0; left -= 1) request(worker, 'large', true);
    else for (let left = chance.between(1, 5); left > 0; left -= 1) request(worker, chance.unit() < 0.2 ? 'refused' : 'served', chance.unit() < 0.4);
  }

  function heal(): void {
    isHealing = true;
    world.note('HEALING');
    world.latenessMs = 2_000;
    Object.assign(faults, { down: false, failing: 0, poison: undefined });
    db.failing = 0;
    for (const clone of [...clones]) dropClone(clone);
    for (const { disk } of workers) {
      disk.full = false;
      disk.failing = 0;
    }
  }

  /** An operator's and a supervisor's turn; true when nothing is left to be done. */
  function look(): boolean {
    if (hubs.alive.length === 0) hubs.start();
    let isWell = true;
    for (const worker of workers) {
      const { ledger } = worker;
      if (worker.process === undefined) worker.start();
      if (ledger === undefined) {
        isWell = false;
        continue;
      }
      if (ledger.damage().length > 0) {
        worker.accept();
        isWell = false;
        continue;
      }
      const stats = ledger.stats();
      // Whether there is room again is seen by the next row.
      if (stats.state === 'full') request(worker, 'served', false);
      const head = db.heads().get(stats.log);
      isWell &&=
        stats.owing.length === 0 &&
        stats.state === 'open' &&
        stats.durableIndex === stats.nextIndex &&
        stats.acknowledged === stats.nextIndex &&
        head?.nextIndex === stats.nextIndex &&
        ledger.upload().acknowledged === stats.nextIndex;
    }
    return isWell;
  }

  function describe(): string {
    return workers
      .map(({ name, ledger }) => {
        if (ledger === undefined) return `${name} is down`;
        const { log, state, nextIndex, durableIndex, acknowledged, owing } = ledger.stats();
        const head = db.heads().get(log);
        const upload = ledger.upload();
        return JSON.stringify({ name, log, state, nextIndex, durableIndex, acknowledged, owing, damage: ledger.damage(), upload, hub: head?.nextIndex, hubState: head?.state });
      })
      .join('\n');
  }

  workers = Array.from({ length: chance.unit() < 0.15 ? 2 : 1 }, (_, at) => addWorker(`w${at}`, `w${at}`, createSimDisk(world)));
  for (let left = wantedHubs; left > 0; left -= 1) hubs.start();
  for (const worker of workers) worker.start();
  let actsLeft = chance.between(15, 50);
  let steps = 10;
  let healingSteps = 0;
  /** Turns in which nothing was under way. */
  let still = 0;
  let rows = 0;

  try {
    await world.run(() => {
      if (failure !== undefined) return false;
      if (!isHealing) {
        if (steps > 0) {
          steps -= 1;
          world.step();
        } else if (actsLeft > 0) {
          actsLeft -= 1;
          act();
          steps = Math.floor(-Math.log(1 - chance.unit()) * 7);
        } else heal();
        return true;
      }
      healingSteps += 1;
      if ((still > 0 || healingSteps % LOOK_EVERY === 1) && look()) return false;
      still = world.step() ? 0 : still + 1;
      if (healingSteps > HEALING_STEPS_MAX || still > STILL_MAX) {
        fail(`it does not come right after ${healingSteps} steps:\n${describe()}`);
        return false;
      }
      return true;
    });
    if (failure === undefined) {
      const settled = book.settle({ doubles: done.has('clone') || done.has('spoke_restored') || done.has('flipped_bit') });
      ({ rows } = settled);
      if (settled.doubled > 0) reach('doubled rows of copies');
      checkRoots();
      await checkWorkers();
      checkAlarms();
    }
  } catch (thrown) {
    fail(thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
  }

  function checkRoots(): void {
    for (const [log, { nextIndex, edge }] of db.heads()) world.note(`end ${log} ${nextIndex} ${edge.toString('hex', 0, 16)}`);
  }

  /** Both sides sign the same tree. */
  async function checkWorkers(): Promise<void> {
    for (const { ledger, name } of workers) {
      const log = ledger?.open();
      const head = log === undefined ? undefined : db.heads().get(log.id);
      if (log === undefined || head === undefined || head.nextIndex === 0) continue;
      let root: Buffer | undefined;
      void log.rootAt(head.nextIndex).then((told) => {
        root = told;
      });
      let left = 200;
      await world.run(() => root === undefined && left-- > 0 && world.step());
      const signed = openCheckpoint(head.checkpoint, parseVkey(head.vkey));
      if (root?.equals(signed.root) !== true) fail(`${name} and the hub have other roots for ${log.id}`);
    }
  }

  function checkAlarms(): void {
    const isSure = !done.has('hub_crash') && !done.has('hub_restored') && !done.has('commit_fails') && !done.has('spoke_crash');
    if (superseded > 0 && isSure && !db.alarms.some(({ kind }) => kind === 'cloned_identity')) fail('a superseded process was heard without an alarm');
    const allowed = new Set([...done].flatMap((fault) => ALARMS[fault] ?? []));
    for (const { kind, log, detail } of db.alarms) {
      if (!allowed.has(kind)) fail(`alarm ${kind} about ${log} (${detail}) after ${[...done].join(', ') || 'no trouble'}`);
    }
  }

  // Whatever is still under way must not go on into the next run.
  for (const worker of all()) worker.crash();
  for (const replica of hubs.alive) hubs.crash(replica);
  void unresolved;
  return { seed, digest: world.digest, steps: world.steps, rows, reached, failure };
}

const COUNTED: ReadonlySet<string> = new Set([
  'weir_spoke_audit_epochs_total',
  'weir_spoke_audit_hub_losses_total',
  'weir_spoke_audit_receipts_refused_total',
  'weir_hub_audit_nacks_total',
  'weir_hub_audit_alarms_total',
  'weir_hub_audit_retries_total',
  'weir_hub_audit_repeated_total',
]);

/** Alarms that a kind of trouble may raise; no other may. */
const ALARMS: Partial<Record<Fault, readonly string[]>> = {
  hub_restored: ['rows_lost'],
  spoke_restored: ['rollback', 'fork'],
  clone: ['cloned_identity', 'fork', 'rollback', 'poisoned'],
  flipped_bit: ['rollback', 'fork'],
  poison: ['poisoned', 'fork'],
};

const FATAL: ReadonlySet<string> = new Set([
  'malformed',
  'not_canonical',
  'too_large',
  'unsound',
  'fork',
  'bad_signature',
  'inconsistent',
  'wrong_identity',
]);

const SILENT: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => SILENT,
};

function sizeIn(note: Uint8Array): number {
  return Number(Buffer.from(note).toString('latin1').split('\n', 2)[1] ?? 0);
}

/** A failure that the disk was told to have. */
function isInjected(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  if ('code' in thrown && thrown.code === 'EIO') return true;
  if (thrown instanceof WeirError && thrown.code === 'resource_exhausted') return true;
  return isInjected(thrown.cause);
}
export type { Request };
