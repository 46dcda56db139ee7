// Load for the HTTP benchmarks. `wrk` drives the closed loop when it is on PATH; otherwise, and whenever the rate is
// given, this file does it itself in a process of its own: plain sockets, keep-alive, one request at a time on each.

import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { percentile } from './figures.ts';

export interface LoadOptions {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  /** Requests per second over all connections; as fast as possible when absent. */
  readonly rate?: number;
  /** Core to run on, where the system can do that. */
  readonly core?: number;
}

export interface Load {
  readonly generator: 'wrk' | 'node';
  readonly requests: number;
  readonly requests_per_s: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  /** Answers that are not 200, and broken connections. */
  readonly errors: number;
}

const run = promisify(execFile);
const CHILD = '--as-load-process';

/** Whether a program answers on PATH. */
export async function isOnPath(program: string, argument: string): Promise<boolean> {
  try {
    await run(program, [argument]);
    return true;
  } catch (error) {
    // wrk and nginx exit non-zero on the very options that name their version; only a missing file is a no.
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}

export async function load(options: LoadOptions, wrk: boolean): Promise<Load> {
  return wrk && options.rate === undefined ? loadByWrk(options) : loadByNode(options);
}

async function loadByWrk({ url, connections, seconds, core }: LoadOptions): Promise<Load> {
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', url];
  const pinned = core !== undefined && (await isOnPath('taskset', '-V'));
  const { stdout } = pinned ? await run('taskset', ['-c', String(core), 'wrk', ...args]) : await run('wrk', args);
  const number = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? 0);
  const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout) ?? [];
  return {
    generator: 'wrk',
    requests: number(/(\d+) requests in/),
    requests_per_s: number(/Requests\/sec:\s+([\d.]+)/),
    p50_ms: milliseconds(/\s50%\s+([\d.]+)(us|ms|s)/.exec(stdout)),
    p99_ms: milliseconds(/\s99%\s+([\d.]+)(us|ms|s)/.exec(stdout)),
    errors:
      number(/Non-2xx or 3xx responses: (\d+)/) + socketErrors.slice(1).reduce((sum, text) => sum + Number(text), 0),
  };
}

function milliseconds(match: RegExpExecArray | null): number {
  const scale = { us: 0.001, ms: 1, s: 1000 }[match?.[2] ?? 'ms'] ?? 1;
  return Number(match?.[1] ?? Number.NaN) * scale;
}

async function loadByNode(options: LoadOptions): Promise<Load> {
  const child = fork(import.meta.filename, [CHILD, JSON.stringify(options)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  if (options.core !== undefined && child.pid !== undefined) await pin(child.pid, options.core);
  const exited = once(child, 'exit');
  const [result] = (await once(child, 'message')) as [Load];
  await exited;
  return result;
}

/** Binds a process and all its threads to one core; without `taskset` it stays where it is. */
export async function pin(pid: number, core: number): Promise<boolean> {
  try {
    await run('taskset', ['-a', '-c', '-p', String(core), String(pid)]);
    return true;
  } catch {
    // Not on Linux, or not allowed: the figures are then of unpinned processes, and the caller says so.
    return false;
  }
}

async function generate({ url, connections, seconds, rate }: LoadOptions): Promise<Load> {
  const { hostname, port, pathname, host } = new URL(url);
  const request = `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  const latencies: number[] = [];
  let errors = 0;
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1000;
  const gapMs = rate === undefined ? 0 : (connections / rate) * 1000;

  async function connection(index: number): Promise<void> {
    let socket = await open();
    let dueMs = startedMs + (gapMs * index) / connections;
    while (performance.now() < endMs) {
      if (gapMs > 0) {
        const waitMs = dueMs - performance.now();
        if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
        dueMs += gapMs;
      }
      const sentMs = performance.now();
      const status = await exchange(socket, request);
      latencies.push(performance.now() - sentMs);
      if (status !== 200) errors += 1;
      if (status === 0) socket = await open();
    }
    socket.destroy();
  }

  async function open(): Promise<Socket> {
    const socket = connect(Number(port), hostname);
    socket.setNoDelay(true);
    await once(socket, 'connect');
    return socket;
  }

  await Promise.all(Array.from({ length: connections }, (_, index) => connection(index)));
  const elapsed = (performance.now() - startedMs) / 1000;
  return {
    generator: 'node',
    requests: latencies.length,
    requests_per_s: latencies.length / elapsed,
    p50_ms: percentile(latencies, 0.5),
    p99_ms: percentile(latencies, 0.99),
    errors,
  };
}

/** One request and its whole answer; resolves with the status, 0 when the connection broke. */
function exchange(socket: Socket, request: string): Promise<number> {
  return new Promise((resolve) => {
    let status = 0;
    let left = -1;
    let head = '';
    const done = (result: number): void => {
      socket.off('data', onData);
      socket.off('close', onBroken);
      socket.off('error', onBroken);
      resolve(result);
    };
    const onBroken = (): void => done(0);
    const onData = (chunk: Buffer): void => {
      if (left === -1) {
        head += chunk.toString('latin1');
        const end = head.indexOf('\r\n\r\n');
        if (end === -1) return;
        status = Number(head.slice(9, 12));
        left = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? Number.NaN) - (head.length - end - 4);
      } else {
        left -= chunk.length;
      }
      if (Number.isNaN(left) || left < 0) {
        socket.destroy();
        done(0);
      } else if (left === 0) done(status);
    };
    socket.on('data', onData);
    socket.once('close', onBroken);
    socket.once('error', onBroken);
    socket.write(request);
  });
}

if (process.argv[2] === CHILD) {
  const result = await generate(JSON.parse(process.argv[3] ?? '{}') as LoadOptions);
  process.send?.(result, () => process.disconnect?.());
}
