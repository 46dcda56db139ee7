// The hub's ledger on a real PostgreSQL: what is stored, what is refused, and how it is found again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Ingest, createIngest } from '@weir/hub/audit/ingest.ts';
import { tailRows } from '@weir/hub/audit/tail.ts';
import { systemClock } from '@weir/hub/io/system-clock.ts';
import { auditQueryService } from '@weir/hub/rpc/audit-query-service.ts';
import type { AuditStore, RowFilter, StoredRow } from '@weir/hub/store/audit-store.ts';
import { createAuditStore } from '@weir/hub/store/postgres/audit-store.ts';
import type { Pool } from '@weir/hub/store/postgres/pool.ts';
import { hashActor } from '@weir/shared/audit/hash-actor.ts';
import { encodeRow, readRow } from '@weir/shared/audit/row-codec.ts';
import { type AuditRow, ROW_VERSION, type RowDraft } from '@weir/shared/audit/row.ts';
import type { RowBatch } from '@weir/shared/wire/audit.ts';
import { quiet, testPostgres } from '../hub/database.ts';
import { uncounted } from './doubles.ts';
import { refusedDraft, servedDraft } from './sample-rows.ts';

const LOG = 'payments.edge-1.w0.e1';
const FROM = { unit: 'payments', spoke: 'edge-1' };

function row(index: number, draft: RowDraft = servedDraft(), change: Partial<AuditRow> = {}): Buffer {
  return encodeRow({ ...draft, v: ROW_VERSION, log: LOG, index, ...FROM, site: 'oslo', ...change });
}

function batch(firstIndex: number, rows: readonly Uint8Array[], log = LOG): RowBatch {
  return { log, firstIndex, rows };
}

function span(from: number, until: number): readonly Buffer[] {
  return Array.from({ length: until - from }, (_, n) => row(from + n));
}

interface Ledger {
  readonly pool: Pool;
  readonly store: AuditStore;
  readonly ingest: Ingest;
}

const server = testPostgres();
async function ledger(): Promise<Ledger> {
  const { pool } = await server.migratedPool();
  const store = createAuditStore(pool);
  return { pool, store, ingest: createIngest({ store, clock: systemClock, logger: quiet, metrics: uncounted }) };
}

async function allRows(store: AuditStore): Promise<readonly StoredRow[]> {
  return store.rowsFrom(LOG, 0, 100_000);
}

test('a batch is stored byte for byte, and again does nothing', async () => {
  const { store, ingest } = await ledger();
  const first = span(0, 10);
  for (let n = 0; n < 2; n += 1) {
    const answer = await ingest.take(FROM, batch(0, first));
    assert.deepEqual(answer, { kind: 'ack', log: LOG, nextIndex: 10, receipt: new Uint8Array() });
  }
  // Overlapping: seven known rows and five new ones.
  const more = [...first.slice(3), ...span(10, 15)];
  assert.equal((await ingest.take(FROM, batch(3, more))).nextIndex, 15);
  const kept = await allRows(store);
  assert.deepEqual(
    kept.map(({ index }) => index),
    Array.from({ length: 15 }, (_, n) => n),
  );
  assert.deepEqual(Buffer.from(kept[4]?.bytes ?? []), first[4]);
  assert.equal(await ingest.position(FROM, LOG), 15);
});

test('a gap is told where to resume, and nothing of it is stored', async () => {
  const { store, ingest } = await ledger();
  await ingest.take(FROM, batch(0, span(0, 3)));
  const answer = await ingest.take(FROM, batch(4, span(4, 6)));
  assert.deepEqual([answer.kind, answer.kind === 'nack' && answer.code, answer.nextIndex], ['nack', 'gap', 3]);
  assert.equal((await allRows(store)).length, 3);
});

test('other bytes for a stored row are a fork: refused, and the first bytes stay', async () => {
  const { store, ingest } = await ledger();
  const first = span(0, 3);
  await ingest.take(FROM, batch(0, first));
  const answer = await ingest.take(FROM, batch(2, span(2, 5)));
  assert.equal(answer.kind === 'nack' && answer.code, 'fork');
  assert.equal((await allRows(store)).length, 3);
});

test('many hubs that get overlapping batches at once store each row once', async () => {
  const { pool, store } = await ledger();
  const all = span(0, 400);
  const hubs = Array.from({ length: 4 }, () =>
    createIngest({ store: createAuditStore(pool), clock: systemClock, logger: quiet, metrics: uncounted }),
  );
  for (let at = 0; at < all.length; at += 50) {
    await Promise.all(
      hubs.map((hub, n) => hub.take(FROM, batch(Math.max(0, at - n), all.slice(Math.max(0, at - n), at + 50)))),
    );
  }
  assert.deepEqual(
    (await allRows(store)).map(({ bytes }) => Buffer.from(bytes)),
    all,
  );
});

