// Hub, spokes and database as processes, killed with SIGKILL while clients install and are refused. Whatever dies: nothing
// unjudged is served, and what a client was told is in the hub's ledger exactly once.

import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { start } from '../../deploy/onprem/trial/processes.ts';
import { createChance } from './chance.ts';
import { prepareFaultGround, UNITS, until, type FaultGround, type Unit } from './fault-ground.ts';
import { ask, startLoad, type Load, type Target } from './load.ts';
import { readLedger } from './ledger.ts';
import { publishMarkedFloor } from './new-floor.ts';

const chance = createChance();
let ground: FaultGround;
before(async () => {
  ground = await prepareFaultGround();
});
after(() => ground[Symbol.asyncDispose]());

/** Runs with clients at work; says the seed when it fails. */
function underLoad(name: string, units: readonly Unit[], work: (load: Load) => Promise<void>): void {
  void test(name, async () => {
    const load = startLoad(ground.targets.filter(({ unit }) => units.includes(unit as Unit)));
    try {
      await load.answered(2);
      await work(load);
    } catch (thrown) {
      throw chance.blame(thrown);
    } finally {
      await load.stop();
    }
  });
}

function assertAsExpected({ received }: Load): void {
  for (const { target, status } of received)
    assert.equal(status, target.status, `${target.url} was answered ${status}`);
}

underLoad('a spoke killed at any moment has written down all that it had said', ['payments'], async (load) => {
  const outages: { readonly fromMs: number; readonly untilMs: number }[] = [];
  for (let round = 0; round < 3; round += 1) {
    await delay(chance.between(20, 600));
    const fromMs = performance.now();
    await ground.killSpoke('payments');
    await ground.federation.startSpoke('payments');
    outages.push({ fromMs, untilMs: performance.now() });
    await load.answered(2);
  }
  await load.stop();
  assertAsExpected(load);
  for (const { target, reason, fromMs, untilMs } of load.failures) {
    const excused = outages.some((outage) => fromMs <= outage.untilMs && untilMs >= outage.fromMs);
    assert.ok(excused, `${target.url} failed while its spoke ran: ${reason}`);
  }
  const rows = await ground.settleLedger('payments', load);
  assert.equal(new Set(rows.map(({ log }) => log)).size, 1, 'the log went on where it had ended');
  assert.ok(rows.filter(({ outcome }) => outcome === 'spoke_started').length >= 4);
});

underLoad('a new floor reaches both spokes while they answer, and no request fails', UNITS, async (load) => {
  const old = new Map<Unit, string>();
  for (const unit of UNITS) old.set(unit, (await ground.status(unit)).bundle?.digest ?? '');
  await publishMarkedFloor(ground.console, 'second edition');
  for (const unit of UNITS)
    await until(async () => (await ground.status(unit)).bundle?.digest !== old.get(unit), `${unit} switches`);
  const switched = load.received.length;
  await load.answered(3);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assertAsExpected(load);
  for (const unit of UNITS) {
    const fresh = (await ground.status(unit)).bundle?.digest ?? '';
    const rows = await ground.settleLedger(unit, load);
    const used = new Map(rows.map(({ id, bundle }) => [id, bundle]));
    const own = load.received.filter(({ target, row }) => target.unit === unit && row !== '');
    for (const { row } of own)
      assert.ok([old.get(unit), fresh].includes(used.get(row) ?? ''), 'a row names a third bundle');
    assert.equal(used.get(own.at(-1)?.row ?? ''), fresh);
    assert.equal(used.get(own[0]?.row ?? ''), old.get(unit));
  }
  assert.ok(switched > 0);
  assert.match(await refusalText(), /second edition/);
});

async function refusalText(): Promise<string> {
  const target = ground.targets.find(({ status }) => status === 403);
  assert.ok(target !== undefined);
  return (await ask(target, undefined, () => undefined)).body;
}

for (const [what, kill] of [
  ['the database', () => ground.killDatabase()],
  ['hub and database', () => Promise.all([ground.killDatabase(), ground.killHub()]).then(() => undefined)],
] as const) {
  underLoad(`with ${what} killed, both spokes go on; afterwards the ledger is whole`, UNITS, async (load) => {
    await delay(chance.between(0, 300));
    await kill();
    await load.answered(20);
    // A hub without its database is restarted by whoever runs it.
    await ground.killHub();
    await load.answered(5);
    await ground.federation.startHub();
    await load.answered(5);
    await load.stop();
    assert.deepEqual(load.failures, []);
    assertAsExpected(load);
    for (const unit of UNITS) await ground.settleLedger(unit, load);
  });
}

underLoad(
  'a floor published around the death of the hub arrives everywhere or was never published',
  UNITS,
  async (load) => {
    const versionBefore = await newestFloor();
    const publishing = publishMarkedFloor(ground.console, 'third edition').then(
      () => true,
      () => false,
    );
    await delay(chance.between(0, 6_000));
    await ground.killHub();
    const confirmed = await publishing;
    await ground.federation.startHub();
    const versionAfter = await newestFloor();
    assert.ok(!confirmed || versionAfter === versionBefore + 1, 'a confirmed floor is gone');
    for (const unit of UNITS) {
      const text = versionAfter === versionBefore ? /second edition/ : /third edition/;
      if (unit === 'payments')
        await until(async () => text.test(await refusalText()), 'payments refuses in the right words');
      await until(async () => {
        const bundles = await ground.console.policy.listBundles({ unit, page: { size: 1, cursor: '' } });
        return (await ground.status(unit)).bundle?.digest === bundles.bundles[0]?.bundle?.digest?.value;
      }, `${unit} runs the newest bundle`);
    }
    await load.stop();
    assert.deepEqual(load.failures, []);
    assertAsExpected(load);
    for (const unit of UNITS) await ground.settleLedger(unit, load);
  },
);

