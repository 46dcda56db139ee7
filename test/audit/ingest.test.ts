// The hub's rules for what spokes upload, with a real spoke-side signer and a real PostgreSQL: what is stored and receipted,
// what is told to come again, and what closes a log with an alarm.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { signCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { logOrigin } from '@weir/shared/audit/tlog/names.ts';
import { createNoteSigner } from '@weir/shared/audit/tlog/note.ts';
import type { NackCode, RowBatch, UploadAnswer } from '@weir/shared/wire/audit.ts';
import { testPostgres } from '../hub/database.ts';
import { type HubLedger, hubLedger, senderOf, storedRows } from './hub-ledger.ts';
import { refusedDraft, servedDraft } from './sample-rows.ts';
import { type SigningLog, signingSpoke, WORKSPACE } from './signing-spoke.ts';

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
});

// One database for the tests that leave each other alone; each has a log of its own, opened with ten rows.
let sharedHub: Promise<{ readonly hub: HubLedger; readonly spoke: ReturnType<typeof signingSpoke> }> | undefined;
let epochs = 0;
async function shared(): Promise<{ readonly hub: HubLedger; readonly log: SigningLog }> {
  sharedHub ??= (async () => {
    const { pool } = await server.migratedPool();
    const spoke = signingSpoke();
    return { hub: hubLedger(pool, [spoke]), spoke };
  })();
  const { hub, spoke } = await sharedHub;
  epochs += 1;
  const log = spoke.log({ epoch: `e${epochs}` });
  log.add(10);
  await hub.open(log);
  return { hub, log };
}

function refusal(answer: UploadAnswer): string {
  return answer.kind === 'nack' ? `${answer.code} ${answer.detail}`.trim() : 'ack';
}

test('batches of one stream that arrive together are stored in order and receipted together', async () => {
  const { hub, log } = await opened();
  log.add(400);
  const batches = await Promise.all(Array.from({ length: 20 }, (_, n) => log.batch(20 * n, 20 * (n + 1))));
  const answers = await Promise.all(batches.map((batch) => hub.ingest.take(senderOf(log), batch)));
  assert.ok(answers.every(({ kind }) => kind === 'ack'));
  const last = answers.at(-1);
  assert.ok(last?.kind === 'ack');
  assert.equal(hub.receipted(log, last.receipt), 400);
  assert.deepEqual(await storedRows(hub.store, log.id), log.rows);
});

test('replicas that get overlapping batches of several logs at once store each row once', async () => {
  const { pool } = await server.migratedPool();
  const spoke = signingSpoke();
  const hub = hubLedger(pool, [spoke]);
  const replicas = [hub.ingest, hub.replica(), hub.replica()];
  const logs = ['a', 'b', 'c', 'd'].map((epoch) => spoke.log({ epoch }));
  for (const log of logs) {
    await hub.open(log);
    log.add(200);
  }
  await Promise.all(
    replicas.flatMap((ingest, n) =>
      logs.map(async (log) => {
        for (let at = 0; at < 200; at += 25) {
          const from = Math.max(0, at - n * 7);
          const answer = await ingest.take(spoke, await log.batch(from, at + 25));
          // Whoever is ahead of the slowest may be told of a gap; that one then closes it.
          assert.match(refusal(answer), /^(ack|gap)/);
        }
        const answer = await ingest.take(spoke, await log.batch(0, 200));
        assert.ok(answer.kind === 'ack' && hub.receipted(log, answer.receipt) === 200);
      }),
    ),
  );
  for (const log of logs) {
    assert.deepEqual(await storedRows(hub.store, log.id), log.rows);
    assert.deepEqual(await hub.openAlarms(log), []);
  }
});

// What closes a log: each gets a log with ten rows, five of them stored, and offers something for the rest.
interface Offence {
  readonly name: string;
  readonly offer: (log: SigningLog) => Promise<RowBatch>;
  readonly code: NackCode;
  readonly alarm: 'poisoned' | 'fork';
}

/** The batch with other rows, correctly signed for them. */
async function withRows(log: SigningLog, ...rows: readonly Buffer[]): Promise<RowBatch> {
  log.rows.splice(5, Number.POSITIVE_INFINITY, ...rows);
  return log.batch(5);
}

function respelled(log: SigningLog, from: string, to: string): Buffer {
  const text = log.row(5).toString();
  assert.ok(text.includes(from));
  return Buffer.from(text.replace(from, to));
}