// One ledger for all refusals: none of them may leave a trace.
let untouched: Promise<Ledger> | undefined;
const good = row(0);
const text = good.toString();
const refusals: readonly (readonly [name: string, batch: RowBatch, code: string])[] = [
  ['a log of another spoke', batch(0, [good], 'payments.edge-2.w0.e1'), 'wrong_identity'],
  ['a log of another unit', batch(0, [good], 'research.edge-1.w0.e1'), 'wrong_identity'],
  ['something that is no log', batch(0, [good], "'; drop table audit_rows; --"), 'wrong_identity'],
  ['a row that names another unit', batch(0, [row(0, servedDraft(), { unit: 'research' })]), 'wrong_identity'],
  ['a row that names another spoke', batch(0, [row(0, servedDraft(), { spoke: 'edge-2' })]), 'wrong_identity'],
  [
    'a row that names another log',
    batch(0, [row(0, servedDraft(), { log: 'payments.edge-1.w1.e1' })]),
    'wrong_identity',
  ],
  ['no rows', batch(0, []), 'malformed'],
  ['a row that is not JSON', batch(0, [good, Buffer.from('{')]), 'malformed'],
  ['a row of another version', batch(0, [Buffer.from(text.replace('"v":1}', '"v":2}'))]), 'malformed'],
  ['an index out of order', batch(0, [good, row(2)]), 'malformed'],
  ['another spelling', batch(0, [Buffer.from(text.replace('{"action"', '{ "action"'))]), 'not_canonical'],
  [
    'a duplicate key',
    batch(0, [Buffer.from(text.replace('"status":200', '"status":200,"status":200'))]),
    'not_canonical',
  ],
  ['a level that its rules do not explain', batch(0, [row(0, { ...refusedDraft(), rules: [] })]), 'unsound'],
  ['a row beyond the limit', batch(0, [Buffer.alloc(20_000, 0x20)]), 'too_large'],
  ['too many rows', batch(0, span(0, 257)), 'too_large'],
];
for (const [name, bad, code] of refusals) {
  test(`${name} is refused as ${code}, and nothing is stored`, async () => {
    untouched ??= ledger();
    const { store, ingest } = await untouched;
    const answer = await ingest.take(FROM, bad);
    assert.equal(answer.kind === 'nack' && answer.code, code);
    assert.deepEqual(await store.positions(''), []);
  });
}
test('a spoke reads the position of its own logs only', async () => {
  const { ingest } = await ledger();
  assert.equal(await ingest.position(FROM, LOG), 0);
  await assert.rejects(ingest.position({ unit: 'research', spoke: 'edge-1' }, LOG), { code: 'forbidden' });
});

test('a hub without its database answers unavailable, and takes the batch later', async () => {
  const { pool, ingest, store } = await ledger();
  await pool.query('ALTER TABLE audit_rows RENAME TO audit_rows_away');
  const answer = await ingest.take(FROM, batch(0, span(0, 2)));
  assert.ok(answer.kind === 'nack' && answer.code === 'unavailable' && answer.retryAfterMs > 0);
  await pool.query('ALTER TABLE audit_rows_away RENAME TO audit_rows');
  assert.equal(await store.position(LOG), 0);
  assert.equal((await ingest.take(FROM, batch(0, span(0, 2)))).kind, 'ack');
});

test('an overloaded hub says so instead of queueing without end', async () => {
  const { store } = await ledger();
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const slow: AuditStore = {
    ...store,
    async append(batchRows) {
      await held;
      return store.append(batchRows);
    },
  };
  const ingest = createIngest({
    store: slow,
    clock: systemClock,
    logger: quiet,
    metrics: uncounted,
    limits: { storing: 1, waiting: 2 },
  });
  const logs = ['a', 'b', 'c', 'd', 'e'].map((epoch) => `payments.edge-1.w0.${epoch}`);
  const answers = logs.map((log) => ingest.take(FROM, batch(0, [row(0, servedDraft(), { log })], log)));
  const late = await Promise.all(answers.slice(3));
  for (const answer of late)
    assert.ok(answer.kind === 'nack' && answer.code === 'overloaded' && answer.retryAfterMs > 0);
  release();
  assert.deepEqual(
    (await Promise.all(answers.slice(0, 3))).map(({ kind }) => kind),
    ['ack', 'ack', 'ack'],
  );
});

