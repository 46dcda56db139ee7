import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alignmentDistance, foldName, NEAR_NAME_LIMITS, NearNames } from './near-names.ts';

test('distance counts insertions, deletions, substitutions and swaps of neighbours', () => {
  const rows: readonly (readonly [string, string, number])[] = [
    ['', '', 0],
    ['abc', 'abc', 0],
    ['abc', 'ab', 1],
    ['ab', 'abc', 1],
    ['abc', 'axc', 1],
    ['abc', 'acb', 1],
    ['abcd', 'badc', 2],
    ['ca', 'abc', 3],
    ['kitten', 'sitting', 3],
    ['', 'abc', 3],
  ];
  for (const [a, b, want] of rows) {
    assert.equal(alignmentDistance(a, b, 10), want, `${a} ${b}`);
    assert.equal(alignmentDistance(b, a, 10), want, `${b} ${a}`);
  }
});

test('a distance beyond the limit is reported as limit plus one', () => {
  assert.equal(alignmentDistance('kitten', 'sitting', 2), 3);
  assert.equal(alignmentDistance('aaaaaaaa', 'bbbbbbbb', 1), 2);
  assert.equal(alignmentDistance('abcdef', 'badcfe', 2), 3);
  assert.equal(alignmentDistance('abcdef', 'badcfe', 3), 3);
});

test('filters lose no name that full alignment would find', () => {
  // Every name over a small alphabet: the densest neighbourhood there is.
  const letters = ['a', 'b', 'c'];
  let names: readonly string[] = [''];
  const all: string[] = [];
  for (let length = 1; length <= 5; length += 1) {
    names = names.flatMap((name) => letters.map((letter) => name + letter));
    all.push(...names);
  }
  for (const name of ['abc', 'aabb', 'cabac', 'bca'])
    for (const max of [0, 1, 2]) {
      const want = all.filter((other) => other !== name && alignmentDistance(foldName(name), other, 9) <= max);
      for (const other of want) {
        const found = new NearNames([other]).find(name, max);
        assert.deepEqual(
          found.map((near) => near.name),
          [other],
          `${name} ${other} ${max}`,
        );
      }
      const rest = new NearNames(all.filter((other) => !want.includes(other))).find(name, max);
      assert.deepEqual(rest, []);
    }
});

test('nearest come first, then the most popular, and no more than the limit', () => {
  const index = new NearNames(['reacct', 'reactt', 'react', 'preact', 'reac']);
  assert.deepEqual(index.find('reat', 1), [
    { name: 'react', distance: 1 },
    { name: 'reac', distance: 1 },
  ]);
  assert.deepEqual(
    index.find('reat', 2).map((near) => near.name),
    ['react', 'reac', 'reacct', 'reactt', 'preact'],
  );
  const crowd = new NearNames(Array.from({ length: 100 }, (_, i) => `lodash${String.fromCodePoint(97 + (i % 26))}`));
  assert.equal(crowd.find('lodash', 1).length, NEAR_NAME_LIMITS.results);
});

test('answers stay the same when asked again and after many other names', () => {
  const index = new NearNames(['express', 'lodash']);
  const first = index.find('expres', 1);
  for (let i = 0; i < NEAR_NAME_LIMITS.recent + 10; i += 1) index.find(`name-${i}`, 1);
  assert.deepEqual(index.find('expres', 1), first);
});
