// The hub's rules for what spokes upload, with a real spoke-side signer and a real PostgreSQL: what is stored and receipted,
// what is told to come again, and what closes a log with an alarm.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testPostgres } from '../hub/database.ts';
import { type HubLedger, hubLedger, senderOf, storedRows } from './hub-ledger.ts';
import { type SigningLog, signingSpoke } from './signing-spoke.ts';

const server = testPostgres();

async function opened(rows = 0): Promise<{ readonly hub: HubLedger; readonly log: SigningLog }> {
  const { pool } = await server.migratedPool();
  const spoke = signingSpoke();
  const hub = hubLedger(pool, [spoke]);
  const log = spoke.log();
  if (rows > 0) log.add(rows);
  await hub.open(log);
  return { hub, log };
}

test('rows are stored byte for byte and receipted, and again do nothing', async () => {
  const { hub, log } = await opened();
  log.add(10);
  for (let n = 0; n < 2; n += 1) {
    const answer = await hub.upload(log, 0);
    assert.ok(answer.kind === 'ack', JSON.stringify(answer));
    assert.equal(answer.nextIndex, 10);
    assert.equal(hub.receipted(log, answer.receipt), 10);
  }
  // Overlapping: seven known rows and five new ones.
  log.add(5);
  const answer = await hub.upload(log, 3);
  assert.ok(answer.kind === 'ack');
  assert.equal(hub.receipted(log, answer.receipt), 15);
  assert.deepEqual(await storedRows(hub.store, log.id), log.rows);
  const position = await hub.open(log);
  assert.deepEqual([position.nextIndex, position.state, position.reason], [15, 'open', '']);
  assert.equal(hub.receipted(log, position.receipt), 15);
  assert.deepEqual(await hub.openAlarms(log), []);
});

test('a gap is told where to resume, and nothing of it is stored', async () => {
  const { hub, log } = await opened(6);
  await hub.upload(log, 0, 3);
  const answer = await hub.upload(log, 4);
  assert.ok(answer.kind === 'nack');
  assert.deepEqual([answer.code, answer.nextIndex], ['gap', 3]);
  assert.equal((await storedRows(hub.store, log.id)).length, 3);
  assert.equal((await hub.upload(log, 3)).kind, 'ack');
  assert.deepEqual(senderOf(log), { unit: 'payments', spoke: 'edge-1' });
});
