import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TreeEdge } from './edge.ts';
import { leafHash } from './hash.ts';
import { inclusionProof, rootAt, verifyInclusion } from './proof.ts';
import { nodesFromTiles } from './tile-nodes.ts';

const leaves = Array.from({ length: 600 }, (_, index) => leafHash(Buffer.from(String(index))));

function rootOf(count: number, from = 0): Buffer {
  const edge = new TreeEdge();
  for (const leaf of leaves.slice(from, from + count)) edge.append(leaf);
  return edge.root();
}

/** Tiles of the first `size` leaves, as a store has them. */
function tileOf(level: number, index: number, size = 600): Buffer {
  if (level === 0) return Buffer.concat(leaves.slice(index * 256, Math.min(size, (index + 1) * 256)));
  return Buffer.concat([rootOf(256), rootOf(256, 256)].slice(0, Math.floor(size / 256)));
}

test('every node of every level comes out of the tiles', async () => {
  const read = nodesFromTiles(async (level, index) => tileOf(level, index));
  for (const size of [1, 2, 3, 255, 256, 257, 511, 512, 513, 600]) {
    assert.deepEqual(await rootAt(size, read), rootOf(size), `size ${size}`);
  }
  assert.deepEqual(await read(5, 3), rootOf(32, 96));
  assert.deepEqual(await read(9, 0), rootOf(512));
});

test('a proof reads each tile once', async () => {
  const asked: string[] = [];
  const read = nodesFromTiles(async (level, index) => {
    asked.push(`${level}/${index}`);
    return tileOf(level, index);
  });
  const proof = await inclusionProof(512, 300, read);
  assert.equal(verifyInclusion({ size: 512, index: 300, leaf: leaves[300] as Buffer, proof, root: rootOf(512) }), true);
  assert.deepEqual(asked.toSorted(), ['0/1', '1/0']);
});

test('a partial tile that has grown is read again', async () => {
  let size = 10;
  const read = nodesFromTiles(async (level, index) => tileOf(level, index, size));
  assert.deepEqual(await rootAt(10, read), rootOf(10));
  size = 200;
  assert.deepEqual(await rootAt(200, read), rootOf(200));
});

test('a failed reading is not kept', async () => {
  let broken = true;
  const read = nodesFromTiles(async (level, index) => {
    if (broken) throw new Error('the disk is away');
    return tileOf(level, index);
  });
  await assert.rejects(read(0, 1), /the disk is away/);
  broken = false;
  assert.deepEqual(await read(0, 1), leaves[1]);
});

for (const [name, tile] of [
  ['too short for its log', Buffer.alloc(32)],
  ['empty', Buffer.alloc(0)],
  ['not whole hashes', Buffer.alloc(100)],
  ['wider than 256 hashes', Buffer.alloc(257 * 32)],
] as const) {
  test(`a tile that is ${name} is corrupt`, async () => {
    await assert.rejects(nodesFromTiles(async () => tile)(0, 2), { code: 'corrupt' });
  });
}
