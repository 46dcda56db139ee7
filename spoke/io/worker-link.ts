// A worker across a process boundary: its interface as calls on one side and as answers on the other.

import type { Explained, Worker, WorkerStatus } from '../crew.ts';
import type { CheckResult } from '../pipeline/check.ts';
import { WORKER_STOP_MS } from '../spoke-limits.ts';
import type { Answers, Peer } from './peer.ts';

const ASK_MS = 5_000;
const WHY_MS = 30_000;
const CHECK_MS = 60_000;
/** Verifying, compiling and self-testing a bundle on a busy machine. */
const LOAD_MS = 60_000;

/** The worker that runs behind `peer`. */
export function remoteWorker(name: string, peer: Peer): Worker {
  return {
    name,
    status: () => peer.call('status', null, ASK_MS) as Promise<WorkerStatus>,
    metrics: () => peer.call('metrics', null, ASK_MS) as ReturnType<Worker['metrics']>,
    why: (code) => peer.call('why', code, WHY_MS) as Promise<Explained | undefined>,
    check: (purl) => peer.call('check', purl, CHECK_MS) as Promise<CheckResult>,
    tell: (event) => peer.call('tell', event, ASK_MS) as Promise<void>,
    load: () => peer.call('load', null, LOAD_MS) as ReturnType<Worker['load']>,
    heard: (note) => peer.tell('heard', note),
    renewed: () => peer.tell('renewed', null),
    close: () => peer.call('close', null, WORKER_STOP_MS) as Promise<void>,
  };
}

/** What the worker's own process answers. */
export function workerAnswers(worker: () => Worker): Answers {
  return {
    status: () => worker().status(),
    metrics: () => worker().metrics(),
    why: (code: string) => worker().why(code),
    check: (purl: string) => worker().check(purl, AbortSignal.timeout(CHECK_MS)),
    tell: (event: Parameters<Worker['tell']>[0]) => worker().tell(event),
    load: () => worker().load(),
    heard: (note: Parameters<Worker['heard']>[0]) => worker().heard(note),
    renewed: () => worker().renewed(),
    close: () => worker().close(),
  };
}
