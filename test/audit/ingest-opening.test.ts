// What happens when a spoke opens a log: who may, with which key, and what is found when both sides compare what they hold.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { pastRoot } from '@weir/hub/audit/past-root.ts';
import { makeTiles } from '@weir/hub/audit/tile-job.ts';
import { createTileStore } from '@weir/hub/store/postgres/tile-store.ts';
import { cosignCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { bindLogKey } from '@weir/shared/audit/tlog/log-binding.ts';
import { quiet, testPostgres } from '../hub/database.ts';
import { uncounted } from './doubles.ts';
import { type HubLedger, hubLedger, newReceiptKey, senderOf, storedRows } from './hub-ledger.ts';
import { type SigningLog, type SigningSpoke, signingSpoke, WORKSPACE } from './signing-spoke.ts';

const server = testPostgres();
const signal = new AbortController().signal;

async function fresh(): Promise<{ readonly hub: HubLedger; readonly spoke: SigningSpoke; readonly log: SigningLog }> {
  const { pool } = await server.migratedPool();
  const spoke = signingSpoke();
  return { hub: hubLedger(pool, [spoke]), spoke, log: spoke.log() };
}

/** A log of ten rows that are all stored, and the newest receipt. */
async function stored(): Promise<Awaited<ReturnType<typeof fresh>> & { readonly receipt: Uint8Array }> {
  const parts = await fresh();
  await parts.hub.open(parts.log);
  parts.log.add(10);
  const answer = await parts.hub.upload(parts.log, 0);
  assert.ok(answer.kind === 'ack');
  return { ...parts, receipt: answer.receipt };
}

/** The log as a restored snapshot has it: its first rows, same key. */
function cutBack(log: SigningLog, size: number): SigningLog {
  const copy = log.forked(log.rows.length);
  copy.rows.length = size;
  return copy;
}

async function stateOf(hub: HubLedger, log: SigningLog): Promise<string> {
  const head = await hub.store.head(log.id);
  return `${head?.state ?? 'unknown'} ${head?.reason ?? ''} ${head?.nextIndex ?? 0}`;
}

test('a new log is admitted with its key, and opened again as it stands', async () => {
  const { hub, log, receipt } = await stored();
  const head = await hub.store.head(log.id);
  assert.equal(head?.vkey, log.signer.vkey);
  assert.deepEqual(head?.binding, log.opening().binding);
  // The spoke has written on meanwhile, and shows what it was given.
  log.add(3);
  const position = await hub.open(log, { receipt });
  assert.deepEqual([position.nextIndex, position.state, hub.receipted(log, position.receipt)], [10, 'open', 10]);
  assert.deepEqual(await hub.openAlarms(log), []);
});

test('a key that the enrolled key does not vouch for is refused, and nothing is admitted', async () => {
  const { hub, spoke, log } = await fresh();
  const stranger = generateKeyPairSync('ed25519').privateKey;
  const words = { workspace: WORKSPACE, unit: spoke.unit, spoke: spoke.spoke, log: log.id, vkey: log.signer.vkey };
  const bindings = [bindLogKey(words, stranger), spoke.log({ epoch: 'e2' }).opening().binding, Buffer.from('no note')];
  for (const binding of bindings) await assert.rejects(hub.open(log, { binding }), { code: 'untrusted' });
  const unknown = signingSpoke('payments', 'edge-9').log();
  await assert.rejects(hub.open(unknown), { code: 'forbidden' });
  assert.equal(await hub.store.head(log.id), undefined);
});

test('another key for a known log closes it', async () => {
  const { hub, spoke, log } = await stored();
  const impostor = spoke.log();
  const position = await hub.open(impostor);
  assert.deepEqual([position.state, position.reason], ['closed', 'poisoned']);
  assert.deepEqual(await hub.openAlarms(log), ['poisoned']);
  assert.equal((await storedRows(hub.store, log.id)).length, 10);
});

test('a log outlives the enrolment that it was bound under; a new log needs the new key', async () => {
  const { pool } = await server.migratedPool();
  const before = signingSpoke();
  const after = signingSpoke();
  const old = before.log();
  await hubLedger(pool, [before]).open(old);
  const hub = hubLedger(pool, [after]);
  old.add(2);
  assert.equal((await hub.open(old)).state, 'open');
  assert.equal((await hub.upload(old, 0)).kind, 'ack');
  await assert.rejects(hub.open(before.log({ epoch: 'e2' })), { code: 'untrusted' });
  assert.equal((await hub.open(after.log({ epoch: 'e3' }))).state, 'open');
});

test('a checkpoint that the log did not sign closes it', async () => {
  const { hub, spoke, log } = await stored();
  const other = spoke.log({ epoch: 'e2' });
  other.add(10);
  const position = await hub.open(log, { checkpoint: other.checkpoint() });
  assert.equal(`${position.state} ${position.reason}`, 'closed poisoned');
});

test('another root for as many rows is a fork, with both signed heads as evidence', async () => {
  for (const size of [10, 7]) {
    const { hub, log, receipt } = await stored();
    const forked = cutBack(log.forked(4), size);
    const position = await hub.open(forked);
    assert.deepEqual([position.nextIndex, position.state, position.reason], [10, 'closed', 'fork']);
    const { alarms } = await hub.alarms.list({ openOnly: true }, { size: 5, cursor: '' });
    assert.equal(alarms[0]?.kind, 'fork');
    assert.deepEqual(Buffer.from(alarms[0]?.held ?? []), Buffer.from(receipt));
    assert.deepEqual(alarms[0]?.offered, forked.checkpoint());
    // Nothing is merged: neither history goes on.
    log.add(1);
    const answer = await hub.upload(log, 10);
    assert.ok(answer.kind === 'nack' && answer.code === 'closed' && answer.detail === 'fork');
    assert.equal(await stateOf(hub, log), 'closed fork 10');
  }
});

test('the root of any earlier size is known, with tiles and without', async () => {
  const { hub, log } = await fresh();
  await hub.open(log);
  log.add(700);
  for (let from = 0; from < 700; from += 100) await hub.upload(log, from, from + 100);
  const tiles = createTileStore(hub.pool);
  const sizes = [0, 1, 2, 255, 256, 257, 511, 512, 513, 699, 700];
  for (const made of [false, true]) {
    if (made) await makeTiles({ store: hub.store, tiles, logger: quiet, metrics: uncounted }, signal);
    for (const size of sizes) {
      assert.deepEqual(await pastRoot({ store: hub.store, tiles }, log.id, size), log.root(size), `${made} ${size}`);
    }
  }
  await assert.rejects(pastRoot({ store: hub.store, tiles }, log.id, 701), { code: 'not_found' });
});

test('a log that went back to an earlier state is a rollback', async () => {
  for (const size of [0, 6]) {
    const { hub, log } = await stored();
    const position = await hub.open(cutBack(log, size));
    assert.deepEqual([position.state, position.reason], ['closed', 'rollback']);
    assert.deepEqual(await hub.openAlarms(log), ['rollback']);
  }
});

test('a hub that lost receipted rows says so, keeps the receipt, and is fed again', async () => {
  const { hub, log, receipt } = await stored();
  // Yesterday's backup: first with half of the rows, then without the log.
  const half = await log.batch(0, 5);
  for (const restored of [5, 0]) {
    await hub.pool.query('TRUNCATE audit_rows, audit_logs, audit_alarms');
    // Another process of the hub: it remembers nothing.
    const ingest = hub.replica();
    if (restored > 0) {
      await ingest.open(senderOf(log), log.opening(), signal);
      assert.equal((await ingest.take(senderOf(log), half)).kind, 'ack');
    }
    const position = await ingest.open(senderOf(log), log.opening({ receipt }), signal);
    assert.deepEqual([position.nextIndex, position.state], [restored, 'open']);
    const { alarms } = await hub.alarms.list({ openOnly: true }, { size: 5, cursor: '' });
    assert.deepEqual(
      alarms.map(({ kind }) => kind),
      ['rows_lost'],
    );
    assert.deepEqual(Buffer.from(alarms[0]?.offered ?? []), Buffer.from(receipt));
    assert.equal((await ingest.take(senderOf(log), await log.batch(restored))).kind, 'ack');
    assert.deepEqual(await storedRows(hub.store, log.id), log.rows);
  }
});

test('a receipt of another hub proves nothing; one for another root of stored rows is a fork', async () => {
  const { hub, log } = await stored();
  const foreign = cosignCheckpoint(log.checkpoint(), newReceiptKey(), 1);
  log.add(5);
  const beyond = cosignCheckpoint(log.checkpoint(), newReceiptKey(), 1);
  for (const receipt of [foreign, beyond, Buffer.from('x')]) {
    assert.equal((await hub.open(log, { receipt })).state, 'open');
  }
  assert.deepEqual(await hub.openAlarms(log), []);
  const other = cosignCheckpoint(log.forked(3).checkpoint(8), hub.receiptKey, 1);
  assert.equal((await hub.open(log, { receipt: other })).reason, 'fork');
});

test('a hub with a new receipt key receipts again what it holds', async () => {
  const { hub, spoke, log } = await stored();
  const renewed = hubLedger(hub.pool, [spoke]);
  const position = await renewed.open(log);
  assert.equal(renewed.receipted(log, position.receipt), 10);
  const again = await renewed.upload(log, 2);
  assert.ok(again.kind === 'ack');
  assert.equal(renewed.receipted(log, again.receipt), 10);
});

test('a process that comes back after another one followed it is a copy: its shared log is closed, its own ones are not', async () => {
  const { hub, spoke, log } = await stored();
  assert.equal((await hub.open(log, { instance: 'i2' })).state, 'open');
  const other = spoke.log({ worker: 'w1' });
  assert.equal((await hub.open(other, { instance: 'i1' })).state, 'open', 'each worker has processes of its own');
  const position = await hub.open(log, { instance: 'i1' });
  assert.deepEqual([position.state, position.reason], ['closed', 'fork']);
  assert.deepEqual(await hub.openAlarms(log), ['cloned_identity']);
  // Both go on with logs of their own, however often they come back.
  const own = ['i1', 'i2'].map((instance) => ({ instance, its: spoke.log({ epoch: instance }) }));
  for (let n = 0; n < 3; n += 1) {
    for (const { instance, its } of own) assert.equal((await hub.open(its, { instance })).state, 'open');
  }
});

test('a caller that has gone is not judged', async () => {
  const { hub, log } = await stored();
  const gone = AbortSignal.abort(new Error('gone'));
  await assert.rejects(hub.ingest.open(senderOf(log), cutBack(log, 3).opening(), gone), { message: 'gone' });
  assert.equal(await stateOf(hub, log), 'open  10');
});

test('two spokes that open one new log at once agree on its key', async () => {
  const { hub, log } = await fresh();
  const positions = await Promise.all(Array.from({ length: 8 }, () => hub.open(log)));
  assert.ok(positions.every(({ state }) => state === 'open'));
});
