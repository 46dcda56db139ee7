import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeEntries, encodeEntries, entriesPath, parseTilePath, tilePath, tileWidth } from './tile.ts';

for (const [level, index, width, path] of [
  [0, 0, 256, 'tile/0/000'],
  [0, 999, 256, 'tile/0/999'],
  [0, 1000, 256, 'tile/0/x001/000'],
  [1, 1_234_067, 256, 'tile/1/x001/x234/067'],
  [0, 5, 1, 'tile/0/005.p/1'],
  [2, 1_000_000, 255, 'tile/2/x001/x000/000.p/255'],
  [0, 2 ** 31, 256, 'tile/0/x002/x147/x483/648'],
  [0, 2 ** 32, 17, 'tile/0/x004/x294/x967/296.p/17'],
  [63, 2 ** 40, 256, 'tile/63/x001/x099/x511/x627/776'],
] as const) {
  test(`tile ${level}/${index} of width ${width} is ${path}`, () => {
    assert.equal(tilePath(level, index, width), path);
    assert.deepEqual(parseTilePath(path), { kind: 'tile', level, index, width });
    const entries = path.replace(/^tile\/\d+/, 'tile/entries');
    assert.equal(entriesPath(index, width), entries);
    assert.deepEqual(parseTilePath(entries), { kind: 'entries', index, width });
  });
}

for (const path of [
  '',
  'tile/0/0',
  'tile/0/0000',
  'tile/00/000',
  'tile/64/000',
  'tile/0/x000/001',
  'tile/0/001/002',
  'tile/0/x001/x002',
  'tile/0/000.p/0',
  'tile/0/000.p/256',
  'tile/0/000.p/257',
  'tile/0/000.p/01',
  'tile/0/000.p/',
  'tile/-1/000',
  '/tile/0/000',
  'tile/0/000/',
  'tile/0/../000',
  'tile/0/000\n',
  'tile/data/000',
  'tile/entries/x009/x007/x199/x254/x740/992',
]) {
  test(`${JSON.stringify(path)} is no path of the layout`, () => assert.equal(parseTilePath(path), undefined));
}

for (const [level, index, width] of [
  [-1, 0, 256],
  [64, 0, 256],
  [0, -1, 256],
  [0, 0.5, 256],
  [0, 2 ** 53, 256],
  [0, 0, 0],
  [0, 0, 257],
  [0, 0, 1.5],
] as const) {
  test(`there is no tile ${level}/${index} of width ${width}`, () => {
    assert.throws(() => tilePath(level, index, width), { code: 'invalid_argument' });
  });
}

// The example of the specification, and sizes about the powers of two.
for (const [size, level, index, width] of [
  [70_000, 0, 272, 256],
  [70_000, 0, 273, 112],
  [70_000, 0, 274, 0],
  [70_000, 1, 0, 256],
  [70_000, 1, 1, 17],
  [70_000, 2, 0, 1],
  [70_000, 3, 0, 0],
  [256, 0, 0, 256],
  [256, 0, 1, 0],
  [256, 1, 0, 1],
  [0, 0, 0, 0],
  [2 ** 32 + 3, 0, 2 ** 24, 3],
  [2 ** 40 + 1, 4, 0, 256],
  [2 ** 40, 5, 0, 1],
] as const) {
  test(`a tree of ${size} has ${width} hashes in tile ${level}/${index}`, () => {
    assert.equal(tileWidth(size, level, index), width);
  });
}

test('a bundle is its rows after their lengths', () => {
  const rows = [Buffer.from('ab'), Buffer.alloc(0), Buffer.alloc(65_535, 1)];
  const bytes = encodeEntries(rows);
  assert.equal(bytes.subarray(0, 8).toString('hex'), '000261620000ffff');
  assert.deepEqual(decodeEntries(bytes), rows);
  assert.deepEqual(decodeEntries(Uint8Array.from(bytes)), rows);
  assert.deepEqual(decodeEntries(encodeEntries([])), []);
  assert.equal(decodeEntries(encodeEntries(Array.from({ length: 256 }, () => Buffer.from('x')))).length, 256);
});

test('a bundle takes no row over 65,535 bytes and no 257th row', () => {
  assert.throws(() => encodeEntries([Buffer.alloc(65_536)]), { code: 'too_large' });
  assert.throws(() => encodeEntries(Array.from({ length: 257 }, () => Buffer.alloc(0))), { code: 'too_large' });
});

test('a bundle cut anywhere but between rows is corrupt', () => {
  const bytes = encodeEntries([Buffer.from('abc'), Buffer.from('de'), Buffer.from('f')]);
  const whole = new Set([0, 5, 9, 12]);
  for (let end = 0; end <= bytes.length; end += 1) {
    const cut = bytes.subarray(0, end);
    if (whole.has(end)) decodeEntries(cut);
    else assert.throws(() => decodeEntries(cut), { code: 'corrupt' }, `cut at ${end}`);
  }
});

test('a bundle of more than 256 rows is corrupt', () => {
  assert.throws(() => decodeEntries(Buffer.alloc(2 * 257)), { code: 'corrupt' });
});
