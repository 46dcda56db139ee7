// What outlives a run that was cut short: processes whose supervisor was killed, and a database whose hub was. The next
// start ends the former; the end of a run ends the latter, so that nothing of a stopped trial goes on.

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { foldersOf, readPid, TrialError, WEIR } from './processes.ts';

const POLL_MS = 25;
/** How long a leftover may take after the polite signal, and then after the last one. */
const GRACE_MS = 5_000;
const KILLED_MS = 5_000;
/** A database that is told to stop fast has little to do; then it is told to stop at once, then killed. */
const DATABASE_GRACE_MS = 1_500;

/** Ends processes of this home that no supervisor watches any more. Returns their names. */
export async function endLeftovers(home: string): Promise<readonly string[]> {
  const { run } = foldersOf(home);
  const found = pidFiles(run).filter(({ pid }) => isProcess(pid, [WEIR, home]));
  await Promise.all(
    found.map(async ({ name, pid }) => {
      if (!(await end(pid, ['SIGTERM', 'SIGKILL'], [GRACE_MS, KILLED_MS]))) {
        throw new TrialError(`process ${pid} (${name}) of an earlier run cannot be stopped: end it and try again`);
      }
    }),
  );
  for (const { file } of pidFiles(run)) rmSync(file, { force: true });
  return found.map(({ name }) => name);
}

/** Stops the embedded database of a home if it still runs, which it does when its hub was killed. */
export async function endDatabase(home: string): Promise<void> {
  const data = databaseFolder(join(home, 'hub'));
  if (data === undefined) return;
  const pid = readPid(join(data, 'postmaster.pid'));
  if (!isProcess(pid, [data])) return;
  // PostgreSQL's own words: INT is a fast shutdown, QUIT an immediate one that is recovered from at the next start.
  await end(pid, ['SIGINT', 'SIGQUIT', 'SIGKILL'], [DATABASE_GRACE_MS, DATABASE_GRACE_MS, KILLED_MS]);
}

/** Whether the process lives and its command line holds every one of the texts: numbers are used again. */
export function isProcess(pid: number, texts: readonly string[]): boolean {
  if (pid <= 0) return false;
  const line = commandLine(pid);
  return line !== '' && texts.every((text) => line.includes(text));
}

/** `hub/postgres.json` names the data folder: relative to the hub's home, or absolute. */
function databaseFolder(hubHome: string): string | undefined {
  try {
    const { data } = JSON.parse(readFileSync(join(hubHome, 'postgres.json'), 'utf8')) as { data?: unknown };
    return typeof data === 'string' ? resolve(hubHome, data) : undefined;
  } catch {
    return undefined;
  }
}

interface PidFile {
  readonly name: string;
  readonly file: string;
  readonly pid: number;
}

function pidFiles(run: string): readonly PidFile[] {
  let names: readonly string[];
  try {
    names = readdirSync(run);
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith('.pid'))
    .map((name) => ({ name: name.slice(0, -4), file: join(run, name), pid: readPid(join(run, name)) }));
}

async function end(pid: number, signals: readonly NodeJS.Signals[], graceMs: readonly number[]): Promise<boolean> {
  for (const [index, signal] of signals.entries()) {
    try {
      process.kill(pid, signal);
    } catch {
      return !isAlive(pid);
    }
    const deadline = performance.now() + (graceMs[index] ?? KILLED_MS);
    while (performance.now() < deadline) {
      if (!isAlive(pid)) return true;
      await delay(POLL_MS);
    }
  }
  return !isAlive(pid);
}

function isAlive(pid: number): boolean {
  return commandLine(pid) !== '';
}

/** '' when there is no such process, or only its exit status is left. */
function commandLine(pid: number): string {
  try {
    return process.platform === 'linux'
      ? readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      : execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  } catch {
    return '';
  }
}