const foreignKey = generateKeyPairSync('ed25519').privateKey;
const offences: readonly Offence[] = [
  {
    name: 'no rows',
    offer: async (log) => ({ ...(await log.batch(5)), rows: [] }),
    code: 'malformed',
    alarm: 'poisoned',
  },
  {
    name: 'a row that is not JSON',
    offer: (log) => withRows(log, Buffer.from('{')),
    code: 'malformed',
    alarm: 'poisoned',
  },
  {
    name: 'a row of another version',
    offer: (log) => withRows(log, respelled(log, '"v":1}', '"v":2}')),
    code: 'malformed',
    alarm: 'poisoned',
  },
  { name: 'an index out of order', offer: (log) => withRows(log, log.row(6)), code: 'malformed', alarm: 'poisoned' },
  {
    name: 'another spelling',
    offer: (log) => withRows(log, respelled(log, '{"action"', '{ "action"')),
    code: 'not_canonical',
    alarm: 'poisoned',
  },
  {
    name: 'a duplicate key',
    offer: (log) => withRows(log, respelled(log, '"status":200', '"status":200,"status":200')),
    code: 'not_canonical',
    alarm: 'poisoned',
  },
  {
    name: 'a level that its rules do not explain',
    offer: (log) => withRows(log, log.row(5, { ...refusedDraft(), rules: [] })),
    code: 'unsound',
    alarm: 'poisoned',
  },
  {
    name: 'a row of 17 KB',
    offer: (log) => withRows(log, Buffer.alloc(17 << 10, 0x20)),
    code: 'too_large',
    alarm: 'poisoned',
  },
  {
    name: 'too many rows',
    offer: (log) => withRows(log, ...Array.from({ length: 257 }, (_, n) => log.row(5 + n))),
    code: 'too_large',
    alarm: 'poisoned',
  },
  {
    name: 'a row that names another unit',
    offer: (log) => withRows(log, log.row(5, servedDraft(), { unit: 'research' })),
    code: 'wrong_identity',
    alarm: 'poisoned',
  },
  {
    name: 'a row that names another spoke',
    offer: (log) => withRows(log, log.row(5, servedDraft(), { spoke: 'edge-2' })),
    code: 'wrong_identity',
    alarm: 'poisoned',
  },
  {
    name: 'a row that names another log',
    offer: (log) => withRows(log, log.row(5, servedDraft(), { log: 'payments.edge-1.w1.e1' })),
    code: 'wrong_identity',
    alarm: 'poisoned',
  },
  {
    name: 'no signature',
    offer: async (log) => ({ ...(await log.batch(5)), checkpoint: Buffer.alloc(0) }),
    code: 'bad_signature',
    alarm: 'poisoned',
  },
  {
    name: "the signature of another key in the log's name",
    async offer(log) {
      const origin = logOrigin(WORKSPACE, log.id);
      const checkpoint = signCheckpoint({ origin, size: 10, root: log.root() }, createNoteSigner(origin, foreignKey));
      return { ...(await log.batch(5)), checkpoint };
    },
    code: 'bad_signature',
    alarm: 'poisoned',
  },
  {
    name: 'a flipped bit in the signature',
    async offer(log) {
      const batch = await log.batch(5);
      const checkpoint = Buffer.from(batch.checkpoint);
      const at = checkpoint.length - 20;
      checkpoint.write(checkpoint.toString('latin1', at, at + 1) === 'A' ? 'B' : 'A', at);
      return { ...batch, checkpoint };
    },
    code: 'bad_signature',
    alarm: 'poisoned',
  },
  {
    name: "a checkpoint with a line in the hub's name",
    async offer(log) {
      const batch = await log.batch(5);
      const line = batch.checkpoint.toString().split('\n').at(-2) ?? '';
      return {
        ...batch,
        checkpoint: Buffer.concat([batch.checkpoint, Buffer.from(`${line.replace('audit.', 'hub.')}\n`)]),
      };
    },
    code: 'bad_signature',
    alarm: 'poisoned',
  },
  {
    name: 'a checkpoint of another log under the same key',
    async offer(log) {
      const other = signCheckpoint(
        { origin: 'audit.elsewhere.weir/x', size: 10, root: log.root() },
        createNoteSigner('audit.elsewhere.weir/x', foreignKey),
      );
      return { ...(await log.batch(5)), checkpoint: other };
    },
    code: 'bad_signature',
    alarm: 'poisoned',
  },
  {
    name: 'a checkpoint for another size',
    offer: async (log) => ({ ...(await log.batch(5)), checkpoint: log.checkpoint(9) }),
    code: 'malformed',
    alarm: 'poisoned',
  },
  {
    name: 'a proof with a short hash',
    offer: async (log) => ({ ...(await log.batch(5)), proof: [Buffer.alloc(31)] }),
    code: 'malformed',
    alarm: 'poisoned',
  },
  {
    name: 'a proof without end',
    offer: async (log) => ({ ...(await log.batch(5)), proof: Array.from({ length: 65 }, () => Buffer.alloc(32)) }),
    code: 'malformed',
    alarm: 'poisoned',
  },
  {
    name: 'a proof that does not hold',
    offer: async (log) => ({ ...(await log.batch(5)), proof: [] }),
    code: 'inconsistent',
    alarm: 'poisoned',
  },
  {
    name: 'rows that are not those that were signed',
    offer: async (log) => ({ ...(await log.batch(5)), rows: Array.from({ length: 5 }, (_, n) => log.row(5 + n)) }),
    code: 'inconsistent',
    alarm: 'poisoned',
  },
  { name: 'another history that goes on', offer: (log) => log.forked(2).batch(5), code: 'fork', alarm: 'fork' },
  { name: 'other bytes for stored rows', offer: (log) => log.forked(2).batch(0, 5), code: 'fork', alarm: 'fork' },
  { name: 'other bytes for the last stored row', offer: (log) => log.forked(4).batch(4), code: 'fork', alarm: 'fork' },
  {
    name: 'the stored rows under another root',
    async offer(log) {
      const { checkpoint } = await log.forked(2).batch(3, 5);
      return { ...(await log.batch(3, 5)), checkpoint };
    },
    code: 'fork',
    alarm: 'fork',
  },
];

