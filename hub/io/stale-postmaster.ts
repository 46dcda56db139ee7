// A lock file whose server is dead although its number is taken: it ended and nobody has asked how (containers without an
// init), or the number was used again after a reboot. PostgreSQL takes both for a live server and would never start.

import { readdir, readFile, readlink, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** The other processes of a server that was killed notice within moments; this long they are waited for. */
const LEAVING_MS = 10_000;
const POLL_MS = 25;

/**
 * Removes `postmaster.pid` from the data folder when no process works there any more. Only on Linux, which tells where a
 * process works; elsewhere PostgreSQL's own check has the last word.
 */
export async function clearStaleLock(data: string): Promise<void> {
  if (process.platform !== 'linux') return;
  const lock = join(data, 'postmaster.pid');
  const pid = Number((await readFile(lock, 'utf8').catch(() => '')).split('\n', 1)[0]);
  // A number that is free is no riddle to PostgreSQL.
  if (!Number.isInteger(pid) || pid <= 0 || !isTaken(pid)) return;
  const folder = await realpath(data);
  if (await worksIn(folder, pid)) return;
  const deadline = performance.now() + LEAVING_MS;
  while ((await workersIn(folder)) > 0) {
    if (performance.now() > deadline) return;
    await delay(POLL_MS);
  }
  await rm(lock, { force: true });
}

function isTaken(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Every process of a server has the data folder as its working folder; a process that has ended has none. */
async function worksIn(folder: string, pid: number): Promise<boolean> {
  return (await readlink(`/proc/${pid}/cwd`).catch(() => '')) === folder;
}

async function workersIn(folder: string): Promise<number> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  return (await Promise.all(pids.map((pid) => worksIn(folder, pid)))).filter(Boolean).length;
}
