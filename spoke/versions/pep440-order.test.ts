import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareParsed, equalityKey, isPrerelease, parseVersion } from './pep440.ts';
import type { Pep440Version } from './pep440.ts';

// Each line holds spellings of one version; lines are in ascending order.
const ASCENDING: readonly (readonly string[])[] = [
  ['0.dev0', '0.0.dev'],
  ['0', '0.0', '0.0.0', 'v0'],
  ['0.9.9'],
  ['1.dev0', '1.0.dev', '1.0-dev0', '1.0_DEV0', '1.0.0.dev0'],
  ['1.0.dev456'],
  ['1.0a0.dev1'],
  ['1.0a', '1.0a0', '1.0.alpha', '1.0-ALPHA.0', '1.0_a_0'],
  ['1.0a1', '1.0.a.1', '1a1'],
  ['1.0a2.dev456'],
  ['1.0a2'],
  ['1.0a12.dev456'],
  ['1.0a12'],
  ['1.0b1.dev456'],
  ['1.0b2', '1.0beta2'],
  ['1.0b2.post345.dev456'],
  ['1.0b2.post345', '1.0b2-345'],
  ['1.0rc1.dev456'],
  ['1.0rc1', '1.0c1', '1.0-pre1', '1.0.preview.1'],
  ['1.0', '1', ' 1.0.0 ', 'V1.0', '01.00'],
  ['1.0+abc.5', '1.0+ABC-5'],
  ['1.0+abc.7'],
  ['1.0+abc.7.x'],
  ['1.0+5', '1.0+05'],
  ['1.0+5.1'],
  ['1.0.post0.dev1'],
  ['1.0.post', '1.0.post0', '1.0-0', '1.0.rev', '1.0r0'],
  ['1.0.post456.dev34'],
  ['1.0.post456', '1.0-456', '1.0.rev456', '1.0-r456', '1.post456'],
  ['1.0.1'],
  ['1.1.dev1'],
  ['1.1'],
  ['1.2.9'],
  ['1.2.10'],
  ['1.10'],
  ['2013.10'],
  ['2014.04'],
  ['99999999999999999999.1'],
  ['99999999999999999999.2'],
  ['1!0.dev0'],
  ['1!0'],
  ['1!1.0'],
  ['2!0.1'],
];

function parsed(text: string): Pep440Version {
  const version = parseVersion(text);
  assert.ok(version, text);
  return version;
}

test('every pair of versions is ordered as the standard says', () => {
  const flat = ASCENDING.flatMap((spellings, order) => spellings.map((text) => ({ text, order })));
  for (const a of flat)
    for (const b of flat) {
      const actual = Math.sign(compareParsed(parsed(a.text), parsed(b.text)));
      assert.equal(actual, Math.sign(a.order - b.order), `${a.text} against ${b.text}`);
    }
});

test('equal versions share one normal form and different ones do not', () => {
  const forms = ASCENDING.map((spellings) => new Set(spellings.map((text) => equalityKey(parsed(text)))));
  for (const [i, form] of forms.entries()) assert.equal(form.size, 1, String(ASCENDING[i]));
  assert.equal(new Set(forms.map((form) => [...form][0])).size, ASCENDING.length);
  for (const form of forms) for (const text of form) assert.equal(equalityKey(parsed(text)), text);
});

test('what is no version is refused', () => {
  const rubbish = [
    '',
    ' ',
    'abc',
    '1.',
    '.1',
    '1..0',
    '1.0-',
    '1.0+',
    '1.0+a..b',
    '1.0+a+b',
    '1!',
    '!1',
    '-1',
    '1.0.post1.post2',
    '1.0dev1a1',
    '1.0 .1',
    '1.0x',
    '1.0\n1.1',
    '٣.1',
    '1.0\u0000',
    '2004d',
    '*',
    '1.*',
    `1${'.0'.repeat(130)}`,
  ];
  for (const text of rubbish) assert.equal(parseVersion(text), undefined, JSON.stringify(text));
});

test('pre-releases are told from final and post-releases', () => {
  for (const text of ['1.0a1', '1.0.dev1', '1.0rc2.post1', '1.0.post1.dev2'])
    assert.ok(isPrerelease(parsed(text)), text);
  for (const text of ['1.0', '1.0.post1', '1.0+local', '1!2']) assert.ok(!isPrerelease(parsed(text)), text);
});
