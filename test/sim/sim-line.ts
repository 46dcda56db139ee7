// The line between a spoke's process and the hub: what is under way arrives late, in order or not at all; calls lose their
// answers, streams are cut with batches inside, replicas die under them.

import { inOrder } from '@weir/hub/audit/in-order.ts';
import type { Uploader } from '@weir/hub/audit/check-batch.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { LogOpening, LogPosition, RowBatch, UploadAnswer } from '@weir/shared/wire/audit.ts';
import type { AuditUplink, UploadStream } from '@weir/spoke/audit/audit-uplink.ts';
import type { Replica, SimHubs } from './sim-hub.ts';
import type { Process, World } from './world.ts';

/** A call without an answer is given up after so long, as the channel of a spoke does. */
const CALL_TIMEOUT_MS = 15_000;
/** A silent stream is found dead after so long. */
const KEEPALIVE_MS = 15_000;

export interface LineFaults {
  /** Nothing passes. */
  down: boolean;
  /** Chance that a message is the last one of its call or stream. */
  failing: number;
  onFailure: (what: string) => void;
  /** Changes a batch on its way, once. */
  poison: ((batch: RowBatch) => RowBatch | undefined) | undefined;
}

/** What passes on the line, for whoever watches. */
export interface LineWatch {
  opened(opening: LogOpening, position: LogPosition): void;
  answered(batch: RowBatch, answer: UploadAnswer, isPoisoned: boolean): void;
}

export function createLine(parts: {
  readonly world: World;
  readonly hubs: SimHubs;
  readonly faults: LineFaults;
  readonly watch: LineWatch;
  readonly spoke: Process;
  readonly peer: Uploader;
}): AuditUplink {
  const { world, hubs, faults, watch, spoke, peer } = parts;
  const { chance } = world;
  const clock = world.clock(spoke);
  /** Time on the line passes for nobody in particular: what left a process that died still arrives. */
  const wire = world.process(`${spoke.name}=`);

  function isLost(what: string): boolean {
    if (!faults.down && (faults.failing === 0 || chance.unit() >= faults.failing)) return false;
    faults.onFailure(what);
    world.note(`${wire.name} loses ${what}`);
    return true;
  }

  function reach(): Replica | undefined {
    return hubs.alive.length === 0 ? undefined : chance.pick(hubs.alive);
  }

  async function call(opening: LogOpening, gone: AbortSignal): Promise<LogPosition> {
    await world.io(wire, 'call');
    const hub = reach();
    if (hub === undefined) throw unavailable('no hub answers');
    if (isLost('a call')) return new Promise(() => undefined);
    const death = Promise.withResolvers<never>();
    const died = (): void => death.reject(unavailable('the connection was reset'));
    hub.onDeath.add(died);
    try {
      const answer = hub.ingest.open(peer, opening, gone);
      answer.catch(() => undefined);
      const told = await Promise.race([answer, death.promise]);
      if (isLost('the answer to a call')) return await new Promise(() => undefined);
      await world.io(wire, 'position');
      return told;
    } finally {
      hub.onDeath.delete(died);
    }
  }

  async function position(opening: LogOpening, signal: AbortSignal): Promise<LogPosition> {
    signal.throwIfAborted();
    // The hub hears that a caller is gone, but not at the same moment.
    const gone = new AbortController();
    const ended = new AbortController();
    const abort = (): void => ended.abort(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      const timeout = clock.sleep(CALL_TIMEOUT_MS, ended.signal).then(() => {
        throw new WeirError('timeout', 'the hub did not answer in time', { retry: 'later' });
      });
      timeout.catch(() => undefined);
      const called = call(copyOpening(opening), gone.signal);
      called.catch(() => undefined);
      const told = await Promise.race([called, timeout]);
      watch.opened(opening, told);
      return told;
    } finally {
      signal.removeEventListener('abort', abort);
      ended.abort();
      if (!faults.down)
        void world.io(wire, 'gone').then(() => gone.abort(new WeirError('cancelled', 'the caller is gone')));
    }
  }

  function open(signal: AbortSignal): UploadStream {
    const up = {};
    const down = {};
    const requests = queue<{ readonly batch: RowBatch; readonly poisoned: boolean }>();
    const answers = queue<UploadAnswer>();
    const sent: { readonly batch: RowBatch; readonly poisoned: boolean }[] = [];
    let hub: Replica | undefined;
    let isCut = false;
    let isClosed = false;

    /** Both ends see the stream break. */
    function cut(why: string): void {
      if (isCut) return;
      isCut = true;
      if (hub !== undefined) hub.onDeath.delete(died);
      requests.end();
      world.io(wire, 'reset').then(
        () => answers.fail(unavailable(why)),
        () => undefined,
      );
    }
    const died = (): void => cut('the connection was reset');

    /** Nothing passes any more, and nobody says so. */
    function fallSilent(): void {
      isCut = true;
      if (hub !== undefined) hub.onDeath.delete(died);
      void (async () => {
        await clock.sleep(KEEPALIVE_MS);
        requests.end();
        answers.fail(unavailable('the connection is dead'));
      })();
    }

    function breakSomehow(): void {
      if (chance.unit() < 0.5) cut('the connection was cut');
      else fallSilent();
    }

    async function deliver(batch: RowBatch): Promise<void> {
      await world.io(wire, 'batch', up);
      if (isCut) return;
      hub ??= connect();
      if (hub === undefined) {
        cut('no hub answers');
        return;
      }
      if (isLost('a batch')) {
        breakSomehow();
        return;
      }
      const changed = faults.poison?.(batch);
      const item = { batch: changed ?? batch, poisoned: changed !== undefined };
      sent.push(item);
      requests.put(item);
    }

    function connect(): Replica | undefined {
      const replica = reach();
      if (replica === undefined) return undefined;
      replica.onDeath.add(died);
      void serve(replica);
      return replica;
    }

    /** What the hub's service does with a stream. */
    async function serve({ ingest }: Replica): Promise<void> {
      const taken = inOrder(requests.items, ingest.window, ({ batch }) => ingest.take(peer, batch));
      for await (const answer of taken) void bring(answer);
    }

    async function bring(answer: UploadAnswer): Promise<void> {
      await world.io(wire, 'answer', down);
      const item = sent.shift();
      if (isCut || item === undefined) return;
      watch.answered(item.batch, answer, item.poisoned);
      if (isLost('an answer')) breakSomehow();
      else answers.put(answer);
    }

    const abort = (): void => cut('cancelled');
    signal.addEventListener('abort', abort, { once: true });
    return {
      async send(batch) {
        if (isClosed || signal.aborted) throw unavailable('the audit stream is closed');
        void deliver(copyBatch(batch));
        await world.look(spoke, 'send');
      },
      answers: answers.items,
      close() {
        isClosed = true;
        signal.removeEventListener('abort', abort);
        // What is under way is lost, or arrives before the end does.
        if (chance.unit() < 0.5) cut('closed');
        else void world.io(wire, 'end', up).then(() => cut('closed'));
      },
    };
  }

  async function leaves(log: string, from: number, signal: AbortSignal): Promise<readonly Buffer[]> {
    signal.throwIfAborted();
    await world.io(spoke, 'leaves');
    const hub = reach();
    if (hub === undefined || isLost('a question')) throw unavailable('no hub answers');
    const death = Promise.withResolvers<never>();
    const died = (): void => death.reject(unavailable('the connection was reset'));
    hub.onDeath.add(died);
    try {
      const told = hub.leaves(peer, log, from);
      told.catch(() => undefined);
      return await Promise.race([told, death.promise]);
    } finally {
      hub.onDeath.delete(died);
    }
  }

  return { position, leaves, open };
}

