import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normalizeName } from './names.ts';

test('names are lower-cased and every run of separators is one dash', () => {
  for (const text of ['Foo.Bar', 'foo-bar', 'FOO_BAR', 'foo..bar', 'foo-_.bar']) {
    assert.deepEqual(normalizeName(text), { ecosystem: 'pypi', namespace: '', name: 'foo-bar' });
  }
  assert.equal(normalizeName('a')?.name, 'a');
  assert.equal(normalizeName('2to3')?.name, '2to3');
});

test('what the grammar does not allow is no name', () => {
  const texts = [
    '',
    '-foo',
    'foo-',
    '.foo',
    'foo.',
    '_',
    'foo bar',
    'foo/bar',
    '@foo/bar',
    'föö',
    'foo\u0130',
    'foo\n',
    'a'.repeat(201),
  ];
  for (const text of texts) assert.equal(normalizeName(text), undefined, JSON.stringify(text));
});
