// Where processes are killed: local registries, and the trial's own federation (hub, database, two spokes) in a temporary
// home. Everything is ended by its number when the ground is given up, whatever state a test left it in.

import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startFederation, type Federation, type FederationPorts } from '../../deploy/onprem/trial/federation.ts';
import { foldersOf, readPid } from '../../deploy/onprem/trial/processes.ts';
import { consoleAt, intelDocument, type Console } from '../federation/local-federation.ts';
import { startNpmIndex, type NpmIndex } from '../upstreams/npm-index.ts';
import { startPypiIndex, type PypiIndex } from '../upstreams/pypi-index.ts';
import { MALICIOUS_VERSION, sampleNpmPackages, SAMPLES, samplePythonReleases } from '../upstreams/sample-packages.ts';
import { assertLedger, readLedger, type LedgerRow } from './ledger.ts';
import { ask, type Load, type Target } from './load.ts';

export type Unit = 'payments' | 'research';
export const UNITS: readonly Unit[] = ['payments', 'research'];

const WAIT_MS = 60_000;

export interface SpokeStatus {
  readonly ready: boolean;
  readonly bundle: { readonly digest: string; readonly epoch: number; readonly version: number } | null;
  readonly nack: { readonly code: string; readonly detail: string } | null;
  readonly log: { readonly log: string; readonly nextIndex: number; readonly acknowledged: number };
}

export interface FaultGround extends AsyncDisposable {
  readonly home: string;
  readonly federation: Federation;
  readonly npm: NpmIndex;
  readonly pypi: PypiIndex;
  /** Good whenever the hub runs. */
  readonly console: Console;
  /** Artifacts and documents of both units: some served, in payments some refused. */
  readonly targets: readonly Target[];
  status(unit: Unit): Promise<SpokeStatus>;
  /** Number of the embedded database's first process. */
  databasePid(): number;
  /** SIGKILL, and its end. */
  killHub(): Promise<void>;
  killSpoke(unit: Unit): Promise<void>;
  killDatabase(): Promise<void>;
  /** Checks what clients were told against the ledger, once the hub has all rows. Returns the unit's rows. */
  settleLedger(unit: Unit, load: Load): Promise<readonly LedgerRow[]>;
}

