// Finds upstream registries in this machine's own client configuration, so that no address is ever built in: npm and pip
// are asked what they would use, their defaults included.

import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { promisify } from 'node:util';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

const run = promisify(execFile);
const ASK_TIMEOUT_MS = 20_000;

/** The registry that npm uses outside of any project. @throws WeirError `not_found` */
export async function npmRegistry(signal?: AbortSignal): Promise<string> {
  const text = await ask('npm', ['config', 'get', 'registry', '--location=global'], signal).catch(() =>
    ask('npm', ['config', 'get', 'registry'], signal).catch(() => ''),
  );
  const url = text
    .split('\n')
    .map((line) => line.trim())
    .find((line) => /^https?:\/\//.test(line));
  if (url === undefined) throw unknownUpstream('npm', '--npm-upstream');
  return url;
}

/**
 * The index that pip uses: its environment, its configuration, or the default that its own help names.
 * @throws WeirError `not_found`
 */
export async function pipIndex(
  env: Readonly<Record<string, string | undefined>>,
  signal?: AbortSignal,
): Promise<string> {
  const fromEnvironment = env['PIP_INDEX_URL'];
  if (fromEnvironment !== undefined && fromEnvironment !== '') return fromEnvironment;
  const pip = (...args: string[]): Promise<string> => ask('python3', ['-m', 'pip', ...args], signal).catch(() => '');
  const [settings, help] = await Promise.all([pip('config', 'list'), pip('install', '--help')]);
  for (const key of ['install', 'global']) {
    const configured = new RegExp(`^${key}\\.index-url=['"](https?://[^'"]+)['"]`, 'm').exec(settings)?.[1];
    if (configured !== undefined) return configured;
  }
  const url = /--index-url[\s\S]*?\(default\s+(https?:\/\/[^\s)]+)\)/.exec(help)?.[1];
  if (url === undefined) throw unknownUpstream('pip', '--pypi-upstream');
  return url;
}

async function ask(command: string, args: readonly string[], signal: AbortSignal | undefined): Promise<string> {
  // From a neutral folder: a project's own settings are not the machine's.
  const { stdout } = await run(command, args, {
    cwd: tmpdir(),
    timeout: ASK_TIMEOUT_MS,
    env: { ...process.env, NO_COLOR: '1', COLUMNS: '400' },
    ...(signal === undefined ? {} : { signal }),
  });
  return stdout;
}

function unknownUpstream(client: string, option: string): WeirError {
  return new WeirError('not_found', `this machine's ${client} names no registry to use as upstream`, {
    next: `give one with ${option} URL`,
  });
}
