import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Delivery, deliveryOf } from './conditional.ts';

const ETAG = '"abc"';
const part = (start: number, end: number, size = 100): Delivery => ({
  kind: 'part',
  start,
  end,
  contentRange: `bytes ${start}-${end - 1}/${size}`,
});
const whole: Delivery = { kind: 'whole' };
const same: Delivery = { kind: 'not_modified' };
const never = (size = 100): Delivery => ({ kind: 'unsatisfiable', contentRange: `bytes */${size}` });

const cases: readonly { headers: Record<string, string>; method?: string; size?: number; expected: Delivery }[] = [
  { headers: {}, expected: whole },
  { headers: { 'if-none-match': '"abc"' }, expected: same },
  { headers: { 'if-none-match': 'W/"abc"' }, expected: same },
  { headers: { 'if-none-match': '"x", "abc"' }, expected: same },
  { headers: { 'if-none-match': '*' }, expected: same },
  { headers: { 'if-none-match': 'abc' }, expected: whole },
  { headers: { 'if-none-match': '' }, expected: whole },
  { headers: { 'if-none-match': `${'"x", '.repeat(1000)}"abc"` }, expected: whole },
  { headers: { 'if-none-match': '"abc"' }, method: 'HEAD', expected: same },
  { headers: { 'if-modified-since': 'Fri, 01 Jan 2100 00:00:00 GMT' }, expected: whole },
  { headers: { range: 'bytes=0-0' }, expected: part(0, 1) },
  { headers: { range: 'bytes=10-19' }, expected: part(10, 20) },
  { headers: { range: 'bytes=90-' }, expected: part(90, 100) },
  { headers: { range: 'bytes=90-500' }, expected: part(90, 100) },
  { headers: { range: 'bytes=-10' }, expected: part(90, 100) },
  { headers: { range: 'bytes=-500' }, expected: part(0, 100) },
  { headers: { range: 'bytes=100-' }, expected: never() },
  { headers: { range: 'bytes=-0' }, expected: never() },
  { headers: { range: 'bytes=0-' }, size: 0, expected: never(0) },
  { headers: { range: 'bytes=9-3' }, expected: whole },
  { headers: { range: 'bytes=0-1,5-6' }, expected: whole },
  { headers: { range: 'bytes=-' }, expected: whole },
  { headers: { range: 'bytes=a-b' }, expected: whole },
  { headers: { range: 'items=0-1' }, expected: whole },
  { headers: { range: `bytes=${'9'.repeat(30)}-` }, expected: whole },
  { headers: { range: 'bytes=0-9' }, method: 'HEAD', expected: whole },
  { headers: { range: 'bytes=0-9', 'if-range': '"abc"' }, expected: part(0, 10) },
  { headers: { range: 'bytes=0-9', 'if-range': '"old"' }, expected: whole },
  { headers: { range: 'bytes=0-9', 'if-range': 'W/"abc"' }, expected: whole },
  { headers: { range: 'bytes=0-9', 'if-range': 'Fri, 01 Jan 2100 00:00:00 GMT' }, expected: whole },
  { headers: { range: 'bytes=0-9', 'if-none-match': '"abc"' }, expected: same },
];
for (const { headers, method = 'GET', size = 100, expected } of cases) {
  test(`${method} ${JSON.stringify(headers).slice(0, 90)} of ${size} bytes`, () => {
    assert.deepEqual(deliveryOf(method, headers, ETAG, size), expected);
  });
}
