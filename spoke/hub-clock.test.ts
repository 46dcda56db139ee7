import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHubClock, type HubClock } from './hub-clock.ts';

const DAY_S = 86_400;
const ISSUED_S = 1_760_000_000;
const BUNDLE = {
  manifest: { issued_at: ISSUED_S, expires: ISSUED_S + 90 * DAY_S },
  settings: { staleness: { warn_s: DAY_S, restrict_s: 3 * DAY_S, deny_s: 7 * DAY_S } },
};

/** A process: its monotonic clock began at a moment of its own. */
function processAt(bootMs: number): { readonly clock: HubClock; readonly at: (seconds: number) => void } {
  let wallS = ISSUED_S;
  const clock = createHubClock({ nowMs: () => wallS * 1000, monotonicMs: () => (wallS - ISSUED_S) * 1000 + bootMs });
  return { clock, at: (seconds) => void (wallS = ISSUED_S + seconds) };
}

test('a process that is told late what another one heard is as stale as that one', () => {
  const [lead, worker] = [processAt(5), processAt(900_000)];
  lead.clock.heard(ISSUED_S * 1000);
  lead.at(2 * DAY_S);
  worker.at(2 * DAY_S);
  const note = lead.clock.note();
  assert.ok(note !== undefined);
  worker.clock.take(note);
  assert.equal(lead.clock.stalenessOf(BUNDLE), 'warn');
  assert.equal(worker.clock.stalenessOf(BUNDLE), 'warn');
});

test('an older word does not replace a newer one', () => {
  const { clock } = processAt(0);
  clock.heard((ISSUED_S + 10) * 1000);
  clock.take({ signedS: ISSUED_S, agoMs: 0, wallS: ISSUED_S, highestWallS: 0 });
  assert.equal(clock.note()?.signedS, ISSUED_S + 10);
});

test('before the first contact the date of the bundle counts, and its end always', () => {
  const { clock, at } = processAt(0);
  assert.equal(clock.stalenessOf(BUNDLE), 'fresh');
  at(4 * DAY_S);
  assert.equal(clock.stalenessOf(BUNDLE), 'restrict');
  clock.heard((ISSUED_S + 4 * DAY_S) * 1000);
  assert.equal(clock.stalenessOf(BUNDLE), 'fresh');
  at(90 * DAY_S);
  assert.equal(clock.stalenessOf(BUNDLE), 'deny');
});