async function newestFloor(): Promise<number> {
  const { floors } = await ground.console.policy.listFloors({ page: { size: 1, cursor: '' } });
  return Number(floors[0]?.version ?? 0n);
}

void test('a spoke restarted while the hub is dead enforces from its disk', async () => {
  await ground.killHub();
  for (const unit of UNITS) {
    await ground.killSpoke(unit);
    await ground.federation.startSpoke(unit);
  }
  const load = startLoad(ground.targets);
  await load.answered(3);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assertAsExpected(load);
  await ground.federation.startHub();
  for (const unit of UNITS) {
    const rows = await ground.settleLedger(unit, load);
    const started = rows.findLast(({ outcome }) => outcome === 'spoke_started');
    assert.match(started?.request.target ?? '', /bundle from current/);
  }
});

void test('a damaged bundle is not run: the previous one is, or none, and the hub heals it', async () => {
  const unit = 'payments';
  const bundles = bundleFolder(unit);
  const [current, previous] = [pointer(bundles, 'current'), pointer(bundles, 'previous')];
  assert.notEqual(current, previous);
  const mark = readFileSync(join(bundles, 'high-water'), 'utf8');
  await ground.killHub();
  await ground.killSpoke(unit);

  spoil(bundles, current);
  await ground.federation.startSpoke(unit);
  const load = startLoad(ground.targets.filter((target) => target.unit === unit));
  await load.answered(2);
  await load.stop();
  assertAsExpected(load);
  for (const { bundle } of load.received.filter(({ row }) => row !== '')) assert.equal(bundle, previous);
  assert.equal(readFileSync(join(bundles, 'high-water'), 'utf8'), mark, 'the mark never falls');

  await ground.killSpoke(unit);
  spoil(bundles, previous);
  await withBareSpoke(unit, async () => {
    for (const target of ground.targets.filter((one) => one.unit === unit)) await assertNotReady(target);
    await ground.federation.startHub();
    const healed = async (): Promise<boolean> => (await ground.status(unit)).bundle?.digest === current;
    await until(healed, 'the hub brings the newest bundle back');
  });
  await ground.federation.startSpoke(unit);
  await ground.settleLedger(unit, load);
  const refusals = await refusedOnDisk(unit);
  assert.ok(
    refusals.some((detail) => detail.startsWith('current on disk: ')),
    refusals.join('\n'),
  );
  assert.ok(
    refusals.some((detail) => detail.startsWith('previous on disk: ')),
    refusals.join('\n'),
  );
});

void test('an older bundle put back in place is refused after a restart, whoever signed it', async () => {
  const unit = 'payments';
  const bundles = bundleFolder(unit);
  const saved = `${bundles}.saved`;
  cpSync(bundles, saved, { recursive: true });
  // Two more, so that the saved one is neither current nor previous any more.
  for (const mark of ['fourth edition', 'fifth edition']) {
    await publishMarkedFloor(ground.console, mark);
    await until(async () => (await refusalText()).includes(mark), `payments enforces the ${mark}`);
  }
  await ground.killHub();
  await ground.killSpoke(unit);
  for (const part of ['layers', 'envelopes']) cpSync(join(saved, part), join(bundles, part), { recursive: true });
  for (const name of ['current', 'previous']) cpSync(join(saved, 'current'), join(bundles, name));
  rmSync(saved, { recursive: true });
  await withBareSpoke(unit, async () => {
    for (const target of ground.targets.filter((one) => one.unit === unit)) await assertNotReady(target);
    await ground.federation.startHub();
    await until(async () => (await refusalText()).includes('fifth edition'), 'the newest floor is enforced again');
  });
  await ground.federation.startSpoke(unit);
  await until(async () => {
    return (await refusedOnDisk(unit)).some((detail) => detail.startsWith('current on disk: rollback: '));
  }, 'the refused rollback is in the ledger');
});

function bundleFolder(unit: Unit): string {
  return join(ground.federation.spokeHome(unit), 'bundles');
}

function pointer(bundles: string, name: 'current' | 'previous'): string {
  return readFileSync(join(bundles, name), 'utf8').trim();
}

/** Changes one byte of what a bundle's signature covers. */
function spoil(bundles: string, digest: string): void {
  const file = join(bundles, 'envelopes', `${digest.replace('sha256:', '')}.sigstore.json`);
  const bytes = readFileSync(file);
  const at = bytes.indexOf('"payload":"') + 100;
  bytes[at] = bytes[at] === 0x41 ? 0x42 : 0x41;
  writeFileSync(file, bytes);
}

/** Runs a spoke that will not be ready, and ends it. */
async function withBareSpoke(unit: Unit, work: () => Promise<void>): Promise<void> {
  const { federation, home } = ground;
  const spoke = start(`bare-${unit}`, ['spoke', 'run', '--home', federation.spokeHome(unit)], home, federation.env);
  try {
    await until(async () => !(await ground.status(unit)).ready, 'the spoke answers, and is not ready');
    await work();
  } finally {
    spoke.kill('SIGKILL');
    await spoke.ended;
    if (!federation.hub().alive()) await federation.startHub();
  }
}

/** Everything is refused, and every refusal has its row. */
async function assertNotReady(target: Target): Promise<void> {
  const { status, code, row } = await ask(target, undefined, () => undefined);
  assert.deepEqual([status, row], [503, ''], target.url);
  assert.match(code, /^[0-9A-Z]{8}$/, target.url);
}

async function refusedOnDisk(unit: Unit): Promise<readonly string[]> {
  const rows = await readLedger(ground.console, unit);
  return rows.filter(({ outcome }) => outcome === 'bundle_refused').map(({ request }) => request.target);
}
