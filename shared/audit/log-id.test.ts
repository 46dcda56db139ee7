import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashActor } from './hash-actor.ts';
import { formatLogId, parseLogId } from './log-id.ts';

test('a log id reads back as its parts', () => {
  const id = { unit: 'payments', spoke: 'edge-1', worker: 'w0', epoch: '0192f0c12d3e' };
  assert.deepEqual(parseLogId(formatLogId(id)), id);
});

for (const text of [
  '',
  'a.b.c',
  'a.b.c.d.e',
  'A.b.c.d',
  'a..c.d',
  'a.-b.c.d',
  'a.b.c.D',
  'a.b.c/../d.e',
  `a.b.c.${'1'.repeat(200)}`,
]) {
  test(`"${text.slice(0, 20)}" is no log id`, () => assert.equal(parseLogId(text), undefined));
}

test('a principal is hashed under the unit salt', () => {
  const salt = Buffer.alloc(32, 1);
  assert.match(hashActor(salt, 'jane'), /^h:[0-9a-f]{32}$/);
  assert.equal(hashActor(salt, 'jane'), hashActor(salt, 'jane'));
  assert.notEqual(hashActor(salt, 'jane'), hashActor(salt, 'joan'));
  assert.notEqual(hashActor(salt, 'jane'), hashActor(Buffer.alloc(32, 2), 'jane'));
});
