// The binary COPY format against Postgres itself: whatever a row may contain arrives as it was, whole, in slices and flagged.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewRow, PreparedRows } from '@weir/hub/store/audit-store.ts';
import { copyIn } from '@weir/hub/store/postgres/copy-in.ts';
import { COPY_ROWS, copyMessages, packRows } from '@weir/hub/store/postgres/copy-rows.ts';
import { inTransaction, type Pool } from '@weir/hub/store/postgres/pool.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { LEVELS } from '@weir/shared/domain/level.ts';
import { testPostgres } from '../hub/database.ts';

const server = testPostgres();
const OWNER = { log: 'payments.edge-1.w0.e1', unit: 'payments', spoke: 'edge-1' };

function row(index: number, change: Partial<NewRow> = {}): NewRow {
  const bytes = change.bytes ?? Buffer.from(`row ${index}`);
  return {
    index,
    bytes,
    leaf: leafHash(bytes),
    flags: 0,
    eventTimeMs: Date.UTC(2026, 10, 22),
    actor: '',
    purl: '',
    level: 'allow',
    rules: [],
    code: '',
    action: 'install',
    outcome: 'served',
    ...change,
  };
}

const rows: readonly NewRow[] = [
  row(0),
  row(1, { bytes: Buffer.alloc(16 << 10, 0xff), purl: `pkg:npm/${'x'.repeat(1016)}`, actor: `h:${'0'.repeat(32)}` }),
  row(2, { rules: Array.from({ length: 100 }, (_, n) => `WEIR-${'R'.repeat(70)}-${n}`), level: 'deny', flags: 3 }),
  row(3, { rules: ['A'], code: '0123ABCD', bytes: Buffer.alloc(0) }),
  row(2 ** 31, { eventTimeMs: 0 }),
  row(2 ** 32 + 5, { eventTimeMs: Date.UTC(9999, 11, 31, 23, 59, 59, 999) }),
  row(Number.MAX_SAFE_INTEGER, { eventTimeMs: Date.UTC(1999, 11, 31, 23, 59, 59, 999) }),
];

async function copied(pool: Pool, runs: readonly PreparedRows[]): Promise<readonly NewRow[]> {
  await inTransaction(pool, (client) => copyIn(client, COPY_ROWS, copyMessages(runs)));
  const found = await pool.query<
    Omit<NewRow, 'level' | 'bytes' | 'eventTimeMs'> & { level: number; row: Buffer; at: Date }
  >(
    `SELECT index, row, leaf, flags, event_time AS at, actor, purl, level, rules, code, action, outcome FROM audit_rows
     WHERE log = $1 AND unit = $2 AND spoke = $3 ORDER BY index`,
    [OWNER.log, OWNER.unit, OWNER.spoke],
  );
  return found.rows.map(({ row: bytes, at, level, ...rest }) => ({
    ...rest,
    bytes,
    eventTimeMs: at.getTime(),
    level: LEVELS[level] ?? 'deny',
  }));
}

test('every column arrives as it was, at the ends of what it may hold', async () => {
  const { pool } = await server.migratedPool();
  assert.deepEqual(await copied(pool, [packRows(OWNER, rows)]), rows);
});

test('slices of a run are those rows, a flag is added to the first, and bytes are read back', async () => {
  const { pool } = await server.migratedPool();
  const run = packRows(OWNER, rows);
  assert.deepEqual(
    rows.map((_, place) => Buffer.from(run.row(place))),
    rows.map(({ bytes }) => Buffer.from(bytes)),
  );
  const [head, tail] = [run.slice(1, 3), run.slice(3).slice(1)];
  assert.deepEqual([run.count, head.count, tail.count], [7, 2, 3]);
  tail.flagFirst(2);
  tail.flagFirst(2);
  const [, second, third, , ...last] = rows;
  const wanted = [second, third, ...last].map((each, n) => (n === 2 ? { ...each, flags: 2 } : each));
  assert.deepEqual(await copied(pool, [head, tail]), wanted);
});

test('a COPY that Postgres refuses leaves the connection usable and nothing behind', async () => {
  const { pool } = await server.migratedPool();
  const run = packRows(OWNER, [row(0), row(0)]);
  await assert.rejects(copied(pool, [run]), { code: '23505' });
  await assert.rejects(copied(pool, [packRows(OWNER, [row(-1)])]), { code: '23514' });
  assert.deepEqual(await copied(pool, [packRows(OWNER, [row(7)])]), [row(7)]);
});
