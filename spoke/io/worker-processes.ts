// Workers as processes. They share the listening socket, which the lead's process holds open without ever accepting on it:
// a connection that nobody has accepted yet waits in the kernel for whichever worker is free, so a worker that is killed takes
// only its own connections with it. A worker that ends unasked is started again, each time a little later.

import cluster, { type Worker as Child } from 'node:cluster';
import { createServer, type AddressInfo } from 'node:net';
import { describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Crew, Worker } from '../crew.ts';
import { WORKER_STOP_MS } from '../spoke-limits.ts';
import { createPeer, type Answers, type Peer } from './peer.ts';
import { remoteWorker } from './worker-link.ts';

export interface WorkerProcessesOptions {
  readonly count: number;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** The program of a worker. */
  readonly program: string;
  /** What a worker is told first. @param restarted why it runs again, '' at the start of the spoke */
  startOrder(name: string, port: number, restarted: string): unknown;
  /** What workers may ask of the lead. */
  answers(name: string): Answers;
  /** Called as soon as a worker's process can be reached. */
  began(name: string, pid: number, peer: Peer): void;
  /** Called when a worker serves; when it rejects, the worker is replaced. */
  welcome(worker: Worker): Promise<void>;
  /** Called when a worker's process is gone. */
  ended(name: string): void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export const RESTART_LIMITS = {
  /** Pause before the first restart, doubled with each further end within the window. */
  pauseMs: 100,
  pauseMaxMs: 10_000,
  windowMs: 60_000,
  /** Ends within the window that make a worker a failing one. */
  failing: 3,
} as const;

/** From the start of a process until it serves: a large spool is laid out before it. */
const START_MS = 120_000;

interface Slot {
  readonly name: string;
  child: Child | undefined;
  /** Set while it serves. */
  worker: Worker | undefined;
  /** Why it was ended by us, '' when it was not. */
  verdict: string;
  /** Monotonic milliseconds of the ends that nobody asked for. */
  ends: number[];
  reason: string;
}

/** Resolves once every worker serves. @throws WeirError what kept a worker from starting */
export async function startWorkerProcesses(options: WorkerProcessesOptions): Promise<Crew> {
  const { clock, logger, metrics } = options;
  // Each worker accepts for itself. The other policy passes every connection through this process, and loses those on their
  // way to a worker that is killed.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  cluster.setupPrimary({ exec: options.program, args: [], serialization: 'advanced' });
  const port = options.port === 0 ? await freePort(options.host) : options.port;
  const slots: Slot[] = Array.from({ length: options.count }, (_, i) => ({
    name: `w${i}`,
    child: undefined,
    worker: undefined,
    verdict: '',
    ends: [],
    reason: '',
  }));
  const stopping = new AbortController();
  const tending = new Set<Promise<void>>();
  let restarts = 0;

  /** Starts the process of a slot; resolves when it serves, rejects with what kept it from that, and then it has ended. */
  async function start(slot: Slot, restarted: string): Promise<void> {
    const child = cluster.fork();
    slot.child = child;
    slot.verdict = '';
    const { process: own } = child;
    const gone = new Promise<string>((resolve) => {
      own.once('error', (error) => resolve(`it could not be started: ${describeThrown(error)}`));
      own.once('exit', (code, signal) => resolve(signal === null ? `exit status ${code}` : `signal ${signal}`));
    });
    const peer = createPeer(
      { send: (message, done) => void own.send(message as object, undefined, undefined, done), on: own.on.bind(own) },
      options.answers(slot.name),
    );
    options.began(slot.name, own.pid ?? 0, peer);
    const worker = replacedWhenBehind(slot, remoteWorker(slot.name, peer));
    try {
      await peer.call('start', options.startOrder(slot.name, port, restarted), START_MS);
      await options.welcome(worker);
    } catch (thrown) {
      own.kill('SIGKILL');
      await gone;
      slot.child = undefined;
      options.ended(slot.name);
      throw thrown;
    }
    slot.worker = worker;
    logger.info({ worker: slot.name, pid: own.pid }, 'worker serves');
    tend(slot, gone);
  }

  function tend(slot: Slot, gone: Promise<string>): void {
    const task = (async () => {
      let how = await gone;
      for (;;) {
        slot.worker = undefined;
        slot.child = undefined;
        options.ended(slot.name);
        if (stopping.signal.aborted) return;
        slot.reason = slot.verdict === '' ? how : slot.verdict;
        restarts += 1;
        slot.ends = [...recent(slot), clock.monotonicMs()];
        metrics.count('weir_spoke_worker_ends_total');
        const pauseMs = Math.min(RESTART_LIMITS.pauseMaxMs, RESTART_LIMITS.pauseMs * 2 ** (slot.ends.length - 1));
        logger.error(
          { worker: slot.name, reason: slot.reason, pause_ms: pauseMs },
          'a worker ended and is started again',
        );
        await clock.sleep(pauseMs, stopping.signal).catch(() => undefined);
        if (stopping.signal.aborted) return;
        try {
          await start(slot, slot.reason);
          return;
        } catch (thrown) {
          how = describeThrown(thrown);
        }
      }
    })();
    tending.add(task);
    void task.finally(() => tending.delete(task));
  }

  /** A worker that cannot load the bundle that the lead runs must not go on with another one. */
  function replacedWhenBehind(slot: Slot, worker: Worker): Worker {
    return {
      ...worker,
      async load() {
        try {
          return await worker.load();
        } catch (thrown) {
          slot.verdict = `it could not load the bundle: ${describeThrown(thrown)}`;
          slot.child?.process.kill('SIGKILL');
          throw thrown;
        }
      },
    };
  }

  function recent({ ends }: Slot): number[] {
    const since = clock.monotonicMs() - RESTART_LIMITS.windowMs;
    return ends.filter((at) => at > since);
  }

  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    stopping.abort(new WeirError('cancelled', 'the spoke is closing'));
    await Promise.all(
      slots.map(async ({ name, child, worker }) => {
        if (child === undefined) return;
        const { process: own } = child;
        const ended = new Promise<void>((resolve) => {
          if (own.exitCode === null && own.signalCode === null) own.once('exit', () => resolve());
          else resolve();
        });
        const late = setTimeout(() => {
          logger.error({ worker: name }, 'a worker did not stop in time and was killed');
          own.kill('SIGKILL');
        }, WORKER_STOP_MS);
        try {
          if (worker === undefined) own.kill('SIGKILL');
          else await worker.close();
        } catch (thrown) {
          logger.warn({ worker: name, reason: describeThrown(thrown) }, 'a worker did not close cleanly');
        }
        await ended;
        clearTimeout(late);
      }),
    );
    await Promise.all(tending);
  }

  const starts = await Promise.allSettled(slots.map((slot) => start(slot, '')));
  const failure = starts.find((each) => each.status === 'rejected');
  if (failure !== undefined) {
    await close();
    throw failure.reason;
  }
  return {
    registryPort: port,
    workers: () => slots.flatMap(({ worker }) => (worker === undefined ? [] : [worker])),
    state: () => ({
      wanted: options.count,
      restarts,
      failing: slots
        .filter((slot) => recent(slot).length >= RESTART_LIMITS.failing)
        .map(({ name, reason }) => ({ name, reason })),
    }),
    close: () => (closing ??= close()),
  };
}

/** The workers need one number that they all bind; only a test or a trial leaves the choice to the machine. */
function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port: 0, exclusive: true }, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
