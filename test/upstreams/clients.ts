// The real package managers that tests run, found or fetched once, and an environment in which nothing of this machine's
// own configuration reaches them.

import { spawn } from 'node:child_process';
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { once } from './local-server.ts';

/** The one that is fetched when this machine has none. */
export const UV_VERSION = '0.13.9';
const FETCH_LIMIT_MS = 300_000;
const RUN_LIMIT_MS = 120_000;

export interface Ran {
  /** Exit status; -1 when it was ended for taking too long. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Both, in the order read. */
  readonly output: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly limitMs?: number;
}

/** Runs a program to its end; the environment is exactly the one given. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...(options.env ?? clientEnvironment(tmpdir())) },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      output += text;
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), options.limitMs ?? RUN_LIMIT_MS);
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? -1, stdout, stderr, output });
    });
  });
}

/** An environment with only a search path and a home of its own: no proxies, no client settings, no credentials. */
export function clientEnvironment(home: string): Readonly<Record<string, string>> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    LANG: 'C.UTF-8',
    NO_COLOR: '1',
    CI: '1',
    PIP_CONFIG_FILE: '/dev/null',
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
    PIP_NO_CACHE_DIR: '1',
    UV_NO_CONFIG: '1',
    UV_NO_CACHE: '1',
    UV_PYTHON_DOWNLOADS: 'never',
  };
}

export interface Workspace extends AsyncDisposable {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A temporary home and working folder for one client run. */
export async function clientWorkspace(): Promise<Workspace> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-client-'));
  return {
    folder,
    env: clientEnvironment(folder),
    [Symbol.asyncDispose]: once(() => rm(folder, { recursive: true, force: true })),
  };
}

export type Found =
  | { readonly found: true; readonly program: string; readonly version: string }
  | { readonly found: false; readonly why: string };

/** The machine's own Python with pip: run as `<program> -m pip`. */
export async function ensurePip(): Promise<Found> {
  const program = process.env['WEIR_PYTHON'] ?? 'python3';
  return probe(program, ['-m', 'pip', '--version'], /pip ([0-9][^ ]*)/);
}

/** `WEIR_UV`, the search path, the cache, and at last the Python registry that this machine's pip is configured for. */
export async function ensureUv(): Promise<Found> {
  const named = process.env['WEIR_UV'];
  if (named !== undefined && named !== '') return probe(named, ['--version'], /uv ([0-9][^ \n]*)/);
  const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weir', 'tools', `uv-${UV_VERSION}`);
  const cached = join(folder, 'bin', 'uv');
  for (const candidate of [...(process.env['PATH'] ?? '').split(delimiter).map((part) => join(part, 'uv')), cached]) {
    if (await exists(candidate)) return probe(candidate, ['--version'], /uv ([0-9][^ \n]*)/);
  }
  const problem = await fetchUv(folder);
  return problem === '' ? probe(cached, ['--version'], /uv ([0-9][^ \n]*)/) : { found: false, why: problem };
}

/** Into a folder beside the final one, renamed when whole, so that two runs at once do not disturb each other. */
async function fetchUv(folder: string): Promise<string> {
  const building = `${folder}.${process.pid}`;
  await mkdir(building, { recursive: true });
  try {
    const python = process.env['WEIR_PYTHON'] ?? 'python3';
    const args = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', building, `uv==${UV_VERSION}`];
    const env = Object.fromEntries(Object.entries(process.env).filter(([, value]) => value !== undefined));
    const ran = await run(python, args, { env: env as Record<string, string>, limitMs: FETCH_LIMIT_MS });
    if (ran.code !== 0) return `uv is not here and could not be fetched: ${ran.stderr.trim().slice(-300)}`;
    await rename(building, folder).catch(async (error: unknown) => {
      if (!(await exists(join(folder, 'bin', 'uv')))) throw error;
    });
    return '';
  } catch (thrown) {
    return `uv is not here and could not be fetched: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

async function probe(program: string, args: readonly string[], pattern: RegExp): Promise<Found> {
  try {
    const ran = await run(program, args);
    const version = pattern.exec(ran.output)?.[1];
    if (ran.code === 0 && version !== undefined) return { found: true, program, version };
    return { found: false, why: `${program} ${args.join(' ')} ended with ${ran.code}` };
  } catch (thrown) {
    return { found: false, why: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
