// The ledger of a spoke and its hub under every kind of trouble, in simulated time: a few hundred schedules of what
// `npm run sim` explores by the ten thousand.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { missed } from './coverage.ts';
import { keptSeeds } from './kept-seeds.ts';
import { rememberSignatures } from './known-signatures.ts';
import { type Outcome, runSchedule } from './schedule.ts';

const FIRST_SEED = 1_000;
const SCHEDULES = 200;

const forget = rememberSignatures();
after(forget);

function assertSound({ seed, failure }: Outcome): void {
  assert.equal(failure, undefined, `npm run sim -- --trace --seed ${seed}`);
}

test('schedules that failed once come right', async () => {
  for (const seed of keptSeeds()) assertSound(await runSchedule(seed));
});

test('whatever happens on the way, every answered row is at the hub once and both sides sign the same tree', async () => {
  const reached = new Map<string, number>();
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SCHEDULES; seed += 1) {
    const outcome = await runSchedule(seed);
    assertSound(outcome);
    for (const [path, times] of outcome.reached) reached.set(path, (reached.get(path) ?? 0) + times);
  }
  assert.deepEqual(missed(reached, SCHEDULES), []);
});

test('a seed decides everything, with signatures remembered or not', async () => {
  const seeds = [FIRST_SEED, FIRST_SEED + 1, FIRST_SEED + 2];
  const digests = async (): Promise<readonly string[]> => {
    const found: string[] = [];
    for (const seed of seeds) found.push((await runSchedule(seed)).digest);
    return found;
  };
  const first = await digests();
  assert.deepEqual(await digests(), first);
  forget();
  assert.deepEqual(await digests(), first);
});
