import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '@weir/shared/domain/digest.ts';
import { createLayerReader, LAYER_READER_LIMITS } from './layer-reader.ts';

const { blockBytes, blocks } = LAYER_READER_LIMITS;

function storeOf(bytes: Uint8Array) {
  const reads: number[] = [];
  return {
    reads,
    readLayer: (_digest: string, offset: number, limit: number) => {
      reads.push(offset);
      return Promise.resolve<Uint8Array | undefined>(bytes.subarray(offset, offset + limit));
    },
  };
}

test('spokes that fetch the same layer together cause one read of each block', async () => {
  const store = storeOf(new Uint8Array(blockBytes + 10).fill(7));
  const reader = createLayerReader(store);
  const digest = digestOf('x');
  await Promise.all(Array.from({ length: 50 }, () => reader.read(digest, 0, 64)));
  assert.deepEqual(store.reads, [0]);
  assert.equal((await reader.read(digest, blockBytes, 64)).byteLength, 10);
  assert.equal((await reader.read(digest, blockBytes + 10, 64)).byteLength, 0);
  assert.deepEqual(store.reads, [0, blockBytes]);
});

test('no more blocks are kept than the limit says', async () => {
  const store = storeOf(new Uint8Array((blocks + 1) * blockBytes));
  const reader = createLayerReader(store);
  for (let index = 0; index <= blocks; index += 1) await reader.read(digestOf('x'), index * blockBytes, 1);
  await reader.read(digestOf('x'), 0, 1);
  assert.equal(store.reads.filter((offset) => offset === 0).length, 2, 'the first block was let go');
});

test('a layer that is not there, and a read that failed, are not remembered', async () => {
  let answer: Uint8Array | undefined;
  const reader = createLayerReader({ readLayer: () => Promise.resolve(answer) });
  await assert.rejects(reader.read(digestOf('x'), 0, 1), { code: 'not_found' });
  answer = Uint8Array.of(1);
  assert.deepEqual(await reader.read(digestOf('x'), 0, 1), answer);
});
