// One simulated run from one seed: a spoke's workers, hubs and a line in trouble of every kind; then the trouble stops, and
// everything has to come right within a bounded number of steps.

import { openCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { parseVkey } from '@weir/shared/audit/tlog/note.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Ledger } from '@weir/spoke/audit/ledger.ts';
import { createChance } from '../kill/chance.ts';
import { createBook } from './book.ts';
import { alarmsAfter, type Fault, FAULTS, mayDouble } from './faults.ts';
import { createSimDatabase } from './sim-database.ts';
import { createSimDisk, type SimDisk } from './sim-disk.ts';
import { createHubs } from './sim-hub.ts';
import { createLine, type LineFaults } from './sim-line.ts';
import { draftOf, type RowKind } from './sim-rows.ts';
import { createWorker, PEER, type Worker } from './sim-spoke.ts';
import { createTrouble } from './trouble.ts';
import { createWitness } from './witness.ts';
import { World } from './world.ts';

export interface Outcome {
  readonly seed: number;
  /** Of everything that happened, in order. */
  readonly digest: string;
  readonly steps: number;
  /** At the hub in the end. */
  readonly rows: number;
  /** What came to pass, and how often. */
  readonly reached: ReadonlyMap<string, number>;
  /** What was wrong; undefined when nothing was. */
  readonly failure: string | undefined;
}

/** Share of the kinds of trouble that a run has: each also has to come alone. */
const MENU_SHARE = 0.25;
const ACTS = { min: 12, max: 40 } as const;
/** Steps between two acts, on average. */
const STEPS_BETWEEN = 7;
const HEALING_STEPS_MAX = 30_000;
/** Turns in which nothing happens, although somebody looks after everything. */
const STILL_MAX = 4;
/** Steps between two looks at whether all is well. */
const LOOK_EVERY = 8;
const ROOT_STEPS_MAX = 200;

/** @param listen called with each line of the trace, and with what the parts log */
export async function runSchedule(seed: number, listen?: (line: string) => void): Promise<Outcome> {
  const chance = createChance(seed);
  const world = new World(chance, listen);
  const reached = new Map<string, number>();
  let failure: string | undefined;
  let isHealing = false;
  let rows = 0;

  function reach(what: string): void {
    reached.set(what, (reached.get(what) ?? 0) + 1);
  }

  function fail(what: string): void {
    if (failure === undefined) world.note(`WRONG: ${what}`);
    failure ??= what;
  }

  const metrics: Metrics = {
    count(name, labels = {}, by = 1) {
      const path = [COUNTED.get(name), ...Object.values(labels)].join(' ');
      if (by > 0 && COUNTED.has(name)) reach(path);
    },
    gauge: () => undefined,
    observe: () => undefined,
  };
  const logger = (name: string): Logger => (listen === undefined ? SILENT : loggerTo(listen, name));

  const menu = FAULTS.filter(() => chance.unit() < MENU_SHARE);
  const wantedHubs = chance.unit() < 0.3 ? 2 : 1;
  const isBusy = chance.unit() < 0.2;
  const done = new Set<Fault>();
  const db = createSimDatabase(world);
  db.onFailure = (what) => reach(`database ${what}`);
  let superseded = 0;
  db.onSuperseded = () => {
    superseded += 1;
    reach('superseded process heard');
  };
  const hubs = createHubs(world, db, { logger, metrics });
  const book = createBook(db);
  const line: LineFaults = {
    down: false,
    failing: 0,
    onFailure: (what) => reach(`line loses ${what}`),
    poison: undefined,
  };
  const watch = createWitness({ db, done, fail, reach });

  function addWorker(name: string, worker: string, disk: SimDisk): Worker {
    disk.onFailure = (what) => reach(`disk fails: ${what.split(' ', 1)[0]}`);
    return createWorker({
      world,
      name,
      worker,
      disk,
      logger,
      metrics,
      uplink: (spoke) => createLine({ world, hubs, faults: line, watch, spoke, peer: PEER }),
      onRequest: (asked) => book.asked(asked),
      onAnswered: () => reach('answered'),
      onWrong: fail,
      onEvent(event, draft) {
        book.told(draft);
        reach(`event ${event.outcome}`);
      },
      onStartFailed(thrown) {
        reach('start failed');
        if (!isInjected(thrown)) fail(`${name} does not start: ${sayThrown(thrown)}`);
      },
    });
  }

  const workers = Array.from({ length: chance.unit() < 0.15 ? 2 : 1 }, (_, at) =>
    addWorker(`w${at}`, `w${at}`, createSimDisk(world)),
  );
  const clones: Worker[] = [];
  const all = (): readonly Worker[] => [...workers, ...clones];
  const trouble = createTrouble({
    world,
    db,
    hubs,
    line,
    book,
    workers,
    clones,
    addWorker,
    meet(fault) {
      done.add(fault);
      reach(`fault ${fault}`);
      world.note(`FAULT ${fault}`);
    },
    reach,
  });

  function request(worker: Worker, kind: RowKind, viaTemplate: boolean): void {
    const { process } = worker;
    if (process === undefined) return;
    const draft = draftOf(kind, world.random(process), world.clock(process).nowMs());
    worker.request(draft, viaTemplate);
  }

  function act(): void {
    const down = all().filter(({ process }) => process === undefined);
    if (hubs.alive.length < wantedHubs && chance.unit() < 0.3) hubs.start();
    else if (down.length > 0 && chance.unit() < 0.4) chance.pick(down).start();
    else if (menu.length > 0 && chance.unit() < 0.3) trouble.make(chance.pick(menu));
    else demand();
  }

  /** Requests come, and now and then somebody looks at damage. */
  function demand(): void {
    for (const worker of all()) if ((worker.ledger?.damage().length ?? 0) > 0 && chance.unit() < 0.3) worker.accept();
    const worker = chance.pick(all());
    const luck = isBusy ? chance.unit() : 1;
    if (luck < 0.25) for (let left = chance.between(10, 40); left > 0; left -= 1) request(worker, 'served', true);
    else if (luck < 0.5) for (let left = chance.between(1, 6); left > 0; left -= 1) request(worker, 'large', true);
    else
      for (let left = chance.between(1, 4); left > 0; left -= 1)
        request(worker, chance.unit() < 0.1 ? 'refused' : 'served', chance.unit() < 0.7);
  }

  /** A supervisor's and an operator's turn; true when nothing is left to be done. */
  function look(): boolean {
    if (hubs.alive.length === 0) hubs.start();
    let isWell = true;
    for (const worker of workers) {
      if (worker.process === undefined) worker.start();
      if ((worker.ledger?.damage().length ?? 0) > 0) worker.accept();
      // Whether there is room again is seen by the next row.
      if (worker.ledger?.stats().state === 'full') request(worker, 'served', false);
      // A worker whose copy went on alone hears of it when it has something to say.
      if (worker.ledger !== undefined && isBehind(worker.ledger)) request(worker, 'served', false);
      isWell &&= isDone(worker);
    }
    return isWell;
  }

  function isBehind(ledger: Ledger): boolean {
    return (db.heads().get(ledger.open().id)?.nextIndex ?? 0) > ledger.stats().nextIndex;
  }

  /** The hub has everything, and the spoke knows. */
  function isDone({ ledger }: Worker): boolean {
    if (ledger === undefined || ledger.damage().length > 0) return false;
    const { log, state, owing, nextIndex, durableIndex, acknowledged } = ledger.stats();
    const ends = [durableIndex, acknowledged, ledger.upload().acknowledged, db.heads().get(log)?.nextIndex];
    return state === 'open' && owing.length === 0 && ends.every((end) => end === nextIndex);
  }

  function describe({ name, ledger }: Worker): string {
    if (ledger === undefined) return `${name} is down`;
    const head = db.heads().get(ledger.open().id);
    const hub = { next: head?.nextIndex, state: head?.state };
    return JSON.stringify({ name, ...ledger.stats(), damage: ledger.damage(), upload: ledger.upload(), hub });
  }

  /** Both sides have the same tree over the open log. */
  async function compareRoots({ ledger, name }: Worker): Promise<void> {
    const log = ledger?.open();
    const head = log === undefined ? undefined : db.heads().get(log.id);
    if (log === undefined || head === undefined || head.nextIndex === 0) return;
    const told: Buffer[] = [];
    void log.rootAt(head.nextIndex).then((root) => told.push(root));
    let left = ROOT_STEPS_MAX;
    await world.run(() => told.length === 0 && (left -= 1) > 0 && (world.step() || left > 1));
    const { root } = openCheckpoint(head.checkpoint, parseVkey(head.vkey));
    if (told[0]?.equals(root) !== true) fail(`${name} and the hub have other roots for ${log.id}`);
  }

  function checkAlarms(): void {
    const allowed = alarmsAfter(done);
    const after = [...done].join(', ') || 'no trouble';
    for (const { kind, log, detail } of db.alarms)
      if (!allowed.has(kind)) fail(`alarm ${kind} about ${log} (${detail}) after ${after}`);
    // A hub or a caller that was gone before it could be said needs not have said it.
    const isSure = !INTERRUPTING.some((fault) => done.has(fault));
    if (superseded > 0 && isSure && !db.alarms.some(({ kind }) => kind === 'cloned_identity'))
      fail('a superseded process was heard without an alarm');
  }

  for (let left = wantedHubs; left > 0; left -= 1) hubs.start();
  for (const worker of workers) worker.start();
  let actsLeft = chance.between(ACTS.min, ACTS.max);
  let steps = 10;
  let healing = 0;
  let still = 0;

  function live(): boolean {
    if (steps > 0) {
      steps -= 1;
      world.step();
    } else if (actsLeft > 0) {
      actsLeft -= 1;
      act();
      steps = Math.floor(-Math.log(1 - chance.unit()) * STEPS_BETWEEN);
    } else {
      isHealing = true;
      world.note('HEALING');
      world.latenessMs = 2_000;
      trouble.end();
    }
    return true;
  }

  function heal(): boolean {
    healing += 1;
    if ((still > 0 || healing % LOOK_EVERY === 1) && look()) return false;
    still = world.step() ? 0 : still + 1;
    if (healing <= HEALING_STEPS_MAX && still <= STILL_MAX) return true;
    fail(`it does not come right after ${healing} steps:\n${workers.map(describe).join('\n')}`);
    return false;
  }

  try {
    await world.run(() => failure === undefined && (isHealing ? heal() : live()));
    if (failure === undefined) {
      const settled = book.settle({ doubles: mayDouble(done), disks: workers.map(({ disk }) => disk) });
      ({ rows } = settled);
      if (settled.doubled > 0) reach('rows of two copies');
      for (const [log, { nextIndex, edge }] of db.heads())
        world.note(`end ${log} ${nextIndex} ${edge.toString('hex')}`);
      for (const worker of workers) await compareRoots(worker);
      checkAlarms();
    }
  } catch (thrown) {
    fail(sayThrown(thrown));
  }

  // Whatever is still under way must not go on into the next run.
  for (const worker of all()) worker.crash();
  for (const replica of hubs.alive) hubs.crash(replica);
  return { seed, digest: world.digest, steps: world.steps, rows, reached, failure };
}

/** Counters of the product that tell which way it went. */
const COUNTED: ReadonlyMap<string, string> = new Map([
  ['weir_spoke_audit_epochs_total', 'new epoch:'],
  ['weir_spoke_audit_hub_losses_total', 'hub found without rows'],
  ['weir_hub_audit_nacks_total', 'batch refused:'],
  ['weir_hub_audit_alarms_total', 'alarm:'],
  ['weir_hub_audit_retries_total', 'commit tried again'],
  ['weir_hub_audit_repeated_total', 'rows sent again to'],
]);

const INTERRUPTING: readonly Fault[] = ['hub_crash', 'hub_restored', 'commit_fails', 'spoke_crash'];

const SILENT: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => SILENT,
};

function plain(_key: string, value: unknown): unknown {
  return value instanceof Error ? value.message : value;
}

function loggerTo(listen: (line: string) => void, name: string): Logger {
  const say =
    (level: string): Logger['info'] =>
    (fields, message) =>
      listen(`    ${name} ${level}: ${message} ${JSON.stringify(fields, plain)}`);
  const own: Logger = {
    debug: say('debug'),
    info: say('info'),
    warn: say('warn'),
    error: say('error'),
    child: () => own,
  };
  return own;
}

/** A failure that the disk was told to have. */
function isInjected(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  if ('code' in thrown && thrown.code === 'EIO') return true;
  return (thrown instanceof WeirError && thrown.code === 'resource_exhausted') || isInjected(thrown.cause);
}

function sayThrown(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}
