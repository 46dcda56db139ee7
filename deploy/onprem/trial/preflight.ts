// Looks before it leaps: a home that can be written, room on the disk, ports that are free, a policy compiler that runs, and
// no other trial at work in the same home. Each problem is one sentence with its remedy.

import { accessSync, constants, linkSync, mkdirSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { isProcess } from './leftovers.ts';
import { readPid, TrialError } from './processes.ts';

/** Room that the trial asks for before it starts, bytes. */
const FREE_BYTES_MIN = 2 ** 30;
/** How the supervisor of a home shows in a process list. */
const SUPERVISOR = 'start.ts';

export function prepareHome(home: string): void {
  try {
    mkdirSync(home, { recursive: true, mode: 0o700 });
    accessSync(home, constants.W_OK | constants.X_OK);
    const probe = join(home, `.probe-${process.pid}`);
    writeFileSync(probe, '');
    rmSync(probe);
  } catch (thrown) {
    throw unusable(home, (thrown as NodeJS.ErrnoException).code ?? 'unknown error');
  }
  const { bavail, bsize } = statfsSync(home);
  const free = bavail * bsize;
  if (free < FREE_BYTES_MIN) {
    throw new TrialError(
      `only ${Math.round(free / 2 ** 20)} MiB are free in ${home} and the trial wants 1024: free some space or choose another place with --home DIR`,
    );
  }
}

function unusable(home: string, code: string): TrialError {
  const why =
    code === 'EEXIST' || code === 'ENOTDIR'
      ? 'is not a folder'
      : code === 'ENOSPC'
        ? 'has no space left on its disk'
        : `cannot be written (${code})`;
  return new TrialError(`the home ${home} ${why}: choose another with --home DIR or WEIR_HOME`);
}

/** Marks the home as in use by this process; a mark left by a dead process is taken over. Returns what gives it up. */
export function takeHome(home: string): () => void {
  const mark = join(home, 'trial.pid');
  const mine = `${mark}.${process.pid}`;
  writeFileSync(mine, `${process.pid}\n`);
  try {
    // A link is made by one process only, however many start at once.
    for (let attempt = 0; ; attempt += 1) {
      try {
        linkSync(mine, mark);
        return () => rmSync(mark, { force: true });
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST' || attempt > 3) throw thrown;
      }
      const pid = readPid(mark);
      if (pid !== process.pid && isProcess(pid, [SUPERVISOR])) {
        throw new TrialError(
          `a federation is already running in ${home} (process ${pid}): stop it with Ctrl-C or \`kill ${pid}\`, or choose another --home`,
        );
      }
      rmSync(mark, { force: true });
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

/** The compiler that the hub will be given; without WEIR_OPA it looks for one itself. */
export function requireCompiler(env: Readonly<Record<string, string | undefined>>): void {
  const named = env['WEIR_OPA'] ?? '';
  if (named === '') return;
  try {
    accessSync(named, constants.X_OK);
    if (statSync(named).isFile()) return;
  } catch {
    // Told below, as a folder is.
  }
  throw new TrialError(`WEIR_OPA names ${named}, which is no program that can be run: correct it or unset it`);
}

export async function requireFreePorts(ports: Readonly<Record<string, number>>): Promise<void> {
  const seen = new Map<number, string>();
  for (const [option, port] of Object.entries(ports)) {
    const other = seen.get(port);
    if (other !== undefined) throw new TrialError(`${option} and ${other} are both ${port}: give them different ports`);
    seen.set(port, option);
    if (!(await isFree(port)))
      throw new TrialError(
        `port ${port} is in use by another program: stop that program or choose another port with ${option} N`,
      );
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
