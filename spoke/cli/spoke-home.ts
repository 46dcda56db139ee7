// Where a spoke's state is, and how commands reach a running one: through the admin port that its configuration names.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { readSpokeConfig, type SpokeConfig } from '../config.ts';

export const CONFIG_FILE = 'spoke.json';

/** `--home`, else WEIR_SPOKE_HOME, else `spoke` below WEIR_HOME (default `.weir`). */
export function spokeHome(option: string | undefined): string {
  if (option !== undefined && option !== '') return resolve(option);
  const own = process.env['WEIR_SPOKE_HOME'];
  return resolve(own === undefined || own === '' ? join(weirHome(), 'spoke') : own);
}

export function weirHome(): string {
  const home = process.env['WEIR_HOME'];
  return resolve(home === undefined || home === '' ? '.weir' : home);
}

/** Homes of all spokes of this machine's trial, or the one that is named. */
export function knownSpokeHomes(option: string | undefined): readonly string[] {
  if (option !== undefined && option !== '') return [resolve(option)];
  const own = spokeHome(undefined);
  if (existsSync(join(own, CONFIG_FILE))) return [own];
  const home = weirHome();
  if (!existsSync(home)) return [];
  return readdirSync(home)
    .filter((name) => name.startsWith('spoke-'))
    .map((name) => join(home, name))
    .filter((folder) => existsSync(join(folder, CONFIG_FILE)));
}

/** @throws WeirError `not_found` before `weir spoke init`, `invalid_argument` for a faulty file */
export function loadSpokeConfig(home: string): SpokeConfig {
  const file = join(home, CONFIG_FILE);
  if (!existsSync(file)) {
    const others = knownSpokeHomes(undefined);
    throw new WeirError('not_found', `there is no spoke in ${home}`, {
      next:
        others.length === 0
          ? 'run `weir spoke init` first, or name its home with --home'
          : `name one with --home: ${others.join(', ')}`,
    });
  }
  return readSpokeConfig(readFileSync(file, 'utf8'));
}

/** Asks the admin port of the spoke in `home`. @throws WeirError `unavailable` when it does not run */
export async function askSpoke(home: string, path: string, body?: unknown): Promise<unknown> {
  const { admin } = loadSpokeConfig(home);
  let response: Response;
  try {
    response = await fetch(`http://${admin.host}:${admin.port}${path}`, {
      signal: AbortSignal.timeout(65_000),
      ...(body === undefined
        ? {}
        : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
  } catch (cause) {
    throw new WeirError('unavailable', `the spoke in ${home} does not answer on its admin port ${admin.port}`, {
      cause,
      next: 'start it with `weir spoke run` (or npm start)',
    });
  }
  const answer = (await response.json()) as { error?: { code: 'not_found'; message: string; next: string } };
  if (!response.ok && answer.error !== undefined)
    throw new WeirError(answer.error.code, answer.error.message, { next: answer.error.next });
  return answer;
}
