// Weir makes eleven promises. Each has tests that carry its number, wherever its subject is tested; here it is seen to that
// none is without, and that no test speaks of a promise that nobody made.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sources } from '../tidy/sources.ts';

const PROMISES = [
  'no unrecorded decision',
  'the floor dominates',
  'only verified bundles run',
  'hub-independent',
  'nothing lost, nothing doubled, nothing rewritten',
  'deterministic',
  'one decision function for every route',
  'nothing fails open silently',
  'isolation',
  'secrets never land',
  'bounded',
] as const;
const TITLE = /\b(?:test|describe)\(\s*['"`]promise (\d+): /g;

const numbers = sources()
  .filter(({ path }) => path.endsWith('.test.ts'))
  .flatMap(({ path, text }) => [...text.matchAll(TITLE)].map(([, number]) => ({ path, number: Number(number) })));

for (const [i, promise] of PROMISES.entries()) {
  test(`the promise "${promise}" has tests by its number`, () => {
    assert.ok(numbers.some(({ number }) => number === i + 1));
  });
}

test('no test names a promise that was not made', () => {
  assert.deepEqual(
    numbers.filter(({ number }) => number < 1 || number > PROMISES.length),
    [],
  );
});
