// Logs of workers that the spoke had and has no more, because it was started with fewer. Their rows still go to the hub, and
// still answer for the codes that clients were given; no row is added.

import { readRequestCode } from '@weir/shared/domain/request-code.ts';
import { describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import type { LogStatus } from './crew.ts';
import { workersWithLogs } from './io/worker-folders.ts';
import { openWorkerLog, type WorkerLog, type WorkerLogOptions } from './worker-log.ts';

export interface RetiredLogs {
  /** Those that owe the hub rows. */
  status(): readonly LogStatus[];
  /** The row as JSON, undefined when none of them has it. */
  why(text: string): Promise<unknown>;
  close(): Promise<void>;
}

/** Between two looks at whether the hub has everything. */
const LOOK_MS = 1_000;

/** A log that cannot be opened is reported and left as it is: it keeps nobody from being served. */
export async function openRetiredLogs(options: Omit<WorkerLogOptions, 'name'>): Promise<RetiredLogs> {
  const { clock, logger } = options;
  const logs: WorkerLog[] = [];
  const shipping = new AbortController();
  const tasks: Promise<void>[] = [];
  for (const name of workersWithLogs(options.home).filter((each) => Number(each.slice(1)) >= options.workers)) {
    try {
      const log = await openWorkerLog({ ...options, name });
      logs.push(log);
      tasks.push(bringHome(name, log));
    } catch (thrown) {
      logger.error({ worker: name, reason: describeThrown(thrown) }, 'the log of a former worker cannot be opened');
    }
  }

  async function bringHome(name: string, log: WorkerLog): Promise<void> {
    if (log.isEmpty()) return;
    logger.info({ worker: name }, 'the log of a former worker still has rows for the hub');
    const done = new AbortController();
    const shipped = log.ship(AbortSignal.any([shipping.signal, done.signal]));
    while (!log.isEmpty() && !shipping.signal.aborted) {
      await clock.sleep(LOOK_MS, shipping.signal).catch(() => undefined);
    }
    done.abort(new WeirError('cancelled', 'the hub has every row'));
    await shipped;
    if (log.isEmpty()) logger.info({ worker: name }, 'the hub has every row of a former worker');
  }

  return {
    status: () => logs.filter((log) => !log.isEmpty()).flatMap((log) => log.status()),
    async why(text) {
      const code = readRequestCode(text);
      if (code === undefined) return undefined;
      for (const log of logs) {
        const row = await log.findByCode(code);
        if (row !== undefined) return row;
      }
      return undefined;
    },
    async close() {
      shipping.abort(new WeirError('cancelled', 'the spoke is closing'));
      await Promise.all(tasks);
      await Promise.all(logs.map((log) => log.close()));
    },
  };
}
