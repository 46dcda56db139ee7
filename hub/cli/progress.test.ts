import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, createProgress, duration } from './progress.ts';

function watched(isTTY: boolean) {
  const written: string[] = [];
  let now = 0;
  const progress = createProgress('rows', { isTTY, columns: 80, write: (text) => written.push(text) }, () => now);
  return { written, progress, wait: (ms: number) => (now += ms) };
}

test('a terminal sees a bar that is redrawn and taken away', () => {
  const { written, progress, wait } = watched(true);
  wait(1_000);
  progress.at(500, 1_000);
  progress.at(501, 1_000);
  progress.clear();
  assert.deepEqual(written, [
    '\r\u001b[K[############............] rows: 500 of 1,000 (50 %), 500 a second, 1 s left',
    '\r\u001b[K',
  ]);
});

test('without a terminal there is a line every five seconds', () => {
  const { written, progress, wait } = watched(false);
  progress.at(1, 10);
  wait(4_999);
  progress.at(2, 10);
  wait(1);
  progress.at(5, 10, 'a.b.w0.e');
  progress.clear();
  assert.deepEqual(written, ['rows: 5 of 10 (50 %), 1 a second, 5 s left  a.b.w0.e\n']);
});

test('an unknown total shows what is done', () => {
  const { written, progress, wait } = watched(true);
  wait(2_000);
  progress.at(3_000, 0);
  assert.deepEqual(written, ['\r\u001b[Krows: 3,000, 1,500 a second']);
});

for (const [seconds, text] of [
  [0, '0 s'],
  [59.6, '1 min'],
  [61, '1 min 1 s'],
  [3_600, '1 h'],
  [90_061, '1 d 1 h'],
  [86_401, '1 d'],
  [-5, '0 s'],
] as const) {
  test(`${seconds} seconds are ${text}`, () => assert.equal(duration(seconds), text));
}

test('thousands are set apart', () => assert.deepEqual([count(999), count(1_234_567n)], ['999', '1,234,567']));
