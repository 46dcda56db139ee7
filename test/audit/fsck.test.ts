// What fsck says about a database, sound or tampered with, on a real PostgreSQL.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRun } from '@weir/hub/audit/fsck-rows.ts';
import { fsck, type FsckStep } from '@weir/hub/audit/fsck.ts';
import { makeTiles } from '@weir/hub/audit/tile-job.ts';
import type { AuditStore } from '@weir/hub/store/audit-store.ts';
import { createAuditStore } from '@weir/hub/store/postgres/audit-store.ts';
import type { Pool } from '@weir/hub/store/postgres/pool.ts';
import { createRowScan } from '@weir/hub/store/postgres/row-scan.ts';
import { createTileStore } from '@weir/hub/store/postgres/tile-store.ts';
import { quiet, testPostgres } from '../hub/database.ts';
import { uncounted } from './doubles.ts';
import { growLog, makeSigners, type Signers } from './stored-log.ts';

const LOG = 'payments.edge-1.w0.e1';
/** Two full tiles and a partial one. */
const ROWS = 600;

interface Ground {
  readonly pool: Pool;
  readonly store: AuditStore;
  readonly signers: Signers;
}

const server = testPostgres();

async function ground(rows: number = ROWS, tiled = true): Promise<Ground> {
  const { pool } = await server.migratedPool();
  const store = createAuditStore(pool);
  const signers = makeSigners();
  await growLog(store, signers, LOG, rows);
  if (tiled) await tiles({ pool, store });
  return { pool, store, signers };
}

function tiles({ pool, store }: Pick<Ground, 'pool' | 'store'>): Promise<void> {
  const parts = { store, tiles: createTileStore(pool), logger: quiet, metrics: uncounted };
  return makeTiles(parts, new AbortController().signal);
}

async function check({ pool, store, signers }: Ground, log = ''): Promise<readonly FsckStep[]> {
  const parts = {
    store,
    tiles: createTileStore(pool),
    scan: createRowScan(pool),
    check: async (run: Parameters<typeof checkRun>[0]) => checkRun(run),
    hubKey: signers.hubKey,
  };
  return Array.fromAsync(fsck(parts, { log }));
}

/** Faults as `index: what`. */
async function faultsOf(at: Ground): Promise<readonly string[]> {
  const steps = await check(at);
  return steps.flatMap((step) =>
    step.kind === 'log' ? step.faults.map(({ index, what }) => `${index}: ${what}`) : [],
  );
}

test('a sound database has no fault and the root that was receipted', async () => {
  const at = await ground();
  await growLog(at.store, at.signers, 'payments.edge-1.w1.e1', 3);
  await growLog(at.store, at.signers, 'research.edge-2.w0.e1', 256);
  const steps = await check(at);
  assert.deepEqual(steps.at(-1), { kind: 'summary', logs: 3, rows: ROWS + 3 + 256, faulty: 0 });
  const head = await at.store.head(LOG);
  const told = steps.find((step) => step.kind === 'log' && step.log === LOG);
  assert.ok(told?.kind === 'log');
  const root = Buffer.from(told.root, 'hex').toString('base64');
  assert.equal(head?.receipt.toString('utf8').split('\n')[2], root);
  assert.equal(head?.tiled, 512);
  assert.deepEqual(await check(at, LOG).then((some) => some.at(-1)), {
    kind: 'summary',
    logs: 1,
    rows: ROWS,
    faulty: 0,
  });
});

test('an unknown log is an error', async () => {
  const at = await ground(1);
  await assert.rejects(check(at, 'nobody.nowhere.w0.e1'), /there is no log/);
});

