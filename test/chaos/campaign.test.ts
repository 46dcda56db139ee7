// A long run of faults, one on the heels of another, in an order that a seed decides: processes killed and frozen, a
// database losing its parts, floors published into it all, bundles damaged on disk. Clients never stop asking. The promises
// are checked at the end of every stretch: WEIR_CHAOS_S seconds in all, 180 unless told.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createChance } from '../kill/chance.ts';
import { prepareFaultGround, UNITS, until, type FaultGround, type Unit } from '../kill/fault-ground.ts';
import { startLoad, type Load } from '../kill/load.ts';
import { publishMarkedFloor } from '../kill/new-floor.ts';

const DURATION_MS = Number(process.env['WEIR_CHAOS_S'] ?? 180) * 1000;
const EVENTS_PER_STRETCH = 8;

interface Outage {
  readonly unit: Unit;
  readonly fromMs: number;
  untilMs: number;
}

void test('a campaign of faults', async (t) => {
  const chance = createChance();
  t.diagnostic(`WEIR_SEED=${chance.seed} repeats this campaign`);
  await using ground = await prepareFaultGround();
  // So that every spoke has a bundle to fall back on when its current one is damaged.
  await publishMarkedFloor(ground.console, 'edition 0');
  for (const unit of UNITS) await atNewest(ground, unit);
  const outages: Outage[] = [];
  const told: string[] = [];
  const faults = faultsOn(ground, chance, outages);
  const begun = performance.now();
  const counts = new Map<string, number>();
  try {
    while (performance.now() - begun < DURATION_MS) {
      const load = startLoad(ground.targets);
      try {
        for (let event = 0; event < EVENTS_PER_STRETCH; event += 1) {
          const [name, strike] = chance.pick(faults);
          told.push(`${Math.round(performance.now() - begun)} ms: ${name}`);
          counts.set(name, (counts.get(name) ?? 0) + 1);
          await strike();
          await delay(chance.between(0, 400));
        }
        await reviveHub(ground);
        await load.answered(3);
      } finally {
        await load.stop();
      }
      await assertStretch(ground, load, outages);
    }
  } catch (thrown) {
    throw chance.blame(thrown, told.slice(-2 * EVENTS_PER_STRETCH));
  }
  t.diagnostic([...counts].map(([name, count]) => `${count} × ${name}`).join(', '));
});

type Fault = readonly [name: string, strike: () => Promise<void>];

function faultsOn(ground: FaultGround, chance: ReturnType<typeof createChance>, outages: Outage[]): readonly Fault[] {
  const { federation } = ground;
  let editions = 0;

  async function withoutSpoke(unit: Unit, meanwhile: () => Promise<void> | void): Promise<void> {
    const outage = { unit, fromMs: performance.now(), untilMs: Number.POSITIVE_INFINITY };
    outages.push(outage);
    await ground.killSpoke(unit);
    await meanwhile();
    await federation.startSpoke(unit);
    outage.untilMs = performance.now();
  }

  async function publish(): Promise<void> {
    await reviveHub(ground);
    editions += 1;
    await publishMarkedFloor(ground.console, `edition ${editions} of seed ${chance.seed}`);
  }

  return [
    ['spoke killed', () => withoutSpoke(chance.pick(UNITS), () => undefined)],
    [
      'spoke killed while it starts',
      () => {
        const unit = chance.pick(UNITS);
        return withoutSpoke(unit, async () => {
          const starting = federation.startSpoke(unit).catch(() => undefined);
          await delay(chance.between(0, 1200));
          await ground.killSpoke(unit);
          await starting;
        });
      },
    ],
    [
      'spoke killed, its current bundle damaged',
      async () => {
        // With the hub at hand it heals; a spoke whose both bundles are gone would rightly refuse everything without it.
        await reviveHub(ground);
        const unit = chance.pick(UNITS);
        const bundles = join(federation.spokeHome(unit), 'bundles');
        await withoutSpoke(unit, () => damageCurrent(bundles, chance.between(0, 200)));
        await atNewest(ground, unit);
      },
    ],
    ['spoke frozen', () => frozen(federation.spoke(chance.pick(UNITS)).pid, chance.between(100, 2_000))],
    ['hub killed', () => ground.killHub()],
    [
      'hub killed while it starts',
      async () => {
        await ground.killHub();
        const starting = federation.startHub().catch(() => undefined);
        await delay(chance.between(0, 2_000));
        await ground.killHub();
        await starting;
      },
    ],
    [
      'hub frozen',
      async () => {
        await reviveHub(ground);
        await frozen(federation.hub().pid, chance.between(200, 5_000));
      },
    ],
    [
      'hub killed while it publishes',
      async () => {
        const publishing = publish().catch(() => undefined);
        await delay(chance.between(0, 5_000));
        await ground.killHub();
        await publishing;
      },
    ],
    [
      'database killed',
      async () => {
        await reviveHub(ground);
        await ground.killDatabase();
        await delay(chance.between(0, 1_000));
        await ground.killHub();
      },
    ],
    [
      'one process of the database killed',
      async () => {
        await reviveHub(ground);
        const children = childrenOf(ground.databasePid());
        if (children.length > 0) process.kill(chance.pick(children), 'SIGKILL');
      },
    ],
    ['hub restarted', () => reviveHub(ground)],
    ['floor published', publish],
  ];
}