function unavailable(why: string): WeirError {
  return new WeirError('unavailable', why, { retry: 'later' });
}

function copyOpening({ log, instance, binding, checkpoint, receipt }: LogOpening): LogOpening {
  return {
    log,
    instance,
    binding: Buffer.from(binding),
    checkpoint: Buffer.from(checkpoint),
    receipt: Buffer.from(receipt),
  };
}

function copyBatch({ log, firstIndex, rows, checkpoint, proof }: RowBatch): RowBatch {
  return {
    log,
    firstIndex,
    rows: rows.map((row) => Buffer.from(row)),
    checkpoint: Buffer.from(checkpoint),
    proof: proof.map((hash) => Buffer.from(hash)),
  };
}

interface Queue<Item> {
  put(item: Item): void;
  end(): void;
  fail(error: Error): void;
  readonly items: AsyncIterable<Item>;
}

function queue<Item>(): Queue<Item> {
  const waiting: Item[] = [];
  let ended = false;
  let failure: Error | undefined;
  let wake = Promise.withResolvers<void>();
  const changed = (): void => {
    wake.resolve();
    wake = Promise.withResolvers<void>();
  };
  async function* read(): AsyncGenerator<Item> {
    for (;;) {
      const item = waiting.shift();
      if (item !== undefined) yield item;
      else if (failure !== undefined) throw failure;
      else if (ended) return;
      else await wake.promise;
    }
  }
  return {
    put(item) {
      waiting.push(item);
      changed();
    },
    end() {
      ended = true;
      changed();
    },
    fail(error) {
      failure ??= error;
      changed();
    },
    items: read(),
  };
}
