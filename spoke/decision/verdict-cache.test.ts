// What the verdict cache keeps, what it must not keep, and when it forgets.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '@weir/shared/domain/digest.ts';
import type { Level } from '@weir/shared/domain/level.ts';
import type { Verdict } from '@weir/shared/domain/verdict.ts';
import { floorFailedReason, overlayFailedReason, stalenessReason } from '@weir/shared/policy/host-reasons.ts';
import { type CacheQuestion, createVerdictCache } from './verdict-cache.ts';

const BUNDLE = digestOf('bundle one');
const OTHER = digestOf('bundle two');
const NOW = 1_800_000_000;
const QUESTION: CacheQuestion = { bundle: BUNDLE, staleness: 'fresh', key: 'install left-pad 1.0.0' };

function verdict(overrides: Partial<Verdict> = {}, level: Level = 'allow'): Verdict {
  return {
    level,
    floor_level: level,
    overlay_level: 'allow',
    reasons: [],
    obligations: [],
    exceptions: [],
    bundle: BUNDLE,
    input: digestOf('input'),
    engine: 'weir/1',
    valid_until: null,
    ...overrides,
  };
}

function question(key: string): CacheQuestion {
  return { ...QUESTION, key };
}

function cacheOf(limits?: { verdicts: number; maxAgeS: number }): ReturnType<typeof createVerdictCache> {
  const cache = createVerdictCache(limits);
  cache.activate(BUNDLE);
  return cache;
}

for (const level of ['allow', 'warn', 'deny'] as const) {
  test(`a verdict of level ${level} is kept for its question`, () => {
    const cache = cacheOf();
    const kept = [verdict({}, level)];
    assert.equal(cache.keep(QUESTION, kept, NOW), true);
    assert.equal(cache.recall(QUESTION, NOW + 1), kept);
  });
}

const OTHERS: readonly (readonly [string, Partial<CacheQuestion>])[] = [
  ['another key', { key: 'install left-pad 1.0.1' }],
  ['another staleness', { staleness: 'warn' }],
  ['another bundle', { bundle: OTHER }],
];
for (const [name, changes] of OTHERS) {
  test(`${name} is another question`, () => {
    const cache = cacheOf();
    cache.keep(QUESTION, [verdict()], NOW);
    assert.equal(cache.recall({ ...QUESTION, ...changes }, NOW), undefined);
  });
}

const NEVER: readonly (readonly [string, Verdict])[] = [
  ['a pending verdict', verdict({}, 'pending')],
  ['a failed floor', verdict({ reasons: [floorFailedReason('timeout')] }, 'deny')],
  ['a failed overlay', verdict({ reasons: [overlayFailedReason('threw', 'deny')] }, 'deny')],
  ['a stale bundle', verdict({ reasons: [stalenessReason('warn')].filter((reason) => reason !== undefined) }, 'warn')],
  ['a verdict that has already lapsed', verdict({ valid_until: NOW })],
  ['a verdict of another bundle', verdict({ bundle: OTHER })],
];
for (const [name, never] of NEVER) {
  test(`${name} is not kept, nor what came with it`, () => {
    const cache = cacheOf();
    assert.equal(cache.keep(QUESTION, [verdict(), never], NOW), false);
    assert.equal(cache.recall(QUESTION, NOW), undefined);
  });
}

test('an entry ends with the first of its verdicts', () => {
  const cache = cacheOf();
  cache.keep(QUESTION, [verdict({ valid_until: NOW + 60 }), verdict({ valid_until: NOW + 30 })], NOW);
  assert.notEqual(cache.recall(QUESTION, NOW + 29), undefined);
  assert.equal(cache.recall(QUESTION, NOW + 30), undefined);
});

test('an entry ends with the longest age', () => {
  const cache = cacheOf({ verdicts: 10, maxAgeS: 5 });
  cache.keep(QUESTION, [verdict()], NOW);
  assert.notEqual(cache.recall(QUESTION, NOW + 4), undefined);
  assert.equal(cache.recall(QUESTION, NOW + 5), undefined);
});

test('an entry from the future of a clock that went back is not recalled', () => {
  const cache = cacheOf();
  cache.keep(QUESTION, [verdict()], NOW);
  assert.equal(cache.recall(QUESTION, NOW - 1), undefined);
});

test('activation empties the cache and refuses late verdicts of the old bundle', () => {
  const cache = cacheOf();
  cache.keep(QUESTION, [verdict()], NOW);
  cache.activate(OTHER);
  assert.equal(cache.size, 0);
  assert.equal(cache.keep(QUESTION, [verdict()], NOW), false);
  cache.activate(BUNDLE);
  assert.equal(cache.recall(QUESTION, NOW), undefined);
});

test('before the first activation nothing is kept', () => {
  assert.equal(createVerdictCache().keep(QUESTION, [verdict()], NOW), false);
});

test('the cache is bounded by verdicts, oldest use first', () => {
  const cache = cacheOf({ verdicts: 4, maxAgeS: 60 });
  cache.keep(question('a'), [verdict(), verdict()], NOW);
  cache.keep(question('b'), [verdict(), verdict()], NOW);
  cache.recall(question('a'), NOW);
  cache.keep(question('c'), [verdict()], NOW);
  assert.deepEqual(
    ['a', 'b', 'c'].map((key) => cache.recall(question(key), NOW) !== undefined),
    [true, false, true],
  );
  assert.equal(
    cache.keep(
      question('d'),
      Array.from({ length: 5 }, () => verdict()),
      NOW,
    ),
    false,
  );
});
