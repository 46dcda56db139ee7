// What a benchmark needs of the spoke it measures, and one way to get it: the bare spoke, a process that has the real
// listener, upstream client and caches but neither identity, policy nor audit. It shows what the bytes alone cost.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

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

export const startBareSpoke: StartBenchSpoke = async (upstream) => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-bare-spoke-'));
  const child = fork(join(import.meta.dirname, 'bare-spoke.ts'), [folder, upstream], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const [port] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => Promise.reject(new Error('the bare spoke did not start'))),
  ])) as [number];
  return {
    npm: `http://127.0.0.1:${port}/npm`,
    pid: child.pid ?? 0,
    close: async () => {
      await stop(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
};

/** Asks a process to end and, when it does not, ends it. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  await exited;
  clearTimeout(late);
}
