// npm run sim: as many schedules as are asked for, on all cores. A schedule that fails is printed with what repeats it, and its
// seed is kept in seeds.json, where the tests begin from then on.

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { missed } from './coverage.ts';
import { keepSeeds, keptSeeds } from './kept-seeds.ts';
import { rememberSignatures } from './known-signatures.ts';
import { type Outcome, runSchedule } from './schedule.ts';

const TELL_EVERY_MS = 5_000;
const FAILURES_SHOWN = 10;

const HELP = `npm run sim -- [--schedules N] [--seed S] [--minutes M] [--threads T] [--json]
       npm run sim -- --seed S --trace

Simulates the audit ledger of a spoke and its hub under trouble: N schedules (10000), the first with seed S (from the clock).
  --minutes M   as many schedules as fit instead
  --threads T   schedules at once (all cores)
  --trace       one schedule, step by step
  --json        one line of JSON at the end
`;

interface Share {
  readonly seeds: readonly number[];
  readonly first: number;
  readonly step: number;
  readonly count: number;
  readonly untilMs: number;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      schedules: { type: 'string', default: '10000' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
      minutes: { type: 'string' },
      threads: { type: 'string', default: String(availableParallelism()) },
      trace: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const first = wholeNumber('seed', values.seed);
  if (values.trace) {
    const { failure } = await runSchedule(first, (line) => process.stdout.write(`${line}\n`));
    process.stdout.write(failure === undefined ? 'nothing was wrong\n' : `${failure}\n`);
    return failure === undefined ? 0 : 1;
  }
  const threads = wholeNumber('threads', values.threads);
  const minutes = values.minutes === undefined ? undefined : wholeNumber('minutes', values.minutes);
  const count = minutes === undefined ? wholeNumber('schedules', values.schedules) : Number.MAX_SAFE_INTEGER;
  return explore({ first, count, threads, minutes, json: values.json });
}

async function explore(options: {
  readonly first: number;
  readonly count: number;
  readonly threads: number;
  readonly minutes: number | undefined;
  readonly json: boolean;
}): Promise<number> {
  const { first, count, threads, minutes, json } = options;
  const started = performance.now();
  const untilMs = minutes === undefined ? Number.POSITIVE_INFINITY : Date.now() + minutes * 60_000;
  const reached = new Map<string, number>();
  const failed: Outcome[] = [];
  let schedules = 0;
  let steps = 0;
  let rows = 0;
  let told = started;

  function take(outcome: Outcome): void {
    schedules += 1;
    steps += outcome.steps;
    rows += outcome.rows;
    for (const [path, times] of outcome.reached) reached.set(path, (reached.get(path) ?? 0) + times);
    if (outcome.failure !== undefined) {
      failed.push(outcome);
      if (failed.length <= FAILURES_SHOWN)
        process.stdout.write(
          `\nseed ${outcome.seed}: ${outcome.failure}\n  npm run sim -- --trace --seed ${outcome.seed}\n`,
        );
    }
    if (json || performance.now() - told < TELL_EVERY_MS) return;
    told = performance.now();
    process.stdout.write(`${schedules} schedules, ${perMinute()} a minute, ${failed.length} failed\n`);
  }

  function perMinute(): number {
    return Math.round((schedules * 60_000) / (performance.now() - started));
  }

  await Promise.all(
    Array.from({ length: threads }, async (_, at) => {
      const share: Share = {
        seeds: at === 0 ? keptSeeds() : [],
        first: first + at,
        step: threads,
        count: Math.floor(count / threads) + (at < count % threads ? 1 : 0),
        untilMs,
      };
      const worker = new Worker(new URL(import.meta.url), { workerData: share });
      worker.on('message', take);
      const ended = Promise.withResolvers<void>();
      worker.on('error', ended.reject);
      worker.on('exit', () => ended.resolve());
      await ended.promise;
    }),
  );

  const sorted = [...reached].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const absent = missed(reached, schedules);
  if (failed.length > 0) keepSeeds(failed.map(({ seed }) => seed));
  const summary = {
    simulation: 'audit',
    schedules,
    per_minute: perMinute(),
    failed: failed.length,
    steps,
    rows,
    seed: first,
    missed: absent,
  };
  if (json) process.stdout.write(`${JSON.stringify({ ...summary, reached: Object.fromEntries(sorted) })}\n`);
  else {
    for (const [path, times] of sorted) process.stdout.write(`${String(times).padStart(9)}  ${path}\n`);
    process.stdout.write(`${JSON.stringify(summary)}\n`);
  }
  return failed.length > 0 || absent.length > 0 ? 1 : 0;
}

function tell(outcome: Outcome): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is for windows
  parentPort?.postMessage(outcome);
}

async function work({ seeds, first, step, count, untilMs }: Share): Promise<void> {
  rememberSignatures();
  for (const seed of seeds) tell(await runSchedule(seed));
  for (let nth = 0; nth < count && Date.now() < untilMs; nth += 1) tell(await runSchedule(first + nth * step));
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} is a whole number from 1 on, not ${text}`);
  return value;
}

if (isMainThread) process.exitCode = await main();
else await work(workerData as Share);