const tampered = `convert_to(replace(convert_from(row, 'UTF8'), '"site":"oslo"', '"site":"bonn"'), 'UTF8')`;
const cases: readonly (readonly [name: string, sql: string, faults: readonly RegExp[]])[] = [
  ['bytes', `UPDATE audit_rows SET row = ${tampered} WHERE index = 300`, [/^300: the bytes of the row were changed$/]],
  [
    'bytes behind the last tile',
    `UPDATE audit_rows SET row = ${tampered} WHERE index = 599`,
    [/^599: the bytes of the row were changed$/],
  ],
  ['a leaf', `UPDATE audit_rows SET leaf = sha256('x') WHERE index = 300`, [/^300: the leaf of the row was changed$/]],
  [
    'a leaf behind the last tile',
    `UPDATE audit_rows SET leaf = sha256('x') WHERE index = 599`,
    [/^599: the leaf of the row was changed$/],
  ],
  [
    'bytes and leaf together',
    `UPDATE audit_rows SET row = ${tampered}, leaf = sha256('\\x00'::bytea || ${tampered}) WHERE index = 300`,
    [/^300: the row was replaced, its bytes and its leaf together$/],
  ],
  [
    'bytes and leaf together behind the last tile',
    `UPDATE audit_rows SET row = ${tampered}, leaf = sha256('\\x00'::bytea || ${tampered}) WHERE index = 599`,
    [/^-1: the rows do not give the root that was receipted: they differ in rows 592 to 599$/],
  ],
  [
    'bytes to nonsense, with its leaf',
    `UPDATE audit_rows SET row = '{}', leaf = sha256('\\x007b7d'::bytea) WHERE index = 5`,
    [/^5: the bytes are no row/, /^5: the row was replaced/],
  ],
  ['a missing row', 'DELETE FROM audit_rows WHERE index = 300', [/^300: the row is missing$/]],
  ['a missing row behind the last tile', 'DELETE FROM audit_rows WHERE index = 598', [/^598: the row is missing$/]],
  ['the last row missing', 'DELETE FROM audit_rows WHERE index = 599', [/^599: the row is missing$/]],
  [
    'a doubled row',
    `INSERT INTO audit_rows SELECT log, index, event_time + interval '1 second', stored_at, unit, spoke, actor, purl, level,
       rules, code, action, outcome, row, leaf, flags FROM audit_rows WHERE index = 10`,
    [/^10: the row is stored twice, with the same bytes$/],
  ],
  [
    'a row beyond the end',
    `INSERT INTO audit_rows SELECT log, 600, event_time, stored_at, unit, spoke, actor, purl, level, rules, code, action,
       outcome, row, leaf, flags FROM audit_rows WHERE index = 10`,
    [/^600: the row is beyond the end of the log at 600$/],
  ],
  ...['unit', 'spoke', 'actor', 'purl', 'code', 'action', 'outcome'].map(
    (column) =>
      [
        `the column ${column}`,
        `UPDATE audit_rows SET ${column} = 'other' WHERE index = 77`,
        [new RegExp(`^77: the column ${column} is not what the row says$`)],
      ] as const,
  ),
  ['the column level', 'UPDATE audit_rows SET level = 2 WHERE index = 77', [/^77: the column level is/]],
  ['the column rules', `UPDATE audit_rows SET rules = '{X}' WHERE index = 77`, [/^77: the column rules is/]],
  [
    'the time',
    `UPDATE audit_rows SET event_time = event_time - interval '1 microsecond' WHERE index = 77`,
    [/^77: the column time is not what the row says$/],
  ],
  [
    'a tile',
    `UPDATE audit_tiles SET hashes = overlay(hashes placing sha256('x') from 33) WHERE level = 0 AND index = 1`,
    [/^-1: tile\/0\/001 is not what the rows give$/],
  ],
  ['a missing tile', 'DELETE FROM audit_tiles WHERE level = 0 AND index = 1', [/^-1: tile\/0\/001 is missing$/]],
  [
    'the edge',
    `UPDATE audit_logs SET edge = overlay(edge placing sha256('x') from 1)`,
    [/^-1: the head is wrong: its edge does not give the root that was receipted$/],
  ],
  ['the receipt', `UPDATE audit_logs SET receipt = checkpoint`, [/^-1: the head is wrong: .*lacks the cosignature/]],
  [
    'the end of the log',
    `UPDATE audit_logs SET next_index = 599`,
    [/^-1: the head is wrong/, /^-1: the head is wrong/, /^599: the row is beyond the end/],
  ],
  ['the log itself', 'DELETE FROM audit_logs', [/^-1: there are rows of this log, but no such log$/]],
];
for (const [name, sql, expected] of cases) {
  test(`${name}: changed, and named exactly`, async () => {
    const at = await ground();
    const { rowCount } = await at.pool.query(sql);
    assert.equal(rowCount, 1);
    const found = await faultsOf(at);
    assert.equal(found.length, expected.length, found.join('\n'));
    for (const [place, pattern] of expected.entries()) assert.match(found[place] ?? '', pattern);
  });
}

test('without tiles a changed row is found all the same', async () => {
  const at = await ground(ROWS, false);
  await at.pool.query(`UPDATE audit_rows SET row = ${tampered} WHERE index = 300`);
  assert.deepEqual(await faultsOf(at), ['300: the bytes of the row were changed']);
});

test('a leaf that was changed never reaches a tile that counts', async () => {
  const at = await ground(ROWS, false);
  await at.pool.query(`UPDATE audit_rows SET leaf = sha256('x') WHERE index = 300`);
  await tiles(at);
  assert.equal((await at.store.head(LOG))?.tiled, 0);
  await at.pool.query(`UPDATE audit_rows SET leaf = sha256('\\x00'::bytea || row) WHERE index = 300`);
  await tiles(at);
  assert.equal((await at.store.head(LOG))?.tiled, 512);
  assert.deepEqual(await faultsOf(at), []);
});