async function frozen(pid: number, ms: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  try {
    await delay(ms);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

/** The hub answers again, whatever became of it. */
async function reviveHub(ground: FaultGround): Promise<void> {
  if (!ground.federation.hub().alive()) await ground.federation.startHub();
  await until(async () => {
    const { admin } = ground.federation.options.ports;
    return (await fetch(`http://127.0.0.1:${admin}/readyz`)).ok;
  }, 'the hub is ready');
}

async function assertStretch(ground: FaultGround, load: Load, outages: readonly Outage[]): Promise<void> {
  for (const { target, status } of load.received)
    assert.equal(status, target.status, `${target.url} was answered ${status}`);
  for (const { target, reason, fromMs, untilMs } of load.failures) {
    const excused = outages.some(
      (outage) => outage.unit === target.unit && fromMs <= outage.untilMs && untilMs >= outage.fromMs,
    );
    assert.ok(excused, `${target.url} failed while its spoke ran: ${reason}`);
  }
  for (const unit of UNITS) {
    const rows = await ground.settleLedger(unit, load);
    assert.equal(new Set(rows.map(({ log }) => log)).size, 1, 'one log, from the first start to the last');
    assert.deepEqual(
      rows.filter(({ outcome }) => outcome === 'log_diverged'),
      [],
    );
    await atNewest(ground, unit);
  }
}

/** The spoke runs what the hub published last. */
async function atNewest(ground: FaultGround, unit: Unit): Promise<void> {
  await until(async () => {
    const { bundles } = await ground.console.policy.listBundles({ unit, page: { size: 1, cursor: '' } });
    const active = (await ground.status(unit)).bundle?.digest;
    return active !== undefined && active === bundles[0]?.bundle?.digest?.value;
  }, `${unit} runs the newest bundle`);
}

function damageCurrent(bundles: string, offset: number): void {
  const digest = readFileSync(join(bundles, 'current'), 'utf8').trim();
  const file = join(bundles, 'envelopes', `${digest.replace('sha256:', '')}.sigstore.json`);
  const bytes = readFileSync(file);
  const at = bytes.indexOf('"payload":"') + '"payload":"'.length + offset;
  bytes[at] = bytes[at] === 0x41 ? 0x42 : 0x41;
  writeFileSync(file, bytes);
}

/** Linux only; elsewhere there are none to be found. */
function childrenOf(pid: number): readonly number[] {
  if (process.platform !== 'linux') return [];
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}
