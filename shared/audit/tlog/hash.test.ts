import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY_ROOT, leafHash, leafHashAt, nodeHash } from './hash.ts';

// Published vectors of RFC 6962 hashing.
test('hashes are those of RFC 6962', () => {
  assert.equal(EMPTY_ROOT.toString('hex'), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  assert.equal(
    leafHash(Buffer.alloc(0)).toString('hex'),
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  );
  assert.equal(
    leafHash(Buffer.from('L123456')).toString('hex'),
    '395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56',
  );
  const left = Buffer.from('fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125', 'hex');
  const right = Buffer.from('96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7', 'hex');
  assert.equal(
    nodeHash(leafHash(Buffer.from([])), leafHash(Buffer.from([0]))).toString('hex'),
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  );
  assert.notDeepEqual(nodeHash(left, right), nodeHash(right, left));
});

for (const length of [0, 1, 700, 16_384, 32_766, 32_767, 32_768, 65_535]) {
  test(`a row of ${length} bytes has one hash, in place or not`, () => {
    const framed = Buffer.alloc(length + 9, 0x5a);
    framed[4] = 0;
    const row = framed.subarray(5, 5 + length);
    assert.deepEqual(leafHashAt(framed, 5, 5 + length), leafHash(row));
    assert.deepEqual(leafHash(Uint8Array.from(row)), leafHash(row));
  });
}

test('a hash stays what it is when others are made after it', () => {
  const first = leafHash(Buffer.from('first'));
  const kept = Buffer.from(first);
  for (let i = 0; i < 1000; i += 1) nodeHash(leafHash(Buffer.from([i & 255])), first);
  assert.deepEqual(first, kept);
});

for (const [name, start, end] of [
  ['the byte before is not zero', 3, 5],
  ['there is no byte before', 0, 5],
  ['the end lies beyond the buffer', 2, 9],
  ['the end lies before the start', 2, 1],
] as const) {
  test(`nothing is hashed in place when ${name}`, () => {
    const buffer = Buffer.from([1, 0, 2, 3, 4, 5, 6, 7]);
    assert.throws(() => leafHashAt(buffer, start, end), { code: 'internal' });
  });
}

for (const [left, right] of [
  [31, 32],
  [32, 33],
  [0, 32],
  [0, 0],
  [64, 0],
] as const) {
  test(`a node is not made of ${left} and ${right} bytes`, () => {
    assert.throws(() => nodeHash(Buffer.alloc(left), Buffer.alloc(right)), { code: 'invalid_argument' });
  });
}
