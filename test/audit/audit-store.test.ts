// The hub's ledger on a real PostgreSQL: what is stored, what is refused, and how it is found again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makePartitions } from '@weir/hub/audit/partition-job.ts';
import { tailRows, type TailStep } from '@weir/hub/audit/tail.ts';
import { systemClock } from '@weir/hub/io/system-clock.ts';
import { auditQueryService } from '@weir/hub/rpc/audit-query-service.ts';
import { ROW_FLAGS, type RowFilter } from '@weir/hub/store/audit-store.ts';
import { hashActor } from '@weir/shared/audit/hash-actor.ts';
import { readRow } from '@weir/shared/audit/row-codec.ts';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import { testPostgres } from '../hub/database.ts';
import { type HubLedger, hubLedger } from './hub-ledger.ts';
import { refusedDraft, servedDraft, uuid } from './sample-rows.ts';
import { type SigningLog, type SigningSpoke, signingSpoke } from './signing-spoke.ts';

const server = testPostgres();

interface Ledger extends HubLedger {
  readonly spoke: SigningSpoke;
  readonly log: SigningLog;
  /** Adds these rows to a log and uploads them. */
  readonly fill: (log: SigningLog, drafts: readonly RowDraft[]) => Promise<void>;
}

async function ledger(): Promise<Ledger> {
  const { pool } = await server.migratedPool();
  const spoke = signingSpoke();
  const hub = hubLedger(pool, [spoke]);
  await makePartitions(hub.store, systemClock, new AbortController().signal);
  return {
    ...hub,
    spoke,
    log: spoke.log(),
    async fill(log, drafts) {
      const from = log.rows.length;
      await hub.open(log);
      log.add(drafts.length, (n) => drafts[n] ?? servedDraft());
      assert.equal((await hub.upload(log, from)).kind, 'ack');
    },
  };
}

function at(minutes: number): RowDraft {
  return servedDraft({ time: new Date(Date.now() + minutes * 60_000).toISOString() });
}

function served(count: number): readonly RowDraft[] {
  return Array.from({ length: count }, () => servedDraft());
}

