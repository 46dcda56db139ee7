// How old the bundle looks under clocks that run, stop and jump.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Staleness } from '@weir/shared/policy/host-reasons.ts';
import { type HubTime, type Reading, stalenessOf } from './staleness.ts';

const THRESHOLDS = { warn_s: 100, restrict_s: 200, deny_s: 300 };
const SIGNED_S = 1_800_000_000;

/** A hub time received `age` seconds after it was signed, at monotonic time 0. */
function received(age = 0, highestWallS = 0): HubTime {
  return { signedS: SIGNED_S, readAt: { wallS: SIGNED_S + age, monotonicMs: 0 }, highestWallS };
}

function after(wallS: number, monotonicS: number): Reading {
  return { wallS: SIGNED_S + wallS, monotonicMs: monotonicS * 1000 };
}

const CASES: readonly (readonly [name: string, hub: HubTime, now: Reading, expected: Staleness])[] = [
  ['just received', received(), after(0, 0), 'fresh'],
  ['a second before the warning', received(), after(99, 99), 'fresh'],
  ['at the warning', received(), after(100, 100), 'warn'],
  ['at the restriction', received(), after(200, 200), 'restrict'],
  ['at the end', received(), after(300, 300), 'deny'],
  ['a year later', received(), after(365 * 86_400, 365 * 86_400), 'deny'],
  ['the wall clock stands still', received(), after(0, 250), 'restrict'],
  ['the wall clock jumps forward', received(), after(250, 1), 'restrict'],
  ['the wall clock is corrected back a little', received(), after(-60, 10), 'fresh'],
  ['the wall clock goes back while fresh', received(), after(-3600, 10), 'warn'],
  ['the wall clock goes back while warned', received(), after(-3600, 150), 'restrict'],
  ['the wall clock goes back while restricted', received(), after(-3600, 250), 'deny'],
  ['the wall clock goes back to hide the age', received(), after(-3600, 1000), 'deny'],
  ['read from disk when already old', received(250), after(250, 0), 'restrict'],
  ['read from disk when already old, then the clock goes back', received(250), after(0, 10), 'deny'],
  ['read from disk under a clock far behind', received(-86_400), after(-86_400, 0), 'warn'],
  ['a higher wall time was seen before the restart', received(0, SIGNED_S + 5000), after(10, 10), 'warn'],
  ['a monotonic clock that went back counts for nothing', received(), after(10, -50), 'fresh'],
  ['a wall clock that is no number', received(), { wallS: Number.NaN, monotonicMs: 0 }, 'deny'],
  ['a monotonic clock that is no number', received(), { wallS: SIGNED_S, monotonicMs: Number.NaN }, 'deny'],
];
for (const [name, hub, now, expected] of CASES) {
  test(`${name}: ${expected}`, () => {
    assert.equal(stalenessOf(hub, now, THRESHOLDS).staleness, expected);
  });
}

test('whatever the wall clock shows, it never looks fresher than the monotonic clock says', () => {
  const order = ['fresh', 'warn', 'restrict', 'deny'];
  for (let monotonic = 0; monotonic <= 400; monotonic += 20) {
    const honest = order.indexOf(stalenessOf(received(), after(monotonic, monotonic), THRESHOLDS).staleness);
    for (let wall = -1000; wall <= 1000; wall += 50) {
      const shown = order.indexOf(stalenessOf(received(), after(wall, monotonic), THRESHOLDS).staleness);
      assert.ok(shown >= honest, `wall ${wall} monotonic ${monotonic}`);
    }
  }
});

test('each staleness has its level', () => {
  const levels = [0, 100, 200, 300].map((age) => stalenessOf(received(), after(age, age), THRESHOLDS).level);
  assert.deepEqual(levels, ['allow', 'warn', 'pending', 'deny']);
});
