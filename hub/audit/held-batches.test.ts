import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHeldBatches, sizeInMemory } from './held-batches.ts';

const metrics = { gauge: () => undefined };

test('one owner holds at most half of the bytes, and the next one half of what is left', () => {
  const held = createHeldBatches({ heldBatches: 1_000, heldBytes: 100 }, metrics);
  const taken = (owner: string): number => {
    let count = 0;
    while (held.take(owner, 1) !== undefined) count += 1;
    return count;
  };
  assert.deepEqual(['a', 'b', 'c', 'd'].map(taken), [50, 25, 13, 6]);
  assert.notEqual(held.take('e', 1), undefined);
});

test('the number of batches is shared out the same way', () => {
  const held = createHeldBatches({ heldBatches: 4, heldBytes: 1_000 }, metrics);
  assert.deepEqual(
    ['a', 'a', 'a', 'b', 'b'].map((owner) => held.take(owner, 1) !== undefined),
    [true, true, false, true, false],
  );
});

test('what is given back is free again, for its owner too', () => {
  const held = createHeldBatches({ heldBatches: 100, heldBytes: 10 }, metrics);
  const back = held.take('a', 5);
  assert.equal(held.take('a', 1), undefined);
  back?.();
  assert.notEqual(held.take('a', 5), undefined);
});

test('empty rows take room', () => {
  const nothing = new Uint8Array();
  const rows = Array.from({ length: 1_000 }, () => nothing);
  assert.ok(sizeInMemory({ rows, checkpoint: nothing, proof: [] }) > 100_000);
});
