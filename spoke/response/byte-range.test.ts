import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ByteRange, byteRangeOf, type RangeRequest } from './byte-range.ts';

const WHOLE: ByteRange = { kind: 'whole' };
const NEVER: ByteRange = { kind: 'unsatisfiable' };
const part = (start: number, end: number): ByteRange => ({ kind: 'part', start, end });

const CASES: readonly (readonly [string, Partial<RangeRequest>, ByteRange])[] = [
  ['no header', {}, WHOLE],
  ['a closed range', { range: 'bytes=0-9' }, part(0, 10)],
  ['an open range', { range: 'bytes=90-' }, part(90, 100)],
  ['a suffix', { range: 'bytes=-10' }, part(90, 100)],
  ['a suffix longer than the whole', { range: 'bytes=-500' }, part(0, 100)],
  ['an end past the end', { range: 'bytes=50-500' }, part(50, 100)],
  ['the last byte', { range: 'bytes=99-99' }, part(99, 100)],
  ['a start at the end', { range: 'bytes=100-' }, NEVER],
  ['an empty suffix', { range: 'bytes=-0' }, NEVER],
  ['an inverted range', { range: 'bytes=9-0' }, WHOLE],
  ['several ranges', { range: 'bytes=0-1,5-6' }, WHOLE],
  ['another unit', { range: 'lines=0-1' }, WHOLE],
  ['nothing at all', { range: 'bytes=-' }, WHOLE],
  ['signs', { range: 'bytes=+1-2' }, WHOLE],
  ['a number that loses digits', { range: 'bytes=0-99999999999999999999' }, WHOLE],
  ['If-Range with the same tag', { range: 'bytes=0-9', ifRange: '"a"' }, part(0, 10)],
  ['If-Range with another tag', { range: 'bytes=0-9', ifRange: '"b"' }, WHOLE],
  ['If-Range with a weak tag', { range: 'bytes=0-9', ifRange: 'W/"a"' }, WHOLE],
  ['If-Range with a date', { range: 'bytes=0-9', ifRange: 'Wed, 21 Oct 2015 07:28:00 GMT' }, WHOLE],
];

for (const [name, request, expected] of CASES) {
  test(`${name} → ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(byteRangeOf({ etag: '"a"', ...request }, 100), expected);
  });
}

test('without a tag no If-Range matches', () => {
  assert.deepEqual(byteRangeOf({ range: 'bytes=0-9', ifRange: '', etag: '' }, 100), WHOLE);
});