for (const { name, offer, code, alarm } of offences) {
  test(`${name}: refused as ${code}, the log is closed, the evidence kept, and other logs flow on`, async () => {
    const { hub, log } = await shared();
    const held = log.checkpoint(5);
    const { log: neighbour } = await shared();
    assert.equal((await hub.upload(log, 0, 5)).kind, 'ack');
    const batch = await offer(log);
    const [answer, after, other] = await Promise.all([
      hub.ingest.take(senderOf(log), batch),
      hub.ingest.take(senderOf(log), batch),
      hub.upload(neighbour, 0),
    ]);
    assert.equal(answer.kind === 'nack' && answer.code, code, refusal(answer));
    assert.equal(refusal(after), `closed ${alarm}`);
    assert.equal(other.kind, 'ack', refusal(other));
    assert.equal((await storedRows(hub.store, log.id)).length, 5);

    const { alarms } = await hub.alarms.list({ log: log.id, openOnly: true }, { size: 10, cursor: '' });
    assert.deepEqual(
      alarms.map((each) => [each.kind, each.unit, each.spoke]),
      [[alarm, 'payments', 'edge-1']],
    );
    assert.deepEqual(alarms[0]?.held, held);
    assert.deepEqual(Buffer.from(alarms[0]?.offered ?? []), Buffer.from(batch.checkpoint));
    const [kept] = await hub.alarms.quarantined(log.id);
    assert.deepEqual([kept?.code, kept?.firstIndex], [code, batch.firstIndex]);
    assert.deepEqual(
      kept?.rows.map((row) => Buffer.from(row)),
      batch.rows,
    );
    const position = await hub.open(log);
    assert.deepEqual([position.nextIndex, position.state, position.reason], [5, 'closed', alarm]);
  });
}

test("a batch for somebody else's log, or for one that was never opened, changes nothing", async () => {
  const { hub, log } = await opened(3);
  const batch = await log.batch(0);
  for (const from of [
    { unit: 'research', spoke: 'edge-1' },
    { unit: 'payments', spoke: 'edge-2' },
  ]) {
    assert.match(refusal(await hub.ingest.take(from, batch)), /^wrong_identity/);
    await assert.rejects(hub.ingest.open(from, log.opening(), new AbortController().signal), { code: 'forbidden' });
  }
  const never = signingSpoke().log({ epoch: 'e9' });
  never.add(1);
  assert.match(refusal(await hub.upload(never, 0)), /^unknown_key/);
  assert.match(
    refusal(await hub.ingest.take(senderOf(log), { ...batch, log: "'; drop table audit_rows; --" })),
    /^wrong_identity/,
  );
  assert.equal((await hub.upload(log, 0)).kind, 'ack');
  assert.deepEqual(await hub.openAlarms(log), []);
});
