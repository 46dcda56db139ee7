// What the campaign does to a federation: each fault is struck, lasts a moment, and is over when its function returns. The
// weights give most turns to what is quick, so that a thousand faults fit an hour of a small machine.

import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { start } from '../../deploy/onprem/trial/processes.ts';
import type { Chance } from '../kill/chance.ts';
import { freePorts, UNITS, until, type Unit } from '../kill/fault-ground.ts';
import { ask, type Received, type Target } from '../kill/load.ts';
import { publishMarkedFloor } from '../kill/new-floor.ts';
import type { RowName } from './ledger-audit.ts';
import type { LedgerGround } from './ledger-ground.ts';
import { POISONS, sendPoison } from './poisoned-batch.ts';
import { firstRow, rowsBelow } from './rows-on-disk.ts';

export interface LedgerFault {
  readonly name: string;
  readonly weight: number;
  strike(): Promise<void>;
}

export interface FaultParts {
  readonly ground: LedgerGround;
  readonly chance: Chance;
  /** Answers that a fault's own clients got, to be held against the ledger like all others. */
  readonly heard: (answer: Received) => void;
  /** Resolves when the hub has everything that clients were told so far; rejects when it never gets there. */
  readonly settled: () => Promise<void>;
  /** These rows stand nowhere any more but, perhaps, at the hub: what it has not got is gone by the fault's own doing. */
  readonly destroyed: (rows: Iterable<RowName>) => Promise<void>;
}

