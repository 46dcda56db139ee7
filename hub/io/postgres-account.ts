// Which account the embedded database runs under. PostgreSQL refuses to run as root, so a hub started by root (containers,
// trial machines) runs it as the system's `postgres` user, and makes sure that this user can reach the files it needs.

import { execFile } from 'node:child_process';
import { chmod, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

const run = promisify(execFile);
const USER = 'postgres';

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Undefined when the hub's own account will do; otherwise the unprivileged one, created when it does not exist. */
export async function databaseAccount(): Promise<Account | undefined> {
  if (process.platform === 'win32' || userInfo().uid !== 0) return undefined;
  const existing = await lookUp();
  if (existing !== undefined) return existing;
  try {
    await run('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/bin/false', USER]);
  } catch (cause) {
    throw new WeirError(
      'unsupported',
      'the embedded database cannot run as root and no postgres user could be created',
      {
        cause,
        next: 'run the hub as an ordinary user, create a postgres user, or set DATABASE_URL',
      },
    );
  }
  const created = await lookUp();
  if (created === undefined)
    throw new WeirError('unsupported', 'the postgres user was created but cannot be looked up');
  return created;
}

async function lookUp(): Promise<Account | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', USER]), run('id', ['-g', USER])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return undefined;
  }
}

/**
 * Whether the account can walk to `path`. A closed folder that this process owns inside `within` is opened for walking
 * (mode +x for others, never reading): temporary homes are made 0700 by mkdtemp.
 */
export async function canReach(account: Account, path: string, within: string): Promise<boolean> {
  const inside = resolve(within);
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) {
      if (folder !== inside && !folder.startsWith(`${inside}/`)) return false;
      await chmod(folder, (mode & 0o7777) | 0o001);
    }
    if (folder === dirname(folder)) return true;
  }
}
