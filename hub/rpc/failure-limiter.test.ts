import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFailureLimiter } from './failure-limiter.ts';

function limiterAt(limits: { readonly failures: number; readonly windowMs: number; readonly addresses: number }) {
  const time = { ms: 0 };
  const clock = { nowMs: () => time.ms, monotonicMs: () => time.ms, sleep: () => Promise.resolve() };
  return { time, limiter: createFailureLimiter(clock, limits) };
}

test('an address is blocked from its last allowed failure to the end of the window, and no other address is', () => {
  const { time, limiter } = limiterAt({ failures: 3, windowMs: 1000, addresses: 10 });
  for (const expected of [false, false, true]) {
    limiter.noteFailure('a');
    assert.equal(limiter.isBlocked('a'), expected);
  }
  assert.equal(limiter.isBlocked('b'), false);
  time.ms = 1000;
  assert.equal(limiter.isBlocked('a'), false);
  limiter.noteFailure('a');
  assert.equal(limiter.isBlocked('a'), false, 'a new window counts from the beginning');
});

test('the table never holds more addresses than its limit', () => {
  const { limiter } = limiterAt({ failures: 1, windowMs: 1000, addresses: 2 });
  for (const address of ['a', 'b', 'c']) limiter.noteFailure(address);
  assert.deepEqual(
    ['a', 'b', 'c'].map((address) => limiter.isBlocked(address)),
    [false, true, true],
  );
});
