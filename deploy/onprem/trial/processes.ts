// Starts, watches and stops the trial's processes. Output goes to one log file each; what a person must know is printed by
// the caller.

import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const WEIR = join(dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url))))), 'weir.ts');
const LOG_TAIL_LINES = 12;
/** A log larger than this begins anew at the next start; one old log is kept. */
const LOG_BYTES_MAX = 16 << 20;
const POLL_MS = 25;
/** Between the polite signal and the last one, a process gets at least this long. */
const GRACE_MIN_MS = 500;

/** A failure that is told as one sentence, without a stack. */
export class TrialError extends Error {}

/** A long-running process ended by itself; the message has the end of its log. */
export class ProcessEnded extends TrialError {
  constructor(running: Running, when: string) {
    super(`${running.name} ended ${when}; the end of its log ${running.logFile}:\n${lastLines(running.logFile)}`);
  }
}

/** A `weir …` command that ended with a failure; `code` is Weir's error code, '' when it told none. */
export class CommandFailed extends TrialError {
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

export interface Running {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** Resolves with what ended it. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  alive(): boolean;
  kill(signal: NodeJS.Signals): void;
}

/** Where a home's logs and pid files are. */
export function foldersOf(home: string): { readonly logs: string; readonly run: string } {
  return { logs: join(home, 'logs'), run: join(home, 'run') };
}

/**
 * Starts a long-running `weir …` with its output in `logs/<name>.log` of the home and its number in `run/<name>.pid`, which
 * goes when the process does: what is left there is of a run that was cut short.
 */
export function start(name: string, args: readonly string[], home: string, env: NodeJS.ProcessEnv): Running {
  const { logs, run } = foldersOf(home);
  for (const folder of [logs, run]) mkdirSync(folder, { recursive: true });
  const logFile = join(logs, `${name}.log`);
  const pidFile = join(run, `${name}.pid`);
  shorten(logFile);
  const log = openSync(logFile, 'a', 0o600);
  // Its own process group: a Ctrl-C in the terminal reaches only the supervisor, which then stops everything in order. The
  // log is its own too: a supervisor that is killed does not take the federation's output, and so its life, with it.
  const child = spawn(process.execPath, [WEIR, ...args], { env, stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  const pid = child.pid ?? 0;
  if (pid > 0) writeFileSync(pidFile, `${pid}\n`);
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.on('error', () => resolve({ code: 127, signal: null }));
    child.on('exit', (code, signal) => {
      if (readPid(pidFile) === pid) rmSync(pidFile, { force: true });
      resolve({ code, signal });
    });
  });
  return {
    name,
    pid,
    logFile,
    ended,
    alive: () => child.exitCode === null && child.signalCode === null && child.pid !== undefined,
    kill: (signal) => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    },
  };
}

/** Polls until the check holds; fails at once when the process ends or the signal aborts, and after `limitMs` otherwise. */
export async function ready(
  running: Running,
  check: () => Promise<boolean>,
  limitMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const started = performance.now();
  while (performance.now() - started < limitMs) {
    signal?.throwIfAborted();
    if (!running.alive()) throw new ProcessEnded(running, 'while it started');
    if (await check().catch(() => false)) return;
    await delay(POLL_MS);
  }
  throw new TrialError(
    `${running.name} was not ready after ${Math.round(limitMs / 1000)} s; its log is ${running.logFile}\n${lastLines(running.logFile)}`,
  );
}

/**
 * Stops group after group, the members of one together, each politely first. Every group but the last may take half of what
 * is left; whoever has not gone by then is killed.
 */
export async function stopAll(groups: readonly (readonly Running[])[], limitMs: number): Promise<void> {
  const deadline = performance.now() + limitMs;
  for (const [index, group] of groups.entries()) {
    const leftMs = deadline - performance.now();
    const shareMs = Math.max(GRACE_MIN_MS, index === groups.length - 1 ? leftMs : leftMs / 2);
    await Promise.all(group.map((running) => stopOne(running, shareMs)));
  }
}

async function stopOne(running: Running, graceMs: number): Promise<void> {
  running.kill('SIGTERM');
  const timeout = new AbortController();
  await Promise.race([running.ended, delay(graceMs, undefined, { signal: timeout.signal }).catch(() => undefined)]);
  timeout.abort();
  if (!running.alive()) return;
  running.kill('SIGKILL');
  await running.ended;
}

/** Runs a `weir …` command to its end and returns its JSON answer; an aborted signal ends it. @throws CommandFailed */
export async function weirJson(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  signal?: AbortSignal,
): Promise<unknown> {
  const out = await weirOutput(args, env, signal);
  try {
    return JSON.parse(out) as unknown;
  } catch {
    return JSON.parse(out.trim().split('\n').at(-1) ?? 'null') as unknown;
  }
}

/** The same for a command that answers with one JSON value a line. @throws CommandFailed */
export async function weirJsonLines(args: readonly string[], env: NodeJS.ProcessEnv): Promise<readonly unknown[]> {
  const lines = (await weirOutput(args, env)).split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as unknown);
}

async function weirOutput(args: readonly string[], env: NodeJS.ProcessEnv, signal?: AbortSignal): Promise<string> {
  signal?.throwIfAborted();
  const child = spawn(process.execPath, [WEIR, ...args, '--json'], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    ...(signal === undefined ? {} : { signal }),
  });
  let out = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const code = await new Promise<number | null>((resolve) => {
    child.on('error', (error) => {
      errors += error.message;
      if (child.pid === undefined) resolve(127);
    });
    child.on('close', resolve);
  });
  signal?.throwIfAborted();
  if (code !== 0) throw commandFailed(args, code, errors, out);
  return out;
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

/** The process number in a pid file, 0 when there is none. */
export function readPid(file: string): number {
  try {
    const pid = Number(readFileSync(file, 'utf8').split('\n', 1)[0]);
    return Number.isInteger(pid) && pid > 0 ? pid : 0;
  } catch {
    return 0;
  }
}

/** Commands tell their failures as JSON; whatever else one prints is told as it is. */
function commandFailed(args: readonly string[], code: number | null, errors: string, out: string): CommandFailed {
  const what = `weir ${args.slice(0, 2).join(' ')}`;
  const told = errors
    .trim()
    .split('\n')
    .findLast((line) => line.startsWith('{"error":'));
  try {
    const { error } = JSON.parse(told ?? '') as { error: { code: string; message: string; next: string } };
    return new CommandFailed(`${what}: ${error.message}${error.next === '' ? '' : `; ${error.next}`}`, error.code);
  } catch {
    return new CommandFailed(`${what} ended with ${code ?? 'a signal'}: ${(errors || out).trim()}`, '');
  }
}

function shorten(logFile: string): void {
  const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LOG_BYTES_MAX) renameSync(logFile, `${logFile}.old`);
}
