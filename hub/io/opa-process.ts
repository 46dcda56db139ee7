// Runs the pinned OPA: finds the binary, gives each use a private temporary folder, and bounds every run in time and output.
// The process gets no environment of ours, so nothing secret can reach a policy's test run.

import { spawn } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { OPA_LIMITS, type Opa, type OpaFolder, type OpaResult } from '../floor/opa.ts';
import type { SourceFile } from '../store/policy-store.ts';

const GO_MODULE = join(dirname(fileURLToPath(import.meta.url)), 'tools', 'opa', 'go.mod');

/** The version that `hub/io/tools/opa/go.mod` pins, such as `1.22.2`. */
export function pinnedOpaVersion(): string {
  const match = /github\.com\/open-policy-agent\/opa v(\S+)/.exec(readFileSync(GO_MODULE, 'utf8'));
  if (match?.[1] === undefined) throw new WeirError('corrupt', 'hub/io/tools/opa/go.mod names no opa version');
  return match[1];
}

/**
 * Path of an OPA binary: `WEIR_OPA`, then the PATH, then the tool cache that set-up fills. Throws `not_found` saying how to
 * get one; a `WEIR_OPA` that cannot be executed is not silently passed over.
 */
export function findOpa(env: Readonly<Record<string, string | undefined>>): string {
  const named = env['WEIR_OPA'] ?? '';
  if (named !== '') {
    if (isExecutable(named)) return named;
    throw new WeirError('not_found', `WEIR_OPA names ${named}, which cannot be executed`, {
      next: 'correct WEIR_OPA or unset it',
    });
  }
  const binary = process.platform === 'win32' ? 'opa.exe' : 'opa';
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    if (folder !== '' && isExecutable(join(folder, binary))) return join(folder, binary);
  }
  const version = pinnedOpaVersion();
  const cache =
    env['XDG_CACHE_HOME'] === undefined || env['XDG_CACHE_HOME'] === ''
      ? join(homedir(), '.cache')
      : env['XDG_CACHE_HOME'];
  const cached = join(cache, 'weir', 'tools', `opa-${version}`, binary);
  if (isExecutable(cached)) return cached;
  throw new WeirError('not_found', `opa ${version} is needed to compile policies and was not found`, {
    next: 'put opa on PATH, set WEIR_OPA to it, or run the set-up, which builds it with go',
  });
}

export function createOpa(binary: string): Opa {
  return {
    async open(files) {
      const folder = await mkdtemp(join(tmpdir(), 'weir-opa-'));
      const dispose = async (): Promise<void> => rm(folder, { recursive: true, force: true });
      try {
        await mkdir(join(folder, 'home'));
        for (const file of files) await writeInside(folder, file);
      } catch (thrown) {
        await dispose();
        throw new WeirError('internal', 'the folder for opa could not be written', { cause: thrown });
      }
      return openFolder(binary, folder, dispose);
    },
  };
}

async function writeInside(folder: string, file: SourceFile): Promise<void> {
  if (file.path.startsWith('/') || file.path.split('/').includes('..')) {
    throw new WeirError('invalid_argument', 'a source path leaves its folder');
  }
  const path = join(folder, file.path);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, file.content, { flag: 'wx', mode: 0o600 });
}

function openFolder(binary: string, folder: string, dispose: () => Promise<void>): OpaFolder {
  return {
    run: (args, stdin) => runOpa(binary, folder, args, stdin),
    async read(path) {
      await using file = await open(join(folder, path), 'r');
      const { size } = await file.stat();
      if (size > OPA_LIMITS.outputBytes) throw new WeirError('too_large', 'opa wrote a larger file than allowed');
      const bytes = new Uint8Array(size);
      await file.read(bytes, 0, size, 0);
      return bytes;
    },
    [Symbol.asyncDispose]: dispose,
  };
}

function runOpa(
  binary: string,
  folder: string,
  args: readonly string[],
  stdin: string | undefined,
): Promise<OpaResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, args, {
      cwd: folder,
      env: { HOME: join(folder, 'home'), TMPDIR: folder, PATH: '' },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let failure: WeirError | undefined;
    const stop = (error: WeirError): void => {
      failure ??= error;
      child.kill('SIGKILL');
    };
    const deadline = setTimeout(() => stop(new WeirError('timeout', 'opa took too long')), OPA_LIMITS.timeoutMs);
    const output = { stdout: [] as Buffer[], stderr: [] as Buffer[], bytes: 0 };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].on('data', (chunk: Buffer) => {
        output.bytes += chunk.length;
        if (output.bytes > OPA_LIMITS.outputBytes) stop(new WeirError('too_large', 'opa printed more than allowed'));
        else output[name].push(chunk);
      });
    }
    child.stdin.on('error', () => undefined); // it may end without reading; its status says what happened
    child.stdin.end(stdin ?? '');
    child.on('error', (cause) => stop(new WeirError('internal', 'opa could not be started', { cause })));
    child.on('close', (status) => {
      clearTimeout(deadline);
      if (failure !== undefined) reject(failure);
      else if (status === null) reject(new WeirError('internal', 'opa was killed'));
      else
        resolve({
          status,
          stdout: Buffer.concat(output.stdout).toString('utf8'),
          stderr: Buffer.concat(output.stderr).toString('utf8'),
        });
    });
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