export function ledgerFaults(parts: FaultParts): readonly LedgerFault[] {
  const { ground, chance, settled, destroyed } = parts;
  const { base, lines } = ground;
  const { federation } = base;
  const anyUnit = (): Unit => chance.pick(UNITS);

  /** Runs while a spoke is stopped or dead, and starts it again. */
  async function without(unit: Unit, meanwhile: () => void | Promise<void>): Promise<void> {
    await base.killSpoke(unit);
    await meanwhile();
    await ground.reviveSpoke(unit);
  }

  /** Changes what a dead spoke has on disk, and tells which rows went with it. */
  async function destroying(unit: Unit, change: () => void): Promise<void> {
    const before = rowsBelow(ground.auditFolder(unit));
    change();
    const left = rowsBelow(ground.auditFolder(unit));
    await destroyed(before.values().filter(({ id }) => !left.has(id)));
  }

  let editions = 0;
  async function publish(): Promise<void> {
    editions += 1;
    await publishMarkedFloor(base.console, `edition ${editions} of seed ${chance.seed}`);
  }

  async function inDatabase(statement: string, values: readonly unknown[] = []): Promise<void> {
    // The database may be on its way down: then this fault is that one.
    await ground
      .pool()
      .query(statement, [...values])
      .catch(() => undefined);
  }

  return [
    {
      name: 'line to the hub cut',
      weight: 14,
      async strike() {
        const unit = anyUnit();
        lines[unit].cut();
        await delay(chance.between(0, 300));
        lines[unit].mend();
      },
    },
    {
      name: 'line cut in the middle of a batch',
      weight: 14,
      async strike() {
        const unit = anyUnit();
        lines[unit].cutAfter(chance.between(1, 60_000));
        await delay(chance.between(100, 500));
        lines[unit].cut();
        lines[unit].mend();
      },
    },
    {
      name: 'worker killed',
      weight: 12,
      async strike() {
        const unit = anyUnit();
        const workers = childrenOf(federation.spoke(unit).pid);
        if (workers.length > 0) process.kill(chance.pick(workers), 'SIGKILL');
        else await without(unit, () => undefined);
      },
    },
    { name: 'spoke killed', weight: 8, strike: () => without(anyUnit(), () => undefined) },
    {
      name: 'spoke killed while it starts',
      weight: 3,
      strike: () => {
        const unit = anyUnit();
        return without(unit, async () => {
          const starting = federation.startSpoke(unit).catch(() => undefined);
          await delay(chance.between(0, 1200));
          await base.killSpoke(unit);
          await starting;
        });
      },
    },
    { name: 'spoke frozen', weight: 6, strike: () => frozen(federation.spoke(anyUnit()).pid, chance.between(50, 700)) },
    {
      name: 'hub frozen',
      weight: 5,
      strike: () => frozen(federation.hub().pid, chance.between(50, 1_000)),
    },
    {
      name: 'hub killed',
      weight: 5,
      async strike() {
        await base.killHub();
        await delay(chance.between(0, 200));
        await ground.reviveHub();
      },
    },
    {
      name: 'hub killed while it starts',
      weight: 2,
      async strike() {
        await base.killHub();
        const starting = federation.startHub().catch(() => undefined);
        await delay(chance.between(0, 1_500));
        await base.killHub();
        await starting;
        await ground.reviveHub();
      },
    },
    {
      name: 'database killed',
      weight: 2,
      async strike() {
        await base.killDatabase();
        await delay(chance.between(0, 300));
        await base.killHub();
        await ground.reviveHub();
      },
    },
    {
      name: "the hub's database sessions ended",
      weight: 10,
      strike: () =>
        inDatabase(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'weir-hub' AND pid <> pg_backend_pid()",
        ),
    },
    {
      name: 'one process of the database killed',
      weight: 3,
      async strike() {
        const children = childrenOf(base.databasePid());
        if (children.length > 0) process.kill(chance.pick(children), 'SIGKILL');
        await delay(chance.between(0, 500));
      },
    },
    { name: 'floor published', weight: 1, strike: publish },
    {
      name: 'hub killed while it publishes',
      weight: 1,
      async strike() {
        const publishing = publish().catch(() => undefined);
        await delay(chance.between(0, 5_000));
        await base.killHub();
        await publishing;
        await ground.reviveHub();
      },
    },
    {
      name: 'current bundle damaged',
      weight: 1,
      async strike() {
        const unit = anyUnit();
        await without(unit, () => damageBundle(join(federation.spokeHome(unit), 'bundles'), chance.between(0, 200)));
        await until(async () => (await base.status(unit)).bundle !== null, `${unit} has a bundle again`);
      },
    },
    {
      name: 'ledger locked in the database',
      weight: 8,
      async strike() {
        const client = await ground
          .pool()
          .connect()
          .catch(() => undefined);
        if (client === undefined) return;
        try {
          await client.query('BEGIN');
          await client.query(`LOCK TABLE ${chance.pick(['audit_logs', 'audit_rows'])} IN ACCESS EXCLUSIVE MODE`);
          await delay(chance.between(50, 1_000));
          await client.query('ROLLBACK');
        } catch {
          // The database went away with the lock.
        } finally {
          client.release(true);
        }
      },
    },
    {
      name: "spoke's disk full",
      weight: ground.smallDisks ? 10 : 0,
      async strike() {
        const giveBack = ground.fillDisk(anyUnit());
        try {
          await delay(chance.between(100, 800));
        } finally {
          giveBack();
        }
      },
    },
    {
      name: 'spoke killed on a full disk, room when it is back',
      weight: ground.smallDisks ? 3 : 0,
      async strike() {
        const unit = anyUnit();
        const giveBack = ground.fillDisk(unit);
        try {
          await delay(chance.between(50, 300));
          await base.killSpoke(unit);
        } finally {
          giveBack();
        }
        await ground.reviveSpoke(unit);
      },
    },
    {
      name: 'torn tail',
      weight: 3,
      strike: () => {
        const unit = anyUnit();
        return without(unit, () => tear(openEpoch(ground, unit, chance), chance));
      },
    },
    {
      name: 'flipped bit in a stored row',
      weight: 2,
      strike: () => damaged(flip),
    },
    { name: 'segment cut short', weight: 1, strike: () => damaged(truncate) },
    {
      name: 'spoke restored from a snapshot',
      weight: 2,
      async strike() {
        const unit = anyUnit();
        const folder = ground.auditFolder(unit);
        const saved = `${base.home}/${unit}.saved`;
        rmSync(saved, { recursive: true, force: true });
        await without(unit, () => cpSync(folder, saved, { recursive: true, filter: keepsOnly }));
        await delay(chance.between(100, 500));
        await settled();
        await without(unit, () =>
          destroying(unit, () => {
            for (const name of readdirSync(folder))
              if (keepsOnly(name)) rmSync(join(folder, name), { recursive: true });
            cpSync(saved, folder, { recursive: true });
          }),
        );
        rmSync(saved, { recursive: true, force: true });
      },
    },
    {
      name: 'hub restored from an earlier backup',
      weight: 1,
      async strike() {
        await ground.saveDatabase();
        await delay(chance.between(200, 1_000));
        await ground.restoreDatabase();
        ground.auditor.forget();
      },
    },
    {
      name: 'poisoned batch',
      weight: 2,
      async strike() {
        const unit = anyUnit();
        const epoch = openEpoch(ground, unit, chance);
        const row = segmentsWithRows(epoch).map((file) => firstRow(readFileSync(file)))[0];
        if (row === undefined) return;
        const hub = `127.0.0.1:${federation.options.ports.federation}`;
        const poison = chance.pick(POISONS);
        const answer = await sendPoison({ home: federation.spokeHome(unit), epoch, hub }, poison, row);
        if (answer.kind !== 'nack') throw new Error(`the hub took a batch with ${poison}`);
      },
    },
    { name: 'two machines with one identity', weight: 1, strike: () => cloned(parts, anyUnit()) },
  ];

  /** Damages rows that the hub has, as a disk would; an operator accepts it when the spoke asks for that. */
  async function damaged(how: (file: string, chance: Chance) => void): Promise<void> {
    const unit = anyUnit();
    await settled();
    await base.killSpoke(unit);
    await destroying(unit, () => how(chance.pick(segmentsWithRows(openEpoch(ground, unit, chance))), chance));
    const spoke = federation.spokeHome(unit);
    const starting = federation.startSpoke(unit).catch(() => undefined);
    await until(async () => (await base.status(unit)).log !== null, `${unit} tells how it is`);
    // In block mode it is not ready until somebody has looked; otherwise it says so and goes on.
    await federation.weir('audit', 'accept-damage', '--home', spoke, '--yes').catch(() => undefined);
    await until(async () => {
      if (!federation.spoke(unit).alive()) await federation.startSpoke(unit);
      const { ready } = await base.status(unit);
      if (!ready) await federation.weir('audit', 'accept-damage', '--home', spoke, '--yes');
      return ready;
    }, `${unit} goes on after its damage was accepted`);
    await starting;
  }
}

