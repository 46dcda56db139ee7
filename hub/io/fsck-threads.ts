// Threads for fsck: as many as the machine has cores to spare, started with the first run and given back when idle.

import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { RunCheck, RunReport } from '../audit/fsck-rows.ts';

const THREADS_MAX = 8;
const THREAD = join(import.meta.dirname, 'fsck-thread.ts');

export interface FsckThreads {
  readonly check: RunCheck;
  /** Ends the threads; runs under way fail. */
  close(): Promise<void>;
}

interface Thread {
  readonly worker: Worker;
  /** Runs given to it and not answered. */
  readonly waiting: Map<number, PromiseWithResolvers<RunReport>>;
}

export function createFsckThreads(count: number = Math.min(THREADS_MAX, availableParallelism())): FsckThreads {
  const threads: Thread[] = [];
  let lastId = 0;

  function start(): Thread {
    const thread: Thread = { worker: new Worker(THREAD), waiting: new Map() };
    const { worker, waiting } = thread;
    worker.unref();
    worker.on('message', ({ id, report }: { readonly id: number; readonly report: RunReport }) => {
      waiting.get(id)?.resolve(report);
      waiting.delete(id);
      if (waiting.size === 0) worker.unref();
    });
    const fail = (cause: unknown): void => {
      const at = threads.indexOf(thread);
      if (at >= 0) threads.splice(at, 1);
      for (const { reject } of waiting.values()) {
        reject(new WeirError('internal', 'a thread that checks rows ended', { cause }));
      }
      waiting.clear();
    };
    worker.on('error', fail);
    worker.on('exit', fail);
    threads.push(thread);
    return thread;
  }

  return {
    check(run) {
      const idle = threads.find(({ waiting }) => waiting.size === 0);
      const { worker, waiting } =
        idle ??
        (threads.length < count
          ? start()
          : threads.reduce((best, each) => (each.waiting.size < best.waiting.size ? each : best)));
      lastId += 1;
      const answer = Promise.withResolvers<RunReport>();
      waiting.set(lastId, answer);
      worker.ref();
      worker.postMessage({ id: lastId, run }, [run.bytes.buffer]);
      return answer.promise;
    },
    async close() {
      await Promise.all(threads.splice(0).map(({ worker }) => worker.terminate()));
    },
  };
}
