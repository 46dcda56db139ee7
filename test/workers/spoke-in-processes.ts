// A spoke as it runs in production: `weir spoke run` over a home, with so many workers. Its log lines are kept, because they
// say which ports it took and which processes are its workers.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const START_MS = 60_000;
const STOP_MS = 20_000;

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

export interface SpokeInProcesses extends AsyncDisposable {
  readonly pid: number;
  readonly registry: string;
  readonly admin: string;
  readonly lines: readonly LogLine[];
  /** Milliseconds from the start of the command to the line that says it serves. */
  readonly startedAfterMs: number;
  /** Process ids of the workers that serve, by name. */
  workers(): Promise<ReadonlyMap<string, number>>;
  status(): Promise<Status>;
  /** Resolves with the exit code after SIGTERM. */
  stop(): Promise<number | null>;
  kill(): Promise<void>;
}

export interface Status {
  readonly ready: boolean;
  readonly bundle: { readonly digest: string } | null;
  readonly log: {
    readonly nextIndex: number;
    readonly acknowledged: number;
    readonly healthy: boolean;
    readonly each: readonly { readonly log: string; readonly nextIndex: number; readonly acknowledged: number }[];
  };
  readonly workers: {
    readonly wanted: number;
    readonly restarts: number;
    readonly failing: readonly { readonly name: string; readonly reason: string }[];
    readonly serving: readonly { readonly name: string; readonly pid: number; readonly bundle: string | null }[];
  };
}

export async function startSpokeInProcesses(
  home: string,
  workers: number,
  env: Readonly<Record<string, string>> = {},
): Promise<SpokeInProcesses> {
  const beganMs = performance.now();
  const child: ChildProcess = spawn(process.execPath, [join(ROOT, 'weir.ts'), 'spoke', 'run', '--home', home], {
    env: { PATH: process.env['PATH'], ...env, WEIR_WORKERS: String(workers) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit') as Promise<[number | null, string | null]>;
  const lines: LogLine[] = [];
  let trouble = '';
  child.stderr?.on('data', (bytes: Buffer) => void (trouble += bytes.toString()));
  const started = await new Promise<LogLine>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('the spoke did not start')), START_MS);
    void exited.then(([code]) => reject(new Error(`the spoke ended with ${code}: ${trouble}`)));
    if (child.stdout === null) throw new Error('no output');
    createInterface(child.stdout).on('line', (text) => {
      const line = JSON.parse(text) as LogLine;
      lines.push(line);
      if (line.message !== 'spoke started') return;
      clearTimeout(late);
      resolve(line);
    });
  });
  const startedAfterMs = performance.now() - beganMs;
  const admin = `http://127.0.0.1:${String(started['admin_port'])}`;
  const status = async (): Promise<Status> => (await (await fetch(`${admin}/status`)).json()) as Status;

  async function stop(): Promise<number | null> {
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    child.kill('SIGTERM');
    const [code] = await exited;
    clearTimeout(late);
    return code;
  }

  return {
    pid: child.pid ?? 0,
    registry: `http://127.0.0.1:${String(started['registry_port'])}`,
    admin,
    lines,
    startedAfterMs,
    status,
    workers: async () => new Map((await status()).workers.serving.map(({ name, pid }) => [name, pid])),
    stop,
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) await stop();
    },
  };
}