test('rows go to the partition of their month; strays move out of the default one when their month is made', async () => {
  const { pool, store, log, fill } = await ledger();
  const now = Date.now();
  const far = '2099-05-05T00:00:00.000Z';
  const drafts = [servedDraft(), servedDraft({ time: far }), servedDraft({ time: '2001-01-01T00:00:00.000Z' })];
  await fill(log, drafts);
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

test('the job makes the months around now, and those of strays that are near enough', async () => {
  const { pool, store, log, fill } = await ledger();
  const day = 86_400_000;
  const times = [-390, -100, 10, -900].map((days) => new Date(Date.now() + days * day).toISOString());
  await fill(
    log,
    times.map((time) => servedDraft({ time })),
  );
  const inDefault = async (): Promise<readonly number[]> => {
    const { rows } = await pool.query<{ index: number }>('SELECT index FROM audit_rows_default ORDER BY index');
    return rows.map(({ index }) => index);
  };
  assert.deepEqual(await inDefault(), [0, 1, 3]);
  await Promise.all([1, 2].map(() => makePartitions(store, systemClock, new AbortController().signal)));
  assert.deepEqual(await inDefault(), [3]);
  assert.deepEqual(
    (await store.rowsFrom(log.id, 0, 10)).map(({ index }) => index),
    [0, 1, 2, 3],
  );
});

test('odd times are flagged and kept: ahead of their arrival, or much earlier than the row before', async () => {
  const { store, log, fill } = await ledger();
  await fill(log, [at(0), at(4), at(6), at(-1)]);
  // The first row of a batch is compared with the last one stored.
  await fill(log, [at(-3), at(1440), at(1441)]);
  const { ahead, backwards } = ROW_FLAGS;
  assert.deepEqual(
    (await store.rowsFrom(log.id, 0, 10)).map(({ flags }) => flags),
    [0, 0, ahead, backwards, backwards, ahead, ahead],
  );
});

test('filters find exactly what matches, in either order, page by page', async () => {
  const { store, spoke, log, fill } = await ledger();
  const LOG = log.id;
  const start = Date.UTC(2026, 10, 1);
  const drafts = Array.from({ length: 60 }, (_, n) => {
    const make = n % 3 === 0 ? refusedDraft : servedDraft;
    // Pairs share an event time: the cursor has to tell them apart.
    const time = new Date(start + Math.floor(n / 2) * 60_000).toISOString();
    return make({ time, subject: { purl: `pkg:npm/p${n % 5}@1.0.${n}`, digest: '' } });
  });
  await fill(log, drafts);
  await fill(spoke.log({ worker: 'w1' }), [servedDraft({ action: 'metadata' })]);

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
  assert.deepEqual(await find({ actors: ['h:none'] }), []);
  await assert.rejects(store.query({}, { size: 1, cursor: 'x', oldestFirst: true }), { code: 'invalid_argument' });
  assert.equal((await store.byCode(drafts[12]?.code ?? ''))?.index, 12);
  assert.equal(await store.byCode(''), undefined);
});

function rowOf(step: TailStep): string {
  return step.kind === 'row' ? `${step.row.log.split('.')[2]}/${step.row.index}` : '';
}

test('tail tells the newest rows, then each new row once, whichever hub commits it', async () => {
  const { store, spoke, ingest, replica, open, upload, log, fill } = await ledger();
  await fill(log, served(5));
  const abort = new AbortController();
  const told: string[] = [];
  const elsewhere = replica();
  const other = spoke.log({ worker: 'w1' });
  await open(other);
  for await (const step of tailRows(
    { store, ingest, clock: systemClock },
    { unit: 'payments' },
    { backlog: 2 },
    abort.signal,
  )) {
    if (step.kind !== 'row') continue;
    told.push(rowOf(step));
    if (told.length === 2) {
      log.add(2);
      await upload(log, 5);
    }
    if (told.length === 4) {
      other.add(1);
      assert.equal((await elsewhere.take(spoke, await other.batch(0))).kind, 'ack');
    }
    if (told.length === 5) abort.abort();
  }
  assert.deepEqual(told, ['w0/3', 'w0/4', 'w0/5', 'w0/6', 'w1/0']);
});

test('a slow follower is told everything', async () => {
  const { store, ingest, log, fill } = await ledger();
  const abort = new AbortController();
  const seen: number[] = [];
  const writing = (async () => {
    for (let n = 0; n < 1_200; n += 100) await fill(log, served(100));
  })();
  for await (const step of tailRows({ store, ingest, clock: systemClock }, {}, { backlog: 0 }, abort.signal)) {
    if (step.kind !== 'row') continue;
    seen.push(step.row.index);
    if (seen.length % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (step.row.index === 1_199) abort.abort();
  }
  await writing;
  assert.deepEqual(
    seen,
    Array.from({ length: 1_200 - (seen[0] ?? 0) }, (_, n) => n + (seen[0] ?? 0)),
  );
});

test('the query service answers with rows, codes and rules, and refuses what it cannot read', async () => {
  const { store, ingest, log, fill } = await ledger();
  const salt = Buffer.alloc(32, 5);
  const draft = refusedDraft({ actor: { id: hashActor(salt, 'jane'), kind: 'person' } });
  const earlier = Date.now() - 1000;
  await fill(log, [servedDraft({ id: uuid(earlier), time: new Date(earlier).toISOString() }), draft]);
  const asked: string[] = [];
  const service = auditQueryService({
    store,
    ingest,
    clock: systemClock,
    async rulesOf(bundle) {
      asked.push(bundle);
      return Buffer.from('{}');
    },
    onlyInCopies: async ({ fromMs }) => (fromMs > 1_000 ? [] : [{ untilMs: 1_000 }, { untilMs: 500 }]),
    pseudonymsOf: async (unit, name) => (unit === 'payments' ? [hashActor(salt, name)] : []),
  });
  const context = { operator: { id: 'o', name: 'o' }, signal: new AbortController().signal };
  const found = await service.query({ filter: request({ level: 4 }), oldestFirst: false } as never, context);
  assert.deepEqual(
    found.rows?.map(({ row: bytes }) => readRow(bytes ?? new Uint8Array()).id),
    [draft.id],
  );
  // Whoever asks about all times is told that retention has moved some of the rows.
  assert.equal(found.onlyInCopiesUntilMs, 1_000n);
  const late = await service.query({ filter: request({ fromMs: 2_000n }), oldestFirst: false } as never, context);
  assert.equal(late.onlyInCopiesUntilMs, 0n);
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
  const tail = service.tail({ filter: undefined, backlog: 1, after: [] } as never, context);
  for await (const { row: told } of tail) {
    if (told === undefined) continue;
    assert.equal(told.index, 1n);
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
