// Ingest when the database or the hub is in trouble: every durable write done, lost, and done but reported lost; rows that are
// there already, rows that somebody changed; and no more memory than was agreed.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { UploadAnswer } from '@weir/shared/wire/audit.ts';
import { sizeInMemory } from '@weir/hub/audit/held-batches.ts';
import type { AuditStore } from '@weir/hub/store/audit-store.ts';
import { testPostgres } from '../hub/database.ts';
import { type HubLedger, hubLedger, senderOf, storedRows } from './hub-ledger.ts';
import { servedDraft } from './sample-rows.ts';
import { type SigningLog, type SigningSpoke, signingSpoke } from './signing-spoke.ts';

const server = testPostgres();

async function opened(
  rows: number,
): Promise<{ readonly hub: HubLedger; readonly spoke: SigningSpoke; readonly log: SigningLog }> {
  const { pool } = await server.migratedPool();
  const spoke = signingSpoke();
  const hub = hubLedger(pool, [spoke]);
  const log = spoke.log();
  log.add(rows);
  await hub.open(log);
  return { hub, spoke, log };
}

function said(answer: UploadAnswer): string {
  return answer.kind === 'nack' ? answer.code : `ack ${answer.nextIndex}`;
}

test('a commit that failed is tried again; one that was made although it was reported lost is not made twice', async () => {
  for (const ending of ['before', 'after'] as const) {
    const { hub, log } = await opened(20);
    let failures = 0;
    const unsure: AuditStore = {
      ...hub.store,
      async commitGroup(...args) {
        if (ending === 'after') await hub.store.commitGroup(...args);
        failures += 1;
        if (failures < 4) throw new WeirError('unavailable', 'the connection broke', { retry: 'later' });
        if (ending === 'before') await hub.store.commitGroup(...args);
      },
    };
    const ingest = hub.replica({ store: unsure });
    const answer = await ingest.take(senderOf(log), await log.batch(0));
    assert.ok(answer.kind === 'ack' && hub.receipted(log, answer.receipt) === 20, said(answer));
    assert.equal(failures, 4);
    assert.deepEqual(await storedRows(hub.store, log.id), log.rows);
  }
});

test('a database that stays away is told as unavailable, and the same batch is taken later', async () => {
  const { hub, log } = await opened(4);
  await hub.pool.query('ALTER TABLE audit_rows RENAME TO audit_rows_away');
  const answer = await hub.upload(log, 0);
  assert.ok(answer.kind === 'nack' && answer.code === 'unavailable' && answer.retryAfterMs > 0);
  await hub.pool.query('ALTER TABLE audit_rows_away RENAME TO audit_rows');
  assert.equal((await hub.store.head(log.id))?.nextIndex, 0);
  assert.equal(said(await hub.upload(log, 0)), 'ack 4');
});

