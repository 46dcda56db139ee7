import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fullName } from '@weir/shared/domain/coordinate.ts';
import { compareVersions, readName, readVersion } from './name.ts';

test('names are read as the registry has them, capitals and all', () => {
  for (const text of ['left-pad', 'JSONStream', '@types/node', '@acme/_private', 'a.b', "x'!*()~", '-g']) {
    const name = readName(text);
    assert.equal(name === undefined ? undefined : fullName(name), text);
  }
});

test('what is no name', () => {
  const none = [
    '',
    '-',
    '.',
    '..',
    '.x',
    '_x',
    '@',
    '@/x',
    '@a',
    '@a/',
    '@a/b/c',
    'a/b',
    'a b',
    'é',
    'a%',
    '@a/.x',
    '@./x',
  ];
  for (const text of [...none, 'node_modules', 'favicon.ico', 'a'.repeat(215), 'a\n', '@-/x']) {
    assert.equal(readName(text), undefined, JSON.stringify(text));
  }
});

test('versions are read loosely but never with foreign characters', () => {
  for (const text of ['1.0.0', 'v1.0.0', '1.0.2beta', '1.0.0-rc.1+b'])
    assert.notEqual(readVersion(text), undefined, text);
  for (const text of ['', '1', '1.0', 'x', ' 1.0.0', '1.0.0/', '1.0.0%', `1.0.0-${'a'.repeat(300)}`]) {
    assert.equal(readVersion(text), undefined, text);
  }
});

test('versions have one order, and what is none comes first', () => {
  const ordered = ['', 'banana', '1.0.0-alpha', '1.0.0-beta.2', '1.0.0-beta.11', '1.0.0', '1.2.0', '1.10.0', '2.0.0'];
  assert.deepEqual(ordered.toReversed().toSorted(compareVersions), ordered);
});
