import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TreeEdge } from './edge.ts';
import { EMPTY_ROOT, leafHash, nodeHash } from './hash.ts';

const leaf = (index: number) => leafHash(Buffer.from(String(index)));

/** RFC 6962 §2.1, word for word. */
function definition(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return EMPTY_ROOT;
  if (leaves.length === 1) return leaves[0] as Buffer;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(definition(leaves.slice(0, split)), definition(leaves.slice(split)));
}

test('the root is the definition’s at every size, and the edge reads back', () => {
  const edge = new TreeEdge();
  const leaves: Buffer[] = [];
  assert.deepEqual(edge.root(), EMPTY_ROOT);
  assert.equal(edge.encode().length, 0);
  for (let size = 1; size <= 300; size += 1) {
    leaves.push(leaf(size));
    edge.append(leaf(size));
    assert.equal(edge.size, size);
    assert.deepEqual(edge.root(), definition(leaves), `size ${size}`);
    const read = TreeEdge.decode(size, edge.encode());
    assert.deepEqual(read.root(), edge.root());
    read.append(leaf(0));
    assert.deepEqual(read.root(), definition([...leaves, leaf(0)]));
  }
});

test('a clone goes its own way', () => {
  const edge = new TreeEdge();
  for (let i = 0; i < 5; i += 1) edge.append(leaf(i));
  const before = edge.root();
  const clone = edge.clone();
  for (let i = 0; i < 100; i += 1) clone.append(leaf(i));
  assert.deepEqual(edge.root(), before);
  assert.equal(edge.size, 5);
  edge.append(leaf(9));
  assert.equal(clone.size, 105);
});

test('the encoding is the subtrees from left to right', () => {
  const edge = new TreeEdge();
  const leaves = Array.from({ length: 7 }, (_, index) => leaf(index));
  for (const hash of leaves) edge.append(hash);
  assert.deepEqual(
    edge.encode(),
    Buffer.concat([definition(leaves.slice(0, 4)), definition(leaves.slice(4, 6)), leaves[6] as Buffer]),
  );
});

test('a decoded edge does not change with the bytes it was read from', () => {
  const edge = new TreeEdge();
  edge.append(leaf(1));
  const bytes = edge.encode();
  const read = TreeEdge.decode(1, bytes);
  bytes.fill(0);
  assert.deepEqual(read.root(), leaf(1));
});

for (const size of [2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32 + 1, 2 ** 40 - 1, 2 ** 40, 2 ** 52 + 5]) {
  test(`an edge of ${size} leaves grows as it should`, () => {
    const ones = size.toString(2).replaceAll('0', '').length;
    const hashes = Array.from({ length: ones }, (_, index) => leaf(index));
    const edge = TreeEdge.decode(size, Buffer.concat(hashes));
    assert.deepEqual(
      edge.root(),
      hashes.reduceRight((right, left) => nodeHash(left, right)),
    );
    edge.append(leaf(99));
    assert.equal(edge.size, size + 1);
    // Carries: as many of the last subtrees join the new leaf as the size has one-bits at its end.
    const joined = /1*$/.exec(size.toString(2))?.[0].length ?? 0;
    const last = hashes.slice(ones - joined).reduceRight((right, left) => nodeHash(left, right), leaf(99));
    assert.deepEqual(edge.encode(), Buffer.concat([...hashes.slice(0, ones - joined), last]));
  });
}

for (const [name, size, length] of [
  ['too short', 3, 32],
  ['too long', 3, 96],
  ['not whole hashes', 3, 63],
  ['not empty at size 0', 0, 32],
  ['of a negative size', -1, 0],
  ['of a broken size', 1.5, 32],
  ['of a size beyond 2^53', 2 ** 53, 32],
  ['of no size', Number.NaN, 0],
] as const) {
  test(`an edge ${name} is corrupt`, () => {
    assert.throws(() => TreeEdge.decode(size, Buffer.alloc(length)), { code: 'corrupt' });
  });
}

test('a leaf hash is 32 bytes', () => {
  for (const length of [0, 31, 33]) {
    assert.throws(() => new TreeEdge().append(Buffer.alloc(length)), { code: 'invalid_argument' });
  }
});

test('the largest log takes no further leaf', () => {
  const edge = TreeEdge.decode(Number.MAX_SAFE_INTEGER, Buffer.alloc(53 * 32));
  assert.throws(() => edge.append(leaf(0)), { code: 'resource_exhausted' });
});
