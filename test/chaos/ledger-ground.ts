// The ground of the ledger campaign: the fault suites' federation of real processes, with a line to the hub that can be cut
// in the middle of a batch, spools on small disks of their own where the system lets us mount them, and an auditor that
// reads the database itself.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createPool, type Pool } from '@weir/hub/store/postgres/pool.ts';
import { startCutLine, type CutLine } from '../federation/cut-line.ts';
import { isAlive, prepareFaultGround, UNITS, until, type FaultGround, type Unit } from '../kill/fault-ground.ts';
import { createLedgerAuditor, type LedgerAuditor } from './ledger-audit.ts';

/** Small, so that disks fill and segments roll within seconds, and nobody waits long for a hub that is back. */
const LIMITS = { spool_segment_bytes: 1 << 20, spool_bytes: 8 << 20, hub_retry_max_ms: 1_000 };
const DISK_BYTES = 24 << 20;
const BALLAST = 'ballast';
/** Starts of a process that does not become ready. */
const STARTS_MAX = 3;

export interface LedgerGround extends AsyncDisposable {
  readonly base: FaultGround;
  readonly lines: Readonly<Record<Unit, CutLine>>;
  readonly auditor: LedgerAuditor;
  /** Whether spools have a disk of their own that can be filled. */
  readonly smallDisks: boolean;
  /** A connection to the hub's database; a new one after `databaseChanged`. */
  pool(): Pool;
  /** Stops the hub and its database in order. */
  stopHub(): Promise<void>;
  /** Hub and database run and answer. */
  reviveHub(): Promise<void>;
  reviveSpoke(unit: Unit): Promise<void>;
  stopSpoke(unit: Unit): Promise<void>;
  /** Takes all room on the disk of the unit's spool; returns the way to give it back. */
  fillDisk(unit: Unit): () => void;
  /** The folder of the unit's ledgers. */
  auditFolder(unit: Unit): string;
  /** Copies of the whole database and of a unit's ledgers, taken at rest. */
  saveDatabase(): Promise<void>;
  restoreDatabase(): Promise<void>;
}

