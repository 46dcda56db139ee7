// What a benchmark needs of the spoke it measures, and two ways to get it: the whole spoke (identity, bundle from disk,
// policy, durable rows; no hub), and the bare one, a process that has the real listener, upstream client and caches but
// neither identity, policy nor audit, and so shows what the bytes alone cost. Each in a process of its own.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { makeSpokeHome } from './spoke-home.ts';

export interface BenchSpoke {
  /** Base URL of its npm registry, no trailing '/'; anonymous installs are allowed. */
  readonly npm: string;
  /** Of the process that serves, for its CPU time and memory. */
  readonly pid: number;
  /** Ends the process and removes its state. */
  close(): Promise<void>;
}

/** @param upstream base URL of the npm registry it fetches from, on loopback */
export type StartBenchSpoke = (upstream: string) => Promise<BenchSpoke>;

const STOP_LIMIT_MS = 5_000;

export const startBenchSpoke: StartBenchSpoke = async (upstream) => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-bench-spoke-'));
  await makeSpokeHome(folder, { npm: upstream });
  const { child, message } = await start('spoke-process.ts', [folder]);
  if (message.bundle === undefined) throw new Error('the spoke has no bundle');
  return { npm: `http://127.0.0.1:${message.registry}/npm`, pid: child.pid ?? 0, close: () => end(child, folder) };
};

/** The same from another checkout with its packages installed, such as the release before: what did a change cost? */
export async function startBenchSpokeOf(checkout: string, upstream: string): Promise<BenchSpoke> {
  const file = pathToFileURL(join(resolve(checkout), 'test', 'bench', 'bench-spoke.ts')).href;
  const theirs = (await import(file)) as { readonly startBenchSpoke: StartBenchSpoke };
  return theirs.startBenchSpoke(upstream);
}

export const startBareSpoke: StartBenchSpoke = async (upstream) => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-bare-spoke-'));
  const { child, message } = await start('bare-spoke.ts', [folder, upstream]);
  return { npm: `http://127.0.0.1:${message.registry}/npm`, pid: child.pid ?? 0, close: () => end(child, folder) };
};

/** What both processes tell once they listen. */
interface Started {
  readonly registry: number;
  /** Digest of the active bundle, if any. */
  readonly bundle?: string;
}

/** A script of this folder as a process, and the first message that it sends. */
async function start(
  script: string,
  args: readonly string[],
): Promise<{ readonly child: ChildProcess; readonly message: Started }> {
  const child = fork(join(import.meta.dirname, script), [...args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [message] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => Promise.reject(new Error(`${script} did not start`))),
  ])) as [Started];
  return { child, message };
}

async function end(child: ChildProcess, folder: string): Promise<void> {
  await stop(child);
  await rm(folder, { recursive: true, force: true });
}

/** Asks a process to end and, when it does not, ends it. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  await exited;
  clearTimeout(late);
}
