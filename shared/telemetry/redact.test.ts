import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatToken } from '../domain/token.ts';
import { redact } from './redact.ts';

const token = formatToken('payments', new Uint8Array(32).fill(7));

const CASES: readonly (readonly [string, unknown, unknown])[] = [
  [
    'a field named like a secret',
    { authorization: 'x', api_token: 'y', path: '/a' },
    { authorization: '[redacted]', api_token: '[redacted]', path: '/a' },
  ],
  ['a token inside a text', { note: `used ${token} twice` }, { note: 'used [token] twice' }],
  ['a bearer header', { line: 'Authorization: Bearer abcdefghijkl' }, { line: 'Authorization: Bearer [redacted]' }],
  [
    'credentials in a url',
    { url: 'postgres://weir:pass@127.0.0.1:5432/weir' },
    { url: 'postgres://[redacted]@127.0.0.1:5432/weir' },
  ],
  ['nested values', { a: [{ password: 'x' }] }, { a: [{ password: '[redacted]' }] }],
  ['bytes', { body: new Uint8Array(3) }, { body: '[3 bytes]' }],
  ['plain values', { count: 1, ok: true, none: null, big: 2n }, { count: 1, ok: true, none: null, big: '2' }],
];

for (const [name, given, expected] of CASES) {
  test(`logging hides ${name}`, () => assert.deepEqual(redact(given), expected));
}

test('a cycle and a huge text are cut instead of failing', () => {
  const loop: Record<string, unknown> = { text: 'x'.repeat(10_000) };
  loop['self'] = loop;
  assert.ok(JSON.stringify(redact(loop)).length < 40_000);
});