test('rows go to the partition of their month; strays move out of the default one when their month is made', async () => {
  const { pool, store, ingest } = await ledger();
  const now = Date.now();
  const far = '2099-05-05T00:00:00.000Z';
  const drafts = [servedDraft(), servedDraft({ time: far }), servedDraft({ time: '2001-01-01T00:00:00.000Z' })];
  await ingest.take(
    FROM,
    batch(
      0,
      drafts.map((draft, n) => row(n, draft)),
    ),
  );
  const placed = async (): Promise<readonly string[]> => {
    const found = await pool.query<{ place: string }>(
      'SELECT tableoid::regclass::text AS place FROM audit_rows ORDER BY index',
    );
    return found.rows.map(({ place }) => place);
  };
  const month = `audit_rows_${new Date(now).toISOString().slice(0, 7).replace('-', '')}`;
  assert.deepEqual(await placed(), [month, 'audit_rows_default', 'audit_rows_default']);
  await Promise.all([1, 2].map(() => store.ensurePartitions(Date.parse(far), Date.parse(far) + 40 * 86_400_000)));
  assert.deepEqual(await placed(), [month, 'audit_rows_209905', 'audit_rows_default']);
  await assert.rejects(store.ensurePartitions(0, Number.MAX_SAFE_INTEGER / 10), { code: 'invalid_argument' });
});

test('filters find exactly what matches, in either order, page by page', async () => {
  const { store, ingest } = await ledger();
  const start = Date.UTC(2026, 10, 1);
  const drafts = Array.from({ length: 60 }, (_, n) => {
    const make = n % 3 === 0 ? refusedDraft : servedDraft;
    // Pairs share an event time: the cursor has to tell them apart.
    const time = new Date(start + Math.floor(n / 2) * 60_000).toISOString();
    return make({ time, subject: { purl: `pkg:npm/p${n % 5}@1.0.${n}`, digest: '' } });
  });
  await ingest.take(
    FROM,
    batch(
      0,
      drafts.map((draft, n) => row(n, draft)),
    ),
  );
  const other = 'payments.edge-1.w1.e1';
  await ingest.take(FROM, batch(0, [row(0, servedDraft({ action: 'metadata' }), { log: other })], other));

  const find = async (filter: RowFilter, oldestFirst = true, size = 7): Promise<readonly number[]> => {
    const found: number[] = [];
    for (let cursor = ''; ; ) {
      const page = await store.query(filter, { size, cursor, oldestFirst });
      assert.ok(page.rows.length <= size);
      found.push(...page.rows.map(({ index }) => index));
      if (page.nextCursor === '') return found;
      cursor = page.nextCursor;
    }
  };
  const all = drafts.map((_, n) => n);
  assert.deepEqual(await find({ log: LOG }), all);
  assert.deepEqual(await find({ log: LOG }, false), all.toReversed());
  assert.deepEqual(
    await find({ level: 'deny' }),
    all.filter((n) => n % 3 === 0),
  );
  assert.deepEqual(
    await find({ rule: 'WEIR-AGE-001', unit: 'payments', spoke: 'edge-1' }),
    all.filter((n) => n % 3 === 0),
  );
  assert.deepEqual(
    await find({ purl: 'pkg:npm/p1@*' }),
    all.filter((n) => n % 5 === 1),
  );
  assert.deepEqual(await find({ purl: 'pkg:npm/p1@1.0.11' }), [11]);
  assert.deepEqual(await find({ purl: 'pkg:npm/p%*' }), []);
  assert.deepEqual(await find({ fromMs: start + 60_000, untilMs: start + 180_000 }), [2, 3, 4, 5]);
  assert.deepEqual(await find({ code: drafts[9]?.code ?? '' }), [9]);
  assert.deepEqual(await find({ action: 'metadata' }), [0]);
  assert.deepEqual(await find({ unit: 'research' }), []);
  assert.deepEqual(await find({ actor: 'h:none' }), []);
  await assert.rejects(store.query({}, { size: 1, cursor: 'x', oldestFirst: true }), { code: 'invalid_argument' });
  assert.equal((await store.byCode(drafts[12]?.code ?? ''))?.index, 12);
  assert.equal(await store.byCode(''), undefined);
});

