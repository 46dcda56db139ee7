// Starts, watches and stops the trial's processes. Output goes to one log file each; what a person must know is printed by
// the caller.

import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const WEIR = join(dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url))))), 'weir.ts');
const LOG_TAIL_LINES = 12;

/** A failure that is told as one sentence, without a stack. */
export class TrialError extends Error {}

export interface Running {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** Resolves with what ended it. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  alive(): boolean;
  kill(signal: NodeJS.Signals): void;
}

/** Starts a long-running `weir …` with its output in `<logs>/<name>.log`. */
export function start(name: string, args: readonly string[], logs: string, env: NodeJS.ProcessEnv): Running {
  mkdirSync(logs, { recursive: true });
  const logFile = join(logs, `${name}.log`);
  const log = createWriteStream(logFile, { flags: 'a' });
  // Its own process group: a Ctrl-C in the terminal reaches only the supervisor, which then stops everything in order.
  const child = spawn(process.execPath, [WEIR, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.on('error', () => resolve({ code: 127, signal: null }));
    child.on('exit', (code, signal) => resolve({ code, signal }));
  });
  return {
    name,
    pid: child.pid ?? 0,
    logFile,
    ended,
    alive: () => child.exitCode === null && child.signalCode === null && child.pid !== undefined,
    kill: (signal) => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    },
  };
}

/** Polls until the check holds; fails at once when the process ends and after `limitMs` otherwise. */
export async function ready(running: Running, check: () => Promise<boolean>, limitMs: number): Promise<void> {
  const started = performance.now();
  while (performance.now() - started < limitMs) {
    if (!running.alive()) throw new TrialError(`${running.name} ended while starting:\n${lastLines(running.logFile)}`);
    if (await check().catch(() => false)) return;
    await delay(50);
  }
  throw new TrialError(
    `${running.name} was not ready after ${Math.round(limitMs / 1000)} s; its log is ${running.logFile}\n${lastLines(running.logFile)}`,
  );
}

/** Stops in the given order, each politely first; whoever is left when `limitMs` is over is killed. */
export async function stopAll(order: readonly Running[], limitMs: number): Promise<void> {
  const deadline = performance.now() + limitMs;
  for (const running of order) {
    running.kill('SIGTERM');
    const leftMs = Math.max(500, deadline - performance.now() - 1500);
    const timeout = new AbortController();
    await Promise.race([running.ended, delay(leftMs, undefined, { signal: timeout.signal }).catch(() => undefined)]);
    timeout.abort();
    if (running.alive()) {
      running.kill('SIGKILL');
      await running.ended;
    }
  }
}

/** Runs a `weir …` command to its end and returns its JSON answer. */
export async function weirJson(args: readonly string[], env: NodeJS.ProcessEnv): Promise<unknown> {
  const child: ChildProcess = spawn(process.execPath, [WEIR, ...args, '--json'], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let errors = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const code = await new Promise<number | null>((resolve) => {
    child.on('error', () => resolve(127));
    child.on('close', resolve);
  });
  if (code !== 0) throw new TrialError(`weir ${args.join(' ')} ended with ${code}: ${(errors || out).trim()}`);
  const lines = out.trim().split('\n');
  try {
    return JSON.parse(out) as unknown;
  } catch {
    return JSON.parse(lines.at(-1) ?? 'null') as unknown;
  }
}

export function lastLines(file: string): string {
  try {
    return readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .slice(-LOG_TAIL_LINES)
      .map((line) => `  ${line}`)
      .join('\n');
  } catch {
    return '  (no log)';
  }
}
