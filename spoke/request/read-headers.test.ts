import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REQUEST_LIMITS } from './limits.ts';
import { readHeaders } from './read-headers.ts';

test('names become lower-case and repeated list headers are joined in order', () => {
  const { headers, why } = readHeaders(['Accept', 'a', 'X-One', '1', 'accept', 'b']);
  assert.equal(why, '');
  assert.deepEqual({ ...headers }, { accept: 'a, b', 'x-one': '1' });
});

test('names of object internals are ordinary names', () => {
  const { headers } = readHeaders(['constructor', 'x', '__proto__', 'y']);
  assert.equal(headers['constructor'], 'x');
  assert.equal(headers['__proto__'], 'y');
  assert.equal(headers['tostring'], undefined);
});

test('hosts are names or addresses with an optional port', () => {
  for (const host of ['localhost', 'weir.example.test:8443', '127.0.0.1:4873', '[::1]:80', 'a_b']) {
    assert.equal(readHeaders(['Host', host]).why, '', host);
  }
});

const broken: readonly { name: string; raw: readonly string[] }[] = [
  { name: 'two authorizations', raw: ['Authorization', 'Bearer a', 'authorization', 'Bearer b'] },
  { name: 'two hosts', raw: ['Host', 'a', 'Host', 'b'] },
  { name: 'two ranges', raw: ['Range', 'bytes=0-1', 'Range', 'bytes=0-9'] },
  { name: 'a host with a path', raw: ['Host', 'example.test/x'] },
  { name: 'a host with credentials', raw: ['Host', 'a@example.test'] },
  { name: 'an empty host', raw: ['Host', ''] },
  { name: 'a host with a quote', raw: ['Host', 'a"b'] },
  { name: 'line break in a value', raw: ['X-A', 'a\r\nb'] },
  { name: 'NUL in a value', raw: ['X-A', 'a\0b'] },
  { name: 'space in a name', raw: ['X A', 'b'] },
  { name: 'empty name', raw: ['', 'b'] },
  { name: 'too many', raw: Array.from({ length: (REQUEST_LIMITS.headers + 1) * 2 }, () => 'a') },
  { name: 'too long', raw: ['x-a', 'a'.repeat(REQUEST_LIMITS.headerBytes)] },
];

for (const { name, raw } of broken) {
  test(`headers are refused: ${name}`, () => {
    assert.notEqual(readHeaders(raw).why, '');
  });
}
