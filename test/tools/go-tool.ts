// Programs in Go that tests run and nothing else needs: on the search path, or built once from a module folder whose sums
// are committed. What was built is kept beside the other fetched tools, under a name that changes with its sources.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

const BUILD_LIMIT_MS = 600_000;
const QUIET_MS = 2000;
const PROGRESS_MS = 10_000;
const POLL_MS = 200;

export interface GoTool {
  /** Name of the binary, on the search path too unless `ours`. */
  readonly name: string;
  /** Folder with go.mod and go.sum. */
  readonly module: string;
  /** Package to build: an import path that go.mod pins, or `.` for the folder's own program. */
  readonly build: string;
  /** A program of this repository, which is never looked for on the search path. */
  readonly ours?: boolean;
}

export type FoundTool =
  | { readonly found: true; readonly program: string }
  | { readonly found: false; readonly why: string };

const asked = new Map<string, Promise<FoundTool>>();

/** Path of the tool; undefined, and the test skipped with a printed reason, on a machine that has neither it nor Go. */
export async function goToolOrSkip(t: TestContext, tool: GoTool): Promise<string | undefined> {
  const found = await ensureGoTool(tool);
  if (found.found) return found.program;
  t.skip(found.why);
  return undefined;
}

/** The search path, the cache, and at last `go build`. Throws when Go is here and the build fails. */
export function ensureGoTool(tool: GoTool): Promise<FoundTool> {
  let found = asked.get(tool.module);
  if (found === undefined) {
    found = find(tool);
    asked.set(tool.module, found);
  }
  return found;
}

async function find(tool: GoTool): Promise<FoundTool> {
  const binary = process.platform === 'win32' ? `${tool.name}.exe` : tool.name;
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  if (tool.ours !== true) {
    for (const folder of path) {
      const program = join(folder, binary);
      if (await isExecutable(program)) return { found: true, program };
    }
  }
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  const folder = join(cache, 'weir', 'tools', `${tool.name}-${await sourcesDigest(tool.module)}`);
  const program = join(folder, binary);
  if (await isExecutable(program)) return { found: true, program };
  if (!(await hasGo())) return { found: false, why: `${tool.name} is not on PATH and there is no Go to build it` };

  await mkdir(folder, { recursive: true });
  const lock = `${program}.lock`;
  while (!(await take(lock))) await delay(POLL_MS);
  try {
    // Another process may have built it while this one waited.
    if (!(await isExecutable(program))) await buildInPlace(tool, program);
  } finally {
    await rm(lock, { force: true });
  }
  return { found: true, program };
}

async function buildInPlace(tool: GoTool, program: string): Promise<void> {
  // Built beside its final place and renamed when whole, so that a build cut short leaves nothing that looks built.
  const building = `${program}.${process.pid}`;
  try {
    const failure = await build(tool, building);
    if (failure !== '') throw new Error(`${tool.name} could not be built with Go:\n${failure}`);
    await rename(building, program);
  } finally {
    await rm(building, { force: true });
  }
}

/** One process builds a tool, and the others wait for it. A lock whose owner has gone is removed. */
async function take(lock: string): Promise<boolean> {
  const own = `${lock}.${process.pid}`;
  await writeFile(own, String(process.pid));
  try {
    // A link appears with its content, so no reader finds a lock without an owner.
    await link(own, lock);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
    const owner = Number(await readFile(lock, 'utf8').catch(() => process.pid));
    const { mtimeMs } = await stat(lock).catch(() => ({ mtimeMs: Date.now() }));
    // Two that remove the same lock may both build: that costs time and nothing else.
    if (!isAlive(owner) || Date.now() - mtimeMs > BUILD_LIMIT_MS) await rm(lock, { force: true });
    return false;
  } finally {
    await rm(own, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Names what is built: the module's files, and so the versions that they pin. */
async function sourcesDigest(module: string): Promise<string> {
  const digest = createHash('sha256');
  for (const file of (await readdir(module)).toSorted()) {
    if (/^go\.(mod|sum)$|\.go$/.test(file)) digest.update(`${file}\n`).update(await readFile(join(module, file)));
  }
  return digest.digest('hex').slice(0, 12);
}

async function hasGo(): Promise<boolean> {
  const { status } = await runGo(['version'], process.cwd());
  return status === 0;
}

/** @returns what Go printed when it failed, '' when it did not */
async function build(tool: GoTool, target: string): Promise<string> {
  const started = Date.now();
  const seconds = () => Math.round((Date.now() - started) / 1000);
  const say = () => process.stderr.write(`… building ${tool.name} with Go, once: ${seconds()} s\n`);
  let timer = setTimeout(() => {
    say();
    timer = setInterval(say, PROGRESS_MS);
  }, QUIET_MS);
  try {
    const args = ['build', '-mod=readonly', '-trimpath', '-ldflags=-s -w', '-o', target, tool.build];
    const { status, output } = await runGo(args, tool.module);
    if (seconds() > QUIET_MS / 1000) process.stderr.write(`✓ building ${tool.name} with Go: ${seconds()} s\n`);
    return status === 0 ? '' : output.trim().slice(-2000) || `go build ended with ${status}`;
  } finally {
    clearTimeout(timer);
  }
}

function runGo(args: readonly string[], cwd: string): Promise<{ readonly status: number; readonly output: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, GOFLAGS: '', CGO_ENABLED: '0' };
    const child = spawn('go', args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: BUILD_LIMIT_MS });
    let output = '';
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-16_384);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', (error) => resolve({ status: 127, output: error.message }));
    child.once('close', (status) => resolve({ status: status ?? -1, output }));
  });
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
