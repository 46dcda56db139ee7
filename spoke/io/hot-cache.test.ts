import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import { createHotCache, type HotObject } from './hot-cache.ts';

const silent: Metrics = { count: () => undefined, gauge: () => undefined, observe: () => undefined };

const objectOf = (size: number): HotObject => ({ head: ['ETag', '"1"'], body: Buffer.alloc(size), etag: '"1"' });

test('an object comes back as the very same one', () => {
  const cache = createHotCache(silent);
  const object = objectOf(10);
  assert.equal(cache.put('a', object), true);
  assert.equal(cache.get('a'), object);
  assert.equal(cache.get('b'), undefined);
});

test('the bytes stay under the limit, and the least recently used go first', () => {
  const cache = createHotCache(silent, { totalBytes: 10_000, objectBytes: 5_000 });
  for (const key of ['a', 'b', 'c']) cache.put(key, objectOf(2_500));
  assert.deepEqual([cache.entries, cache.bytes <= 10_000], [3, true]);
  cache.get('a');
  cache.put('d', objectOf(2_500));
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((key) => cache.get(key) !== undefined),
    [true, false, true, true],
  );
  assert.ok(cache.bytes <= 10_000);
});

test('an object over the limit is not kept, nor is what it was to replace', () => {
  const cache = createHotCache(silent, { totalBytes: 10_000, objectBytes: 1_000 });
  cache.put('a', objectOf(1_000));
  assert.equal(cache.put('a', objectOf(1_001)), false);
  assert.equal(cache.get('a'), undefined);
});

test('replaced, deleted and cleared objects give their bytes back', () => {
  const cache = createHotCache(silent, { totalBytes: 100_000 });
  cache.put('a', objectOf(5_000));
  cache.put('a', objectOf(10));
  assert.ok(cache.bytes < 1_000);
  cache.delete('a');
  assert.equal(cache.bytes, 0);
  cache.put('b', objectOf(10));
  cache.clear();
  assert.deepEqual([cache.bytes, cache.entries], [0, 0]);
});

test('a limit of zero keeps nothing', () => {
  const cache = createHotCache(silent, { totalBytes: 0 });
  assert.equal(cache.put('a', objectOf(0)), false);
  assert.equal(cache.entries, 0);
});
