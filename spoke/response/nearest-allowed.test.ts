import assert from 'node:assert/strict';
import { test } from 'node:test';
import semver from 'semver';
import { nearestAllowed } from './nearest-allowed.ts';

const cases: readonly { name: string; asked: string; allowed: readonly string[]; expected: string }[] = [
  {
    name: 'newest older of the same major',
    asked: '2.3.0',
    allowed: ['2.1.0', '2.2.0', '2.4.0', '1.9.0'],
    expected: '2.2.0',
  },
  {
    name: 'else the oldest newer of the same major',
    asked: '2.0.0',
    allowed: ['1.9.0', '2.0.2', '2.0.1', '3.0.0'],
    expected: '2.0.1',
  },
  { name: 'else the newest older', asked: '2.0.0', allowed: ['1.2.0', '1.10.0', '3.0.0'], expected: '1.10.0' },
  { name: 'else the oldest newer', asked: '1.0.0', allowed: ['3.0.0', '2.0.0'], expected: '2.0.0' },
  { name: 'none', asked: '1.0.0', allowed: [], expected: '' },
  { name: 'never itself', asked: '1.0.0', allowed: ['1.0.0'], expected: '' },
  { name: 'stable before pre-release', asked: '2.0.0', allowed: ['2.0.0-rc.1', '1.0.0'], expected: '1.0.0' },
  { name: 'a pre-release when there is nothing else', asked: '2.0.0', allowed: ['2.0.0-rc.1'], expected: '2.0.0-rc.1' },
  {
    name: 'a pre-release when one was asked for',
    asked: '2.0.0-rc.2',
    allowed: ['2.0.0-rc.1', '1.0.0'],
    expected: '2.0.0-rc.1',
  },
  { name: 'unknown version: the newest', asked: '', allowed: ['1.0.0', '2.0.0', '1.5.0'], expected: '2.0.0' },
];
for (const { name, asked, allowed, expected } of cases) {
  test(`nearest allowed: ${name}`, () => {
    const versions = [
      ...allowed.map((version) => ({ version, level: 'allow' as const })),
      { version: '2.2.9', level: 'deny' as const },
      { version: '1.99.0', level: 'pending' as const },
    ];
    assert.equal(
      nearestAllowed(asked, versions, (a, b) => semver.compare(a, b)),
      expected,
    );
  });
}

test('a warned version is allowed', () => {
  assert.equal(
    nearestAllowed('1.1.0', [{ version: '1.0.0', level: 'warn' }], (a, b) => semver.compare(a, b)),
    '1.0.0',
  );
});