export async function prepareFaultGround(): Promise<FaultGround> {
  const cleanup = new AsyncDisposableStack();
  try {
    const now = new Date();
    const npm = cleanup.use(await startNpmIndex({ packages: sampleNpmPackages(now) }));
    const pypi = cleanup.use(await startPypiIndex({ releases: samplePythonReleases(now) }));
    const scratch = mkdtempSync(join(tmpdir(), 'weir-kill-'));
    cleanup.defer(() => rmSync(scratch, { recursive: true, force: true }));
    const home = join(scratch, 'home');
    const intel = join(scratch, 'intel.json');
    const malicious = (['npm', 'pypi'] as const).map((ecosystem) => ({
      ecosystem,
      name: SAMPLES.malware,
      versions: [MALICIOUS_VERSION],
    }));
    writeFileSync(intel, JSON.stringify(intelDocument(malicious)));
    const federation = await startFederation({
      home,
      ports: await freePorts(),
      npmUpstream: npm.origin,
      pypiUpstream: pypi.indexUrl,
      intel,
      progress: () => undefined,
    });
    cleanup.defer(async () => {
      await federation.stop();
      const left = processesOf(home);
      for (const pid of left) process.kill(pid, 'SIGKILL');
      if (left.length > 0) throw new Error(`processes were left running: ${left.join(', ')}`);
      requireNoCrash(foldersOf(home).logs);
    });
    const { ports } = federation.options;
    const token = readFileSync(join(home, 'hub', 'operator-token'), 'utf8').trim();
    const console = consoleAt(`http://127.0.0.1:${ports.admin}`, token);
    const status = async (unit: Unit): Promise<SpokeStatus> => {
      const response = await fetch(`http://127.0.0.1:${ports.spokes[unit] + 1}/status`);
      return (await response.json()) as SpokeStatus;
    };
    const targets = (await Promise.all(UNITS.map((unit) => targetsOf(unit, federation.registryUrl(unit))))).flat();
    return {
      home,
      federation,
      npm,
      pypi,
      console,
      targets,
      status,
      databasePid: () => databasePid(home),
      async killHub() {
        federation.hub().kill('SIGKILL');
        await federation.hub().ended;
      },
      async killSpoke(unit) {
        federation.spoke(unit).kill('SIGKILL');
        await federation.spoke(unit).ended;
      },
      async killDatabase() {
        const pid = databasePid(home);
        process.kill(pid, 'SIGKILL');
        await until(() => !isAlive(pid), 'the database ends');
      },
      async settleLedger(unit, load) {
        await until(async () => {
          const { log } = await status(unit);
          return log.acknowledged >= log.nextIndex;
        }, `the hub has every row of ${unit}`);
        const rows = await readLedger(console, unit);
        assertLedger(
          rows,
          load.received.filter(({ target }) => target.unit === unit),
        );
        return rows;
      },
      [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
    };
  } catch (thrown) {
    await cleanup.disposeAsync();
    throw thrown;
  }
}

/** Killed is not crashed: whatever happened around it, no process may have ended on an error that nobody caught. */
function requireNoCrash(logs: string): void {
  for (const name of readdirSync(logs)) {
    const text = readFileSync(join(logs, name), 'utf8');
    const at = text.search(/^Node\.js v\d/m);
    if (at !== -1) throw new Error(`${name} tells of a crash:\n${text.slice(Math.max(0, at - 2_000), at)}`);
  }
}

/** What a client asks one unit for. Payments blocks, research only warns. */
async function targetsOf(unit: Unit, origin: string): Promise<readonly Target[]> {
  const any = '*/*';
  const json = 'application/vnd.pypi.simple.v1+json';
  const refused = unit === 'payments' ? 403 : 200;
  const tarball = (name: string, version: string): string => `${origin}/npm/${name}/-/${name}-${version}.tgz`;
  const page = `${origin}/pypi/simple/${SAMPLES.plain}/`;
  const { body } = await ask({ unit, url: page, accept: json, status: 200 }, undefined, () => undefined);
  const { files } = JSON.parse(body) as { files: readonly { url: string; filename: string }[] };
  const wheel = files.find(({ filename }) => filename.endsWith('.whl'));
  if (wheel === undefined) throw new Error('the index page lists no wheel');
  return [
    { unit, url: tarball(SAMPLES.plain, '1.0.0'), accept: any, status: 200 },
    { unit, url: tarball(SAMPLES.malware, MALICIOUS_VERSION), accept: any, status: refused },
    { unit, url: `${origin}/npm/${SAMPLES.fresh}`, accept: 'application/json', status: 200 },
    { unit, url: new URL(wheel.url, page).href, accept: any, status: 200 },
  ];
}

/** Polls until the check holds; a check that throws does not hold. @throws Error after a minute */
export async function until(check: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  let last: unknown;
  for (;;) {
    try {
      if (await check()) return;
    } catch (thrown) {
      last = thrown;
    }
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`, { cause: last });
    await delay(25);
  }
}

export function isAlive(pid: number): boolean {
  try {
    // What only waits for its parent to take its status has ended.
    const state = /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    if (state !== undefined) return state !== 'Z' && state !== 'X';
  } catch {
    if (process.platform === 'linux') return false;
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Numbers of all live processes that name the folder in their command line or work below it; none where `/proc` is missing. */
export function processesOf(folder: string): readonly number[] {
  if (process.platform !== 'linux') return [];
  const concerns = (pid: string): boolean => {
    try {
      const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      return commandLine.includes(folder) || readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
    } catch {
      return false;
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && concerns(name))
    .map(Number);
}

export function databasePid(home: string): number {
  const hub = join(home, 'hub');
  const { data } = JSON.parse(readFileSync(join(hub, 'postgres.json'), 'utf8')) as { data: string };
  const pid = readPid(join(resolve(hub, data), 'postmaster.pid'));
  if (pid === 0) throw new Error('no embedded database runs');
  return pid;
}

/** Ports that nobody listens on; a spoke takes two in a row. */
export async function freePorts(): Promise<FederationPorts> {
  const taken = new Set<number>();
  const run = async (length: number): Promise<number> => {
    for (let attempt = 0; attempt < 200; attempt += 1) {
      const first = 20_000 + Math.floor(Math.random() * 12_000);
      const ports = Array.from({ length }, (_, i) => first + i);
      if (ports.some((port) => taken.has(port)) || !(await Promise.all(ports.map(isFree))).every(Boolean)) continue;
      for (const port of ports) taken.add(port);
      return first;
    }
    throw new Error('no free port was found');
  };
  return {
    admin: await run(1),
    federation: await run(1),
    join: await run(1),
    spokes: { payments: await run(2), research: await run(2) },
  };
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => done(true)));
  });
}
