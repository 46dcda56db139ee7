import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retag } from './dist-tags.ts';
import { documentOf, packument } from './packument-for-tests.ts';
import { ParsedPackument, readPackument } from './packument.ts';

const pad = { ecosystem: 'npm', namespace: '', name: 'pad' } as const;

interface Case {
  readonly name: string;
  /** Versions, each with an optional publish day of 2020. */
  readonly versions: readonly (string | readonly [string, string])[];
  readonly hidden: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  readonly expected: Readonly<Record<string, string>>;
}

const cases: readonly Case[] = [
  {
    name: 'nothing hidden changes nothing',
    versions: ['1.0.0', '1.1.0'],
    hidden: [],
    tags: { latest: '1.1.0', next: '1.0.0' },
    expected: { latest: '1.1.0', next: '1.0.0' },
  },
  {
    name: 'latest falls to the newest stable version below it',
    versions: ['1.0.0', '1.2.0', '1.10.0', '2.0.0'],
    hidden: ['2.0.0'],
    tags: { latest: '2.0.0' },
    expected: { latest: '1.10.0' },
  },
  {
    name: 'latest never rises',
    versions: ['1.0.0', '1.1.0', '2.0.0'],
    hidden: ['1.1.0'],
    tags: { latest: '1.1.0' },
    expected: { latest: '1.0.0' },
  },
  {
    name: 'latest goes when only newer versions remain',
    versions: ['1.0.0', '2.0.0'],
    hidden: ['1.0.0'],
    tags: { latest: '1.0.0', next: '2.0.0' },
    expected: { next: '2.0.0' },
  },
  {
    name: 'latest is never a pre-release',
    versions: ['1.0.0-rc.1', '1.0.0', '0.9.0-beta'],
    hidden: ['1.0.0'],
    tags: { latest: '1.0.0' },
    expected: {},
  },
  {
    name: 'latest of a package that has only pre-releases stays in its channel',
    versions: ['1.0.0-beta.1', '1.0.0-beta.2', '1.0.0-alpha.9'],
    hidden: ['1.0.0-beta.2'],
    tags: { latest: '1.0.0-beta.2' },
    expected: { latest: '1.0.0-beta.1' },
  },
  {
    name: 'latest on a pre-release takes a stable version below it',
    versions: ['0.9.0', '1.0.0-beta.1', '1.0.0-beta.2'],
    hidden: ['1.0.0-beta.2'],
    tags: { latest: '1.0.0-beta.2' },
    expected: { latest: '0.9.0' },
  },
  {
    name: 'a pre-release tag stays in its channel and line',
    versions: ['2.0.0-beta.1', '2.0.0-beta.2', '2.0.0-beta.10', '2.0.0-rc.1', '1.9.0-beta.7'],
    hidden: ['2.0.0-beta.10'],
    tags: { beta: '2.0.0-beta.10' },
    expected: { beta: '2.0.0-beta.2' },
  },
  {
    name: 'a pre-release tag leaves its line when it must',
    versions: ['1.8.0-beta.1', '1.9.0-beta.1', '2.0.0-beta.1', '2.0.0-rc.1'],
    hidden: ['2.0.0-beta.1'],
    tags: { beta: '2.0.0-beta.1' },
    expected: { beta: '1.9.0-beta.1' },
  },
  {
    name: 'a pre-release tag goes when its channel is empty',
    versions: ['1.0.0', '2.0.0-rc.1', '2.0.0-canary.1'],
    hidden: ['2.0.0-canary.1'],
    tags: { latest: '1.0.0', canary: '2.0.0-canary.1' },
    expected: { latest: '1.0.0' },
  },
  {
    name: 'identifiers without an order go by publish time',
    versions: [
      ['0.0.0-experimental-aaa-2020', '01-03'],
      ['0.0.0-experimental-fff-2020', '01-01'],
      ['0.0.0-experimental-ccc-2020', '01-04'],
    ],
    hidden: ['0.0.0-experimental-ccc-2020'],
    tags: { experimental: '0.0.0-experimental-ccc-2020' },
    expected: { experimental: '0.0.0-experimental-aaa-2020' },
  },
  {
    name: 'a maintenance tag does not jump to a newer line',
    versions: ['1.8.0', '1.9.0', '2.0.0'],
    hidden: ['1.9.0'],
    tags: { latest: '2.0.0', 'v1-lts': '1.9.0' },
    expected: { latest: '2.0.0', 'v1-lts': '1.8.0' },
  },
  {
    name: 'a tag on a version that is not listed moves as if it were hidden, one on no version goes',
    versions: ['1.0.0', '1.1.0'],
    hidden: [],
    tags: { latest: '9.9.9', beta: '9.9.9-beta.1', odd: 'latest' },
    expected: { latest: '1.1.0' },
  },
  {
    name: 'tags called like object internals are tags',
    versions: ['1.0.0', '1.1.0'],
    hidden: ['1.1.0'],
    tags: { constructor: '1.1.0', toString: '1.0.0' },
    expected: { constructor: '1.0.0', toString: '1.0.0' },
  },
];

for (const { name, versions, hidden, tags, expected } of cases) {
  test(`dist-tags: ${name}`, () => {
    const sketches = versions.map((version) =>
      typeof version === 'string' ? { version } : { version: version[0], time: `2020-${version[1]}T00:00:00.000Z` },
    );
    const { parsed } = readPackument(documentOf(packument(pad, sketches)), pad);
    assert.ok(parsed instanceof ParsedPackument);
    const kept = new Map([...parsed.entries].filter(([version]) => !hidden.includes(version)));
    assert.deepEqual(retag(tags, parsed.entries, kept), expected);
  });
}

test('a tag called __proto__ stays a plain member', () => {
  const tags = JSON.parse('{"__proto__":"1.0.0"}') as Record<string, string>;
  const { parsed } = readPackument(documentOf(packument(pad, [{ version: '1.0.0' }])), pad);
  assert.ok(parsed instanceof ParsedPackument);
  assert.equal(JSON.stringify(retag(tags, parsed.entries, parsed.entries)), '{"__proto__":"1.0.0"}');
});
