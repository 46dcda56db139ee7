import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isNotModified } from './conditional.ts';

const cases: readonly { headers: Record<string, string>; expected: boolean }[] = [
  { headers: {}, expected: false },
  { headers: { 'if-none-match': '"abc"' }, expected: true },
  { headers: { 'if-none-match': 'W/"abc"' }, expected: true },
  { headers: { 'if-none-match': '"x", "abc"' }, expected: true },
  { headers: { 'if-none-match': '"x","y" , W/"abc" ' }, expected: true },
  { headers: { 'if-none-match': '*' }, expected: true },
  { headers: { 'if-none-match': 'abc' }, expected: false },
  { headers: { 'if-none-match': '"ABC"' }, expected: false },
  { headers: { 'if-none-match': '' }, expected: false },
  { headers: { 'if-none-match': `${'"x", '.repeat(1000)}"abc"` }, expected: false },
  { headers: { 'if-modified-since': 'Fri, 01 Jan 2100 00:00:00 GMT' }, expected: false },
];
for (const { headers, expected } of cases) {
  test(`${JSON.stringify(headers).slice(0, 80)} is ${expected ? '' : 'not '}current`, () => {
    assert.equal(isNotModified(headers, '"abc"'), expected);
  });
}