test('tail tells the newest rows, then each new row once, whichever hub commits it', async () => {
  const { pool, store, ingest } = await ledger();
  const elsewhere = createIngest({
    store: createAuditStore(pool),
    clock: systemClock,
    logger: quiet,
    metrics: uncounted,
  });
  await ingest.take(FROM, batch(0, span(0, 5)));
  const abort = new AbortController();
  const told: string[] = [];
  const parts = { store, ingest, clock: systemClock };
  const following = (async () => {
    for await (const each of tailRows(parts, { unit: 'payments' }, 2, abort.signal)) {
      told.push(`${each.log.split('.')[2]}/${each.index}`);
      if (told.length === 2) await ingest.take(FROM, batch(5, span(5, 7)));
      if (told.length === 4) {
        const other = 'payments.edge-1.w1.e1';
        await elsewhere.take(FROM, batch(0, [row(0, servedDraft(), { log: other })], other));
        await elsewhere.take({ unit: 'research', spoke: 'r1' }, batch(0, [], 'research.r1.w0.e'));
      }
      if (told.length === 5) abort.abort();
    }
  })();
  await following;
  assert.deepEqual(told, ['w0/3', 'w0/4', 'w0/5', 'w0/6', 'w1/0']);
});

test('a slow follower is told everything', async () => {
  const { store, ingest } = await ledger();
  const abort = new AbortController();
  const seen: number[] = [];
  const writing = (async () => {
    for (let n = 0; n < 1_200; n += 100) await ingest.take(FROM, batch(n, span(n, n + 100)));
  })();
  for await (const { index } of tailRows({ store, ingest, clock: systemClock }, {}, 0, abort.signal)) {
    seen.push(index);
    if (seen.length % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (index === 1_199) abort.abort();
  }
  await writing;
  assert.deepEqual(
    seen,
    Array.from({ length: 1_200 - (seen[0] ?? 0) }, (_, n) => n + (seen[0] ?? 0)),
  );
});

test('the query service answers with rows, codes and rules, and refuses what it cannot read', async () => {
  const { store, ingest } = await ledger();
  const salt = Buffer.alloc(32, 5);
  const draft = refusedDraft({ actor: { id: hashActor(salt, 'jane'), kind: 'person' } });
  await ingest.take(FROM, batch(0, [row(0), row(1, draft)]));
  const asked: string[] = [];
  const service = auditQueryService({
    store,
    ingest,
    clock: systemClock,
    async rulesOf(bundle) {
      asked.push(bundle);
      return Buffer.from('{}');
    },
    saltOf: async (unit) => (unit === 'payments' ? salt : undefined),
  });
  const context = { operator: { id: 'o', name: 'o' }, signal: new AbortController().signal };
  const found = await service.query({ filter: request({ level: 4 }), oldestFirst: false } as never, context);
  assert.deepEqual(
    found.rows?.map(({ row: bytes }) => readRow(bytes ?? new Uint8Array()).id),
    [draft.id],
  );
  for (const actor of ['jane', hashActor(salt, 'jane')]) {
    const theirs = await service.query(
      { filter: request({ actor, unit: 'payments' }), oldestFirst: false } as never,
      context,
    );
    assert.deepEqual(
      theirs.rows?.map(({ index }) => index),
      [1n],
    );
  }
  const why = await service.why(
    { code: ` ${draft.code.slice(0, 4)}-${draft.code.slice(4).toLowerCase()}` } as never,
    context,
  );
  assert.equal(why.row?.index, 1n);
  assert.deepEqual(asked, [draft.bundle]);
  await assert.rejects(async () => service.why({ code: '!' } as never, context), { code: 'invalid_argument' });
  await assert.rejects(async () => service.why({ code: '00000000' } as never, context), { code: 'not_found' });
  for (const bad of [
    { actor: 'jane' },
    { actor: 'jane', unit: 'nowhere' },
    { purl: 'x'.repeat(1025) },
    { unit: '\0' },
    { level: 9 },
    { code: '!' },
    { fromMs: -1n },
  ]) {
    await assert.rejects(async () => service.query({ filter: request(bad), oldestFirst: false } as never, context), {
      code: 'invalid_argument',
    });
  }
  await assert.rejects(async () => service.query({ page: { size: 1001, cursor: '' } } as never, context), {
    code: 'invalid_argument',
  });
  const tail = service.tail({ filter: undefined, backlog: 1 } as never, context);
  for await (const { row: told } of tail) {
    assert.equal(told?.index, 1n);
    break;
  }
});

/** A filter message with these fields set. */
function request(fields: object): never {
  return { ...EMPTY_FILTER, ...fields } as never;
}

const EMPTY_FILTER = {
  unit: '',
  spoke: '',
  actor: '',
  purl: '',
  rule: '',
  log: '',
  action: '',
  outcome: '',
  code: '',
  level: 0,
  fromMs: 0n,
  untilMs: 0n,
};
