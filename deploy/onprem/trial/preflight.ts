// Looks before it leaps: a home that can be written, room on the disk, ports that are free, and no other trial at work in
// the same home. Each problem is one sentence with its remedy.

import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { TrialError } from './processes.ts';

/** Room that the trial asks for before it starts, bytes. */
const FREE_BYTES_MIN = 2 ** 30;

export function prepareHome(home: string): void {
  try {
    mkdirSync(home, { recursive: true, mode: 0o700 });
    accessSync(home, constants.W_OK | constants.X_OK);
    const probe = join(home, `.probe-${process.pid}`);
    writeFileSync(probe, '');
    rmSync(probe);
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new TrialError(`the home ${home} cannot be written (${code}): choose another with --home DIR or WEIR_HOME`);
  }
  const { bavail, bsize } = statfsSync(home);
  const free = bavail * bsize;
  if (free < FREE_BYTES_MIN) {
    throw new TrialError(
      `only ${Math.round(free / 2 ** 20)} MiB are free in ${home} and the trial wants 1024: free some space or choose another place with --home DIR`,
    );
  }
}

/** Marks the home as in use by this process; a mark left by a dead process is taken over. */
export function takeHome(home: string): () => void {
  const mark = join(home, 'trial.pid');
  if (existsSync(mark)) {
    const pid = Number(readFileSync(mark, 'utf8'));
    if (Number.isInteger(pid) && pid > 0 && pid !== process.pid && isAlive(pid)) {
      throw new TrialError(
        `a federation is already running in ${home} (process ${pid}): stop it with Ctrl-C or \`kill ${pid}\`, or choose another --home`,
      );
    }
  }
  writeFileSync(mark, String(process.pid));
  return () => rmSync(mark, { force: true });
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

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
