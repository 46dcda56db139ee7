import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildIntelIndex } from './intel-index.ts';
import { intelWith } from './signals/facts-for-tests.ts';

const index = buildIntelIndex(
  intelWith({
    malicious: [
      { id: 'A' },
      { id: 'B', versions: ['2.0.0'] },
      { id: 'C', withdrawn: true },
      { id: 'D', ecosystem: 'pypi' },
    ],
    npm: ['lodash', 'react', 'lodash'],
    pypi: ['requests'],
    licences: ['MIT', 'Apache-2.0'],
  }),
);

test('records are found by ecosystem and exact name, without the withdrawn ones', () => {
  assert.deepEqual(
    index.malicious('npm', 'quiet-river').map((record) => record.id),
    ['A', 'B'],
  );
  assert.deepEqual(
    index.malicious('pypi', 'quiet-river').map((record) => record.id),
    ['D'],
  );
  for (const name of ['Quiet-River', 'quiet', '', 'constructor', '__proto__'])
    assert.deepEqual(index.malicious('npm', name), [], name);
});

test('popularity is the first position in the list of the ecosystem', () => {
  assert.equal(index.popularity('npm', 'lodash'), 0);
  assert.equal(index.popularity('npm', 'react'), 1);
  assert.equal(index.popularity('pypi', 'requests'), 0);
  assert.equal(index.popularity('pypi', 'lodash'), undefined);
  assert.equal(index.popularity('npm', 'toString'), undefined);
});

test('near names come from the list of the ecosystem', () => {
  assert.deepEqual(index.nearPopular('npm', 'lodas', 1), [{ name: 'lodash', distance: 1 }]);
  assert.deepEqual(index.nearPopular('pypi', 'lodas', 1), []);
});

test('licence identifiers are known in any case', () => {
  assert.ok(index.isKnownLicence('mit'));
  assert.ok(index.isKnownLicence('APACHE-2.0'));
  assert.ok(!index.isKnownLicence('Apache'));
  assert.ok(!index.isKnownLicence('constructor'));
});