export async function prepareLedgerGround(logger: Parameters<typeof createPool>[0]['logger']): Promise<LedgerGround> {
  const cleanup = new AsyncDisposableStack();
  try {
    const base = cleanup.use(await prepareFaultGround());
    const { federation, home } = base;
    const hubAddress = { host: '127.0.0.1', port: federation.options.ports.federation };
    const lines = {
      payments: cleanup.use(await startCutLine(hubAddress)),
      research: cleanup.use(await startCutLine(hubAddress)),
    };
    const auditFolder = (unit: Unit): string => join(federation.spokeHome(unit), 'audit');
    let smallDisks = true;

    const stopSpoke = async (unit: Unit): Promise<void> => {
      const spoke = federation.spoke(unit);
      spoke.kill('SIGTERM');
      await spoke.ended;
    };
    for (const unit of UNITS) {
      await stopSpoke(unit);
      const file = join(federation.spokeHome(unit), 'spoke.json');
      const config = JSON.parse(readFileSync(file, 'utf8')) as { limits?: object };
      const limits = { ...config.limits, ...LIMITS };
      writeFileSync(file, JSON.stringify({ ...config, hub: [lines[unit].address], limits }));
      smallDisks = mountSmall(auditFolder(unit)) && smallDisks;
      cleanup.defer(async () => {
        await base.killSpoke(unit);
        if (smallDisks) await unmount(auditFolder(unit));
      });
      await federation.startSpoke(unit);
    }

    let pool: Pool | undefined;
    const databaseUrl = (): string => {
      const { port, password } = JSON.parse(readFileSync(join(home, 'hub', 'postgres.json'), 'utf8')) as {
        port: number;
        password: string;
      };
      return `postgres://weir:${encodeURIComponent(password)}@127.0.0.1:${port}/weir`;
    };
    const dropPool = async (): Promise<void> => {
      const old = pool;
      pool = undefined;
      await old?.end();
    };
    cleanup.defer(dropPool);
    const data = (): string => {
      const { data: folder } = JSON.parse(readFileSync(join(home, 'hub', 'postgres.json'), 'utf8')) as { data: string };
      return resolve(home, 'hub', folder);
    };
    const hubAnswers = async (): Promise<boolean> => {
      const url = `http://127.0.0.1:${federation.options.ports.admin}/readyz`;
      return (await fetch(url, { signal: AbortSignal.timeout(2_000) })).ok;
    };
    const saved = (): string => `${data()}.saved`;
    cleanup.defer(() => rmSync(saved(), { recursive: true, force: true }));

    const ground: LedgerGround = {
      base,
      lines,
      smallDisks,
      auditFolder,
      auditor: createLedgerAuditor(() => ground.pool()),
      pool() {
        pool ??= createPool({ url: databaseUrl(), logger, max: 3 });
        return pool;
      },
      async stopHub() {
        await dropPool();
        const hub = federation.hub();
        const database = existsSync(join(data(), 'postmaster.pid')) ? base.databasePid() : 0;
        hub.kill('SIGTERM');
        await hub.ended;
        if (database > 0) await until(() => !isAlive(database), 'the database ends with its hub');
      },
      async reviveHub() {
        for (let attempt = 1; ; attempt += 1) {
          try {
            if (!federation.hub().alive()) await federation.startHub();
            await until(hubAnswers, 'the hub is ready');
            return;
          } catch (thrown) {
            if (attempt === STARTS_MAX) throw thrown;
            // Its database is gone for good, or the machine is too busy: whoever runs it starts it again.
            await base.killHub();
          }
        }
      },
      async reviveSpoke(unit) {
        for (let attempt = 1; ; attempt += 1) {
          try {
            if (!federation.spoke(unit).alive()) await federation.startSpoke(unit);
            await until(async () => (await base.status(unit)).ready, `${unit} is ready`);
            return;
          } catch (thrown) {
            if (attempt === STARTS_MAX) throw thrown;
            await base.killSpoke(unit);
          }
        }
      },
      stopSpoke,
      fillDisk(unit) {
        const file = join(auditFolder(unit), BALLAST);
        const { bavail, bsize } = statfsSync(auditFolder(unit));
        try {
          writeFileSync(file, Buffer.alloc(bavail * bsize));
        } catch {
          // The spoke took some of it meanwhile: all that was left is taken now.
        }
        return () => rmSync(file, { force: true });
      },
      async saveDatabase() {
        await ground.stopHub();
        rmSync(saved(), { recursive: true, force: true });
        execFileSync('cp', ['-a', data(), saved()]);
        await federation.startHub();
      },
      async restoreDatabase() {
        await ground.stopHub();
        const old = `${data()}.old`;
        renameSync(data(), old);
        execFileSync('cp', ['-a', saved(), data()]);
        rmSync(old, { recursive: true, force: true });
        await federation.startHub();
      },
      [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
    };
    await ground.reviveHub();
    return ground;
  } catch (thrown) {
    await cleanup.disposeAsync();
    throw thrown;
  }
}

/** Puts an empty small file system in the folder's place: its ledgers begin anew there. False where this account may not. */
function mountSmall(folder: string): boolean {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES},mode=0700`, 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function unmount(folder: string): Promise<void> {
  const isMounted = (): boolean => readFileSync('/proc/mounts', 'utf8').includes(` ${folder} `);
  for (let attempt = 0; attempt < 40; attempt += 1) {
    if (!isMounted()) return;
    try {
      execFileSync('umount', [folder], { stdio: 'ignore' });
    } catch {
      // Somebody who is about to end still has a file open.
      await delay(250);
    }
  }
  execFileSync('umount', ['--lazy', folder], { stdio: 'ignore' });
}