test('every connection cut in the middle of commits: each row once, every batch answered', async () => {
  const { hub, spoke } = await opened(0);
  const logs = ['a', 'b', 'c', 'd'].map((epoch) => spoke.log({ epoch }));
  for (const log of logs) {
    await hub.open(log);
    log.add(600);
  }
  const done = new AbortController();
  const cutting = (async () => {
    while (!done.signal.aborted) {
      await hub.pool
        .query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'COPY%'`,
        )
        .catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  await Promise.all(
    logs.map(async (log) => {
      for (let from = 0; from < 600; ) {
        const answer = await hub.upload(log, from, from + 40);
        assert.match(said(answer), /^(ack|unavailable)/);
        if (answer.kind === 'ack') from = answer.nextIndex;
      }
    }),
  );
  done.abort();
  await cutting;
  for (const log of logs) assert.deepEqual(await storedRows(hub.store, log.id), log.rows);
});

test('one log that the database refuses does not hold up the others of its commit', async () => {
  const { hub, spoke } = await opened(0);
  const logs = ['a', 'b', 'c'].map((epoch) => spoke.log({ epoch }));
  for (const log of logs) {
    await hub.open(log);
    log.add(5);
  }
  const [bad] = logs;
  await hub.pool.query(`ALTER TABLE audit_rows ADD CONSTRAINT refused CHECK (log <> '${bad?.id ?? ''}') NOT VALID`);
  const ingest = hub.replica({ limits: { lanes: 1 } });
  const answers = await Promise.all(logs.map(async (log) => ingest.take(spoke, await log.batch(0))));
  assert.deepEqual(answers.map(said), ['unavailable', 'ack 5', 'ack 5']);
});

test('rows that lie beyond the stored end already are kept when they are the same, and a fork when not', async () => {
  const { hub, spoke, log } = await opened(12);
  assert.equal(said(await hub.upload(log, 0, 4)), 'ack 4');
  const early = await hub.store.head(log.id);
  assert.equal(said(await hub.upload(log, 4, 8)), 'ack 8');
  // The head of an earlier moment over later rows: what a careless restore leaves behind.
  const rewind = async (id: string): Promise<void> => {
    await hub.pool.query(
      'UPDATE audit_logs SET next_index = $2, edge = $3, checkpoint = $4, receipt = $5 WHERE log = $1',
      [id, early?.nextIndex, early?.edge, early?.checkpoint, early?.receipt],
    );
  };
  await rewind(log.id);
  const other = spoke.log({ epoch: 'e2' });
  await hub.open(other);
  other.add(3);
  const ingest = hub.replica({ limits: { lanes: 1 } });
  const answers = await Promise.all([
    ingest.take(spoke, await log.batch(4, 12)),
    ingest.take(spoke, await other.batch(0)),
  ]);
  assert.deepEqual(answers.map(said), ['ack 12', 'ack 3']);
  assert.deepEqual(await storedRows(hub.store, log.id), log.rows);

  await rewind(log.id);
  const row = log.row(6);
  await hub.pool.query('UPDATE audit_rows SET row = $2 WHERE log = $1 AND index = 6', [log.id, row]);
  assert.equal(said(await hub.upload(log, 4, 12)), 'fork');
  assert.deepEqual(await hub.openAlarms(log), ['fork']);
});

test('a log that somebody else holds is told to come again, and does not hold up the others of its commit', async () => {
  const { hub, spoke, log } = await opened(4);
  const others = ['w1', 'w2'].map((worker) => spoke.log({ worker }));
  for (const other of others) {
    other.add(4);
    await hub.open(other);
  }
  const holder = await hub.pool.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT 1 FROM audit_logs WHERE log = $1 FOR UPDATE', [log.id]);
  // The first commit takes one batch; it waits until the others have come, which make the second.
  const groups: (readonly string[])[] = [];
  const { promise: come, resolve: go } = Promise.withResolvers<void>();
  const gated: AuditStore = {
    ...hub.store,
    async commitGroup(ids, ...args) {
      groups.push(ids);
      await come;
      await hub.store.commitGroup(ids, ...args);
    },
  };
  const one = hub.replica({ store: gated, limits: { lanes: 1, attempts: 3 } });
  const [first = log, last = log] = others;
  const [ahead, ...behind] = await Promise.all([first, log, last].map((each) => each.batch(0)));
  assert.ok(ahead !== undefined);
  const answers = [one.take(spoke, ahead)];
  while (groups.length === 0) await sleep(5);
  answers.push(...behind.map((batch) => one.take(spoke, batch)));
  await sleep(500);
  go();
  const heard = (await Promise.all(answers)).map(said);
  await holder.query('ROLLBACK');
  holder.release();
  assert.deepEqual(heard, ['ack 4', 'unavailable', 'ack 4']);
  assert.deepEqual(groups.slice(0, 3), [[first.id], [log.id, last.id], [last.id]]);
  assert.equal(said(await hub.upload(log, 0)), 'ack 4');
});

test('rows that wait while their month is taken out of the default partition are stored all the same', async () => {
  const { hub, log } = await opened(0);
  const time = '2031-03-05T00:00:00.000Z';
  log.add(3, () => servedDraft({ time }));
  const maker = await hub.pool.connect();
  await maker.query('BEGIN');
  await maker.query('CREATE TABLE audit_rows_203103 (LIKE audit_rows INCLUDING ALL)');
  await maker.query('LOCK TABLE audit_rows_default IN ACCESS EXCLUSIVE MODE');
  await maker.query(
    "ALTER TABLE audit_rows ATTACH PARTITION audit_rows_203103 FOR VALUES FROM ('2031-03-01Z') TO ('2031-04-01Z')",
  );
  const answer = hub.upload(log, 0);
  for (;;) {
    const { rows } = await hub.pool.query('SELECT 1 FROM pg_locks WHERE NOT granted');
    if (rows.length > 0) break;
    await sleep(20);
  }
  await maker.query('COMMIT');
  maker.release();
  assert.equal(said(await answer), 'ack 3');
  const { rows } = await hub.pool.query<{ count: number }>('SELECT count(*)::int AS count FROM audit_rows_203103');
  assert.equal(rows[0]?.count, 3);
});

test('a stored row that somebody changed is noticed when the spoke sends it again', async () => {
  const { hub, log } = await opened(6);
  await hub.upload(log, 0);
  await hub.pool.query("UPDATE audit_rows SET leaf = sha256('x') WHERE log = $1 AND index = 3", [log.id]);
  assert.equal(said(await hub.upload(log, 2, 5)), 'fork');
});

test('an overloaded hub says so instead of keeping more than was agreed', async () => {
  const { hub, spoke, log } = await opened(400);
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  let most = 0;
  let kept = 0;
  const slow: AuditStore = {
    ...hub.store,
    async commitGroup(...args) {
      await held;
      await hub.store.commitGroup(...args);
    },
  };
  const batches = await Promise.all(Array.from({ length: 20 }, (_, n) => log.batch(20 * n, 20 * n + 20)));
  const bytes = Math.max(...batches.map(sizeInMemory));
  const ingest = hub.replica({
    store: slow,
    // One spoke holds as much as is still free.
    limits: { heldBytes: 9.5 * bytes, heldBatches: 100 },
    metrics: {
      count: () => undefined,
      observe: () => undefined,
      gauge(name, value) {
        if (name !== 'weir_hub_audit_held_bytes') return;
        most = Math.max(most, value);
        kept = value;
      },
    },
  });
  const answers = batches.map((batch) => ingest.take(spoke, batch));
  const late = await Promise.all(answers.slice(5));
  assert.ok(late.every((answer) => answer.kind === 'nack' && answer.code === 'overloaded' && answer.retryAfterMs > 0));
  assert.ok(most <= 5 * bytes, String(most));
  release();
  const first = await Promise.all(answers.slice(0, 5));
  assert.ok(first.every(({ kind }) => kind === 'ack'));
  assert.equal(kept, 0);
  assert.equal(said(await hub.upload(log, 100, 300)), 'ack 300');
});

test('what is refused is kept only up to a bound, and the alarm tells it all the same', async () => {
  const { hub, spoke } = await opened(0);
  const big = randomBytes(3 << 20);
  for (let n = 0; n < 25; n += 1) {
    const log = spoke.log({ epoch: `q${n}` });
    await hub.open(log);
    log.add(1);
    const batch = await log.batch(0);
    const answer = await hub.ingest.take(spoke, { ...batch, rows: [big, big] });
    assert.equal(said(answer), 'too_large');
    assert.deepEqual(await hub.openAlarms(log), ['poisoned']);
  }
  const { rows } = await hub.pool.query<{ batches: number; largest: number; all: number }>(
    `SELECT count(*) AS batches, max(length(rows[1]))::bigint AS largest, coalesce(sum(length(rows[1])), 0)::bigint AS "all"
     FROM audit_quarantine`,
  );
  assert.equal(rows[0]?.batches, 25);
  assert.equal(rows[0]?.largest, big.length);
  assert.ok((rows[0]?.all ?? Infinity) <= 64 << 20, JSON.stringify(rows[0]));
});
