import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareVersions, equalityKey, isPrerelease, normalVersion, parseVersion } from './pep440.ts';

/** Each is lower than the next. */
const ASCENDING = [
  'not a version',
  '0.0.dev1',
  '0',
  '0.1',
  '1.dev0',
  '1.0.dev456',
  '1.0a1.dev1',
  '1.0a1',
  '1.0a2.dev456',
  '1.0a12.dev456',
  '1.0a12',
  '1.0b1.dev456',
  '1.0b2',
  '1.0b2.post345.dev456',
  '1.0b2.post345',
  '1.0rc1.dev456',
  '1.0rc1',
  '1.0',
  '1.0+abc.5',
  '1.0+abc.7',
  '1.0+5',
  '1.0+5.0',
  '1.0+10',
  '1.0.post456.dev34',
  '1.0.post456',
  '1.0.15',
  '1.1.dev1',
  '1.10',
  '2013.10',
  '99999999999999999999999.1',
  '1!0.1',
];

test('versions sort as PEP 440 sorts them, each pair both ways', () => {
  for (const [i, low] of ASCENDING.entries()) {
    for (const [j, high] of ASCENDING.entries()) {
      assert.equal(Math.sign(compareVersions(low, high)), Math.sign(i - j), `${low} and ${high}`);
    }
  }
});

const SPELLINGS: readonly (readonly [string, string])[] = [
  ['1.0', '1.0'],
  ['v1.0', '1.0'],
  ['1.0RC1', '1.0rc1'],
  ['1.0-alpha.2', '1.0a2'],
  ['1.0preview3', '1.0rc3'],
  ['1.0c', '1.0rc0'],
  ['1.0-1', '1.0.post1'],
  ['1.0.rev2', '1.0.post2'],
  ['1.0post', '1.0.post0'],
  ['1.0_dev', '1.0.dev0'],
  ['01.002', '1.2'],
  ['0!1.0', '1.0'],
  ['2!1.0', '2!1.0'],
  ['1.0+Ubuntu-1_02', '1.0+ubuntu.1.2'],
];

test('every allowed spelling has one normal form', () => {
  for (const [text, normal] of SPELLINGS) {
    const version = parseVersion(text);
    assert.ok(version !== undefined, text);
    assert.equal(normalVersion(version), normal);
  }
});

test('what is no version is not read as one', () => {
  const texts = [
    '',
    '.',
    '1.',
    '1..0',
    'a',
    '1.0+',
    '1.0+a..b',
    '1.0-',
    '1.0.post1.post2',
    '1!',
    '١.٠',
    '1'.repeat(201),
  ];
  for (const text of texts) assert.equal(parseVersion(text), undefined, JSON.stringify(text));
});

const key = (text: string): string => equalityKey(parseVersion(text) ?? assert.fail(text));
const is = (text: string): boolean => isPrerelease(parseVersion(text) ?? assert.fail(text));

test('trailing zeros make no other version', () => {
  assert.equal(key('1.0.0'), key('1'));
  assert.equal(key('0.0'), key('0'));
  assert.notEqual(key('1.0'), key('1.0+local'));
  assert.equal(compareVersions('1.0', '1.0.0'), 0);
});

test('alphas, candidates and development releases are pre-releases, post-releases are not', () => {
  assert.deepEqual(['1.0a1', '1.0rc1', '1.0.dev1', '1.0.post1.dev1'].map(is), [true, true, true, true]);
  assert.deepEqual(['1.0', '1.0.post1', '1.0+local'].map(is), [false, false, false]);
});
