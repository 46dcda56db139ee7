import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY_ROOT, leafHash, nodeHash } from './hash.ts';
import {
  consistencyProof,
  inclusionProof,
  type NodeReader,
  rootAt,
  verifyConsistency,
  verifyInclusion,
} from './proof.ts';

const PLAIN = leafHash(Buffer.from('plain'));
const broken: NodeReader = () => Promise.reject(new Error('gone'));
const SPECIAL = leafHash(Buffer.from('special'));

/** A tree of any size in which one leaf differs from all others, so that no other place can pass for its own. */
function treeWith(special: number): NodeReader {
  const plain: Buffer[] = [PLAIN];
  const plainAt = (level: number): Buffer => (plain[level] ??= nodeHash(plainAt(level - 1), plainAt(level - 1)));
  const node = (level: number, index: number): Buffer => {
    const leaves = 2 ** level;
    if (special < index * leaves || special >= (index + 1) * leaves) return plainAt(level);
    return level === 0 ? SPECIAL : nodeHash(node(level - 1, index * 2), node(level - 1, index * 2 + 1));
  };
  return async (level, index) => node(level, index);
}

const LARGE = [2 ** 31, 2 ** 32, 2 ** 40, 2 ** 52].flatMap((power) => [power - 1, power, power + 1, power + 12_345]);

for (const size of LARGE) {
  for (const index of [0, 1, Math.floor(size / 2), 2 ** 31 - 1, 2 ** 30 + 7, size - 2, size - 1]) {
    if (index >= size) continue;
    test(`leaf ${index} of ${size} is proven, at no other place and no other size`, async () => {
      const read = treeWith(index);
      const root = await rootAt(size, read);
      const proof = await inclusionProof(size, index, read);
      const claim = { size, index, leaf: SPECIAL, proof, root };
      assert.equal(verifyInclusion(claim), true);
      assert.equal(verifyInclusion({ ...claim, leaf: PLAIN }), false);
      for (const other of [index - 1, (index + 1) % size, (index + 2 ** 31) % size, (index + 2 ** 32) % size, size]) {
        if (other !== index && other >= 0)
          assert.equal(verifyInclusion({ ...claim, index: other }), false, `at ${other}`);
      }
      assert.equal(verifyInclusion({ ...claim, proof: proof.slice(1) }), false);
      assert.equal(verifyInclusion({ ...claim, proof: proof.slice(0, -1) }), false);
      assert.equal(verifyInclusion({ ...claim, proof: [...proof, PLAIN] }), false);
    });
  }

  for (const oldSize of [1, 2 ** 30, 2 ** 31 - 1, 2 ** 31 - 5, size - 1, Math.floor(size / 3)]) {
    if (oldSize >= size) continue;
    test(`${oldSize} leaves are a prefix of ${size}`, async () => {
      const read = treeWith(oldSize - 1);
      const [oldRoot, newRoot, proof] = await Promise.all([
        rootAt(oldSize, read),
        rootAt(size, read),
        consistencyProof(oldSize, size, read),
      ]);
      const claim = { oldSize, newSize: size, oldRoot, newRoot, proof };
      assert.equal(verifyConsistency(claim), true);
      const rewritten = await rootAt(oldSize, treeWith(oldSize));
      assert.equal(verifyConsistency({ ...claim, oldRoot: rewritten }), false);
      assert.equal(verifyConsistency({ ...claim, newRoot: await rootAt(size, treeWith(oldSize)) }), false);
      assert.equal(verifyConsistency({ ...claim, proof: proof.slice(1) }), false);
      assert.equal(verifyConsistency({ ...claim, proof: [...proof, PLAIN] }), false);
    });
  }
}

test('the empty tree is a prefix of every tree, and only as the empty tree', async () => {
  const read = treeWith(0);
  const newRoot = await rootAt(5, read);
  assert.deepEqual(await consistencyProof(0, 5, read), []);
  assert.deepEqual(await consistencyProof(0, 0, read), []);
  assert.deepEqual(await rootAt(0, read), EMPTY_ROOT);
  const claim = { oldSize: 0, newSize: 5, oldRoot: EMPTY_ROOT, newRoot, proof: [] };
  assert.equal(verifyConsistency(claim), true);
  assert.equal(verifyConsistency({ ...claim, oldRoot: PLAIN }), false);
  assert.equal(verifyConsistency({ ...claim, proof: [PLAIN] }), false);
  assert.equal(verifyConsistency({ ...claim, newSize: 0 }), false);
  assert.equal(verifyConsistency({ ...claim, newSize: 0, newRoot: EMPTY_ROOT }), true);
});

test('a tree is a prefix of itself with no hashes and the same root', async () => {
  const root = await rootAt(6, treeWith(2));
  const claim = { oldSize: 6, newSize: 6, oldRoot: root, newRoot: root, proof: [] };
  assert.equal(verifyConsistency(claim), true);
  assert.equal(verifyConsistency({ ...claim, proof: [root] }), false);
  assert.equal(verifyConsistency({ ...claim, newRoot: PLAIN }), false);
});

test('a single leaf is its own tree', () => {
  const claim = { size: 1, index: 0, leaf: PLAIN, proof: [], root: PLAIN };
  assert.equal(verifyInclusion(claim), true);
  assert.equal(verifyInclusion({ ...claim, proof: [PLAIN] }), false);
  assert.equal(verifyInclusion({ ...claim, root: SPECIAL }), false);
});

test('what is not 32 bytes is no hash, even where two such would be equal', () => {
  for (const odd of [Buffer.alloc(0), Buffer.alloc(31), Buffer.alloc(33)]) {
    assert.equal(verifyInclusion({ size: 1, index: 0, leaf: odd, proof: [], root: odd }), false);
    assert.equal(verifyInclusion({ size: 2, index: 0, leaf: PLAIN, proof: [odd], root: PLAIN }), false);
    assert.equal(verifyConsistency({ oldSize: 3, newSize: 3, oldRoot: odd, newRoot: odd, proof: [] }), false);
    assert.equal(verifyConsistency({ oldSize: 1, newSize: 2, oldRoot: PLAIN, newRoot: PLAIN, proof: [odd] }), false);
  }
});

for (const [name, size, index] of [
  ['an index at the size', 5, 5],
  ['an index beyond the size', 5, 6],
  ['a negative index', 5, -1],
  ['half an index', 5, 0.5],
  ['an empty tree', 0, 0],
  ['a size beyond 2^53', 2 ** 53, 1],
  ['no size', Number.NaN, 0],
] as const) {
  test(`nothing is included for ${name}`, async () => {
    assert.equal(verifyInclusion({ size, index, leaf: PLAIN, proof: [], root: PLAIN }), false);
    await assert.rejects(inclusionProof(size, index, treeWith(0)), { code: 'invalid_argument' });
  });
}

for (const [oldSize, newSize] of [
  [6, 5],
  [-1, 5],
  [1.5, 5],
  [1, 2 ** 53],
  [Number.NaN, 5],
] as const) {
  test(`${oldSize} leaves are no prefix of ${newSize}`, async () => {
    assert.equal(verifyConsistency({ oldSize, newSize, oldRoot: PLAIN, newRoot: PLAIN, proof: [] }), false);
    await assert.rejects(consistencyProof(oldSize, newSize, treeWith(0)), { code: 'invalid_argument' });
  });
}

test('what the reader throws is what a proof throws', async () => {
  await assert.rejects(inclusionProof(100, 3, broken), /gone/);
  await assert.rejects(consistencyProof(3, 100, broken), /gone/);
  await assert.rejects(rootAt(100, broken), /gone/);
});
