import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inOrder } from './in-order.ts';

async function* counting(until: number, read: (item: number) => void): AsyncGenerator<number> {
  for (let item = 0; item < until; item += 1) {
    read(item);
    yield item;
    await Promise.resolve();
  }
}

async function* twoThenSilence(): AsyncGenerator<number> {
  yield 1;
  yield 2;
  await new Promise(() => undefined);
}

async function all<Item>(items: AsyncIterable<Item>): Promise<readonly Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

test('answers come in the order of the items, however long each takes', async () => {
  const answers = inOrder(
    counting(50, () => undefined),
    8,
    async (item) => {
      for (let n = 0; n < (item * 7) % 11; n += 1) await Promise.resolve();
      return item;
    },
  );
  assert.deepEqual(
    await all(answers),
    Array.from({ length: 50 }, (_, n) => n),
  );
  const none = inOrder(
    counting(0, () => undefined),
    4,
    async (item) => item,
  );
  assert.deepEqual(await all(none), []);
});

test('no more is read than the window allows while the first answer is due', async () => {
  let read = 0;
  const first = Promise.withResolvers<number>();
  const answers = inOrder(
    counting(100, () => {
      read += 1;
    }),
    4,
    (item) => (item === 0 ? first.promise : Promise.resolve(item)),
  );
  const next = answers.next();
  for (let n = 0; n < 50; n += 1) await Promise.resolve();
  assert.equal(read, 4);
  first.resolve(0);
  assert.deepEqual(await next, { done: false, value: 0 });
  await answers.return(undefined);
});

test('a failure is told in its turn, and ends the stream without waiting for another item', async () => {
  const told: number[] = [];
  await assert.rejects(
    async () => {
      const answers = inOrder(twoThenSilence(), 4, (item) =>
        item === 2 ? Promise.reject(new Error('no')) : Promise.resolve(item),
      );
      for await (const answer of answers) told.push(answer);
    },
    { message: 'no' },
  );
  assert.deepEqual(told, [1]);
});
