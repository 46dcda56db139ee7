import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WORKERS_MAX, workersOf } from './config.ts';

for (const [what, workers, text, cores, expected] of [
  ['one per core', null, undefined, 8, 8],
  ['one per core, an empty variable', null, '', 8, 8],
  ['the configuration over the cores', 2, undefined, 8, 2],
  ['the environment over the configuration', 2, '5', 8, 5],
  ['no more than the limit', null, undefined, 256, WORKERS_MAX],
] as const) {
  test(`number of workers: ${what}`, () => {
    assert.equal(workersOf({ workers }, text, cores), expected);
  });
}

for (const text of ['0', '-1', '65', '1.5', 'two', ' 2']) {
  test(`WEIR_WORKERS=${text} is refused`, () => {
    assert.throws(() => workersOf({ workers: null }, text, 2), { code: 'invalid_argument' });
  });
}