/** A second spoke on a copy of the first one's home, with ports of its own. */
async function cloned({ ground, heard, settled, destroyed }: FaultParts, unit: Unit): Promise<void> {
  const { base } = ground;
  const { federation, home } = base;
  const copy = join(home, `clone-${unit}`);
  rmSync(copy, { recursive: true, force: true });
  cpSync(federation.spokeHome(unit), copy, { recursive: true, filter: keepsOnly });
  const ports = await freePorts();
  const port = ports.spokes[unit];
  const file = join(copy, 'spoke.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as { listen: object; admin: object };
  writeFileSync(
    file,
    JSON.stringify({ ...config, listen: { ...config.listen, port }, admin: { ...config.admin, port: port + 1 } }),
  );
  const clone = start(`clone-${unit}`, ['spoke', 'run', '--home', copy], home, federation.env);
  try {
    const targets = base.targets.filter((target) => target.unit === unit && !target.accept.includes('json'));
    const own = targets.map((target): Target => ({ ...target, url: elsewhere(target.url, port) }));
    for (let round = 0; round < 3; round += 1) {
      for (const target of own) {
        await ask(target, undefined, heard).catch(() => undefined);
        await delay(100);
      }
    }
    await settled();
  } finally {
    clone.kill('SIGTERM');
    await clone.ended;
    const left = rowsBelow(ground.auditFolder(unit));
    await destroyed(
      rowsBelow(join(copy, 'audit'))
        .values()
        .filter(({ id }) => !left.has(id)),
    );
    rmSync(copy, { recursive: true, force: true });
  }
}

function elsewhere(url: string, port: number): string {
  const moved = new URL(url);
  moved.port = String(port);
  return moved.href;
}

/** What a copy of a folder takes along: everything but the ballast of a full disk. */
function keepsOnly(path: string): boolean {
  return !path.endsWith('ballast');
}

function openEpoch(ground: LedgerGround, unit: Unit, chance: Chance): string {
  const folder = ground.auditFolder(unit);
  const workers = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'current')));
  const worker = chance.pick(workers);
  return join(folder, worker, readFileSync(join(folder, worker, 'current'), 'utf8').trim());
}

/** Segments of an epoch that hold rows, oldest first. */
function segmentsWithRows(epoch: string): readonly string[] {
  const segments = readdirSync(epoch).filter((name) => name.endsWith('.seg'));
  const used = segments.filter((name) =>
    readFileSync(join(epoch, name))
      .subarray(0, 64)
      .some((byte) => byte !== 0),
  );
  return (used.length > 0 ? used : segments).toSorted().map((name) => join(epoch, name));
}

/** Garbage after the last row: what a crash in the middle of a write leaves. */
function tear(epoch: string, chance: Chance): void {
  const file = segmentsWithRows(epoch).at(-1);
  if (file === undefined) throw new Error(`${epoch} has no segment`);
  const bytes = readFileSync(file);
  const end = bytes.length - trailingZeros(bytes);
  for (let at = end; at < Math.min(bytes.length, end + chance.between(1, 400)); at += 1)
    bytes[at] = chance.between(0, 256);
  writeFileSync(file, bytes);
}

function flip(file: string, chance: Chance): void {
  const bytes = readFileSync(file);
  const end = bytes.length - trailingZeros(bytes);
  const at = chance.between(64, Math.max(65, end));
  bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.between(0, 8));
  writeFileSync(file, bytes);
}

function truncate(file: string, chance: Chance): void {
  const { size } = statSync(file);
  writeFileSync(`${file}.cut`, readFileSync(file).subarray(0, chance.between(0, size)));
  renameSync(`${file}.cut`, file);
}

function trailingZeros(bytes: Buffer): number {
  let zeros = 0;
  while (zeros < bytes.length && bytes[bytes.length - 1 - zeros] === 0) zeros += 1;
  return zeros;
}

/** One character of the signed payload: the spoke falls back on its former bundle and fetches this one anew. */
function damageBundle(bundles: string, offset: number): void {
  const digest = readFileSync(join(bundles, 'current'), 'utf8').trim();
  const file = join(bundles, 'envelopes', `${digest.replace('sha256:', '')}.sigstore.json`);
  const bytes = readFileSync(file);
  const at = bytes.indexOf('"payload":"') + '"payload":"'.length + offset;
  bytes[at] = bytes[at] === 0x41 ? 0x42 : 0x41;
  writeFileSync(file, bytes);
}

async function frozen(pid: number, ms: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  try {
    await delay(ms);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

/** Linux only; elsewhere there are none to be found. */
function childrenOf(pid: number): readonly number[] {
  if (process.platform !== 'linux') return [];
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}
