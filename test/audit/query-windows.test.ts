// Whatever the times that rows claim (holes of years, strays, all at once) and however pages are cut: a question that is
// followed to its end is answered with every row that matches, once, in order.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { queryRows } from '@weir/hub/store/postgres/audit-query.ts';
import type { RowFilter } from '@weir/hub/store/audit-store.ts';
import { LEVELS } from '@weir/shared/domain/level.ts';
import { testPostgres } from '../hub/database.ts';

const server = testPostgres();

interface Row {
  readonly log: string;
  readonly index: number;
  readonly atMs: number;
  readonly spoke: string;
  readonly unit: string;
  readonly actor: string;
  readonly purl: string;
  readonly level: number;
  readonly rules: readonly string[];
  readonly action: string;
  readonly outcome: string;
}

/** Times as a ledger may have them: a busy minute, a row a day, the same millisecond, years ago, and far in the future. */
const TIMES: readonly ((n: number) => number)[] = [
  (n) => Date.UTC(2026, 4, 1) + n * 50,
  (n) => Date.UTC(2026, 3, 1) - n * 86_400_000,
  () => Date.UTC(2026, 4, 1, 0, 0, 1),
  (n) => Date.UTC(1999, 0, 1) + n,
  (n) => Date.UTC(2201, 6, 1) + n * 3_600_000,
];

const ROWS: readonly Row[] = Array.from({ length: 600 }, (_, n) => {
  const unit = `u${n % 3}`;
  const log = `${unit}.s${n % 2}.w0.e${n % 4}`;
  const hash = (n * 2_654_435_761) % 4_294_967_291;
  return {
    log,
    index: Math.floor(n / 12),
    atMs: (TIMES[n % TIMES.length] as (n: number) => number)(Math.floor(n / TIMES.length)),
    spoke: `s${n % 2}`,
    unit,
    actor: hash % 5 === 0 ? '' : `h:${hash % 7}`,
    purl: `pkg:npm/p${hash % 11}@1.0.0`,
    level: hash % 13 === 0 ? 3 : 0,
    rules: hash % 13 === 0 ? ['WEIR-AGE-001', 'WEIR-B-002'] : [],
    action: hash % 17 === 0 ? 'event' : 'install',
    outcome: hash % 13 === 0 ? 'refused' : 'served',
  };
});

const FILTERS: readonly (readonly [string, RowFilter, (row: Row) => boolean])[] = [
  ['nothing', {}, () => true],
  ['a unit', { unit: 'u1' }, ({ unit }) => unit === 'u1'],
  ['a spoke of several units', { spoke: 's1' }, ({ spoke }) => spoke === 's1'],
  ['one actor', { actors: ['h:3'] }, ({ actor }) => actor === 'h:3'],
  ['actors', { actors: ['h:3', 'h:4'] }, ({ actor }) => actor === 'h:3' || actor === 'h:4'],
  ['no actor at all', { actors: [] }, () => false],
  ['a prefix', { purl: 'pkg:npm/p1*' }, ({ purl }) => purl.startsWith('pkg:npm/p1')],
  ['a rule', { rule: 'WEIR-B-002' }, ({ rules }) => rules.includes('WEIR-B-002')],
  ['a level', { level: 'deny' }, ({ level }) => LEVELS[level] === 'deny'],
  ['an action and a unit', { action: 'event', unit: 'u2' }, ({ action, unit }) => action === 'event' && unit === 'u2'],
  ['an outcome that no such level has', { outcome: 'refused', level: 'allow' }, () => false],
  [
    'a time',
    { fromMs: Date.UTC(1999, 0, 1), untilMs: Date.UTC(2026, 3, 1) },
    ({ atMs }) => atMs >= Date.UTC(1999, 0, 1) && atMs < Date.UTC(2026, 3, 1),
  ],
  ['one log', { log: 'u1.s1.w0.e1' }, ({ log }) => log === 'u1.s1.w0.e1'],
];

test('following cursors to the end tells every matching row once and in order', async () => {
  const { pool } = await server.migratedPool();
  const rows = [...new Map(ROWS.map((row) => [`${row.log} ${row.index} ${row.atMs}`, row])).values()];
  await pool.query(
    `INSERT INTO audit_rows (log, index, event_time, unit, spoke, actor, purl, level, rules, code, action, outcome, row, leaf)
     SELECT log, index, to_timestamp(at / 1000.0), unit, spoke, actor, purl, level, string_to_array(rules, ' '), '', action, outcome,
       '{}', sha256('x') FROM json_to_recordset($1)
     AS r (log text, index bigint, at bigint, unit text, spoke text, actor text, purl text, level smallint, rules text, action text,
       outcome text)`,
    [JSON.stringify(rows.map((row) => ({ ...row, at: row.atMs, rules: row.rules.join(' ') })))],
  );
  for (const [what, filter, matches] of FILTERS) {
    const byTime = (a: Row, b: Row): number =>
      a.atMs - b.atMs || (a.log < b.log ? -1 : a.log > b.log ? 1 : a.index - b.index);
    const expected = rows
      .filter(matches)
      .toSorted(filter.log === undefined ? byTime : (a, b) => a.index - b.index)
      .map(({ log, index, atMs }) => `${log} ${index} ${filter.log === undefined ? atMs : ''}`);
    for (const oldestFirst of [true, false]) {
      for (const size of [1000, 37]) {
        const told: string[] = [];
        let cursor = '';
        do {
          const page = await queryRows(pool, filter, { size, cursor, oldestFirst });
          assert.ok(page.rows.length <= size);
          for (const { log, index, eventTimeMs } of page.rows) {
            told.push(`${log} ${index} ${filter.log === undefined ? eventTimeMs : ''}`);
          }
          cursor = page.nextCursor;
        } while (cursor !== '');
        assert.deepEqual(told, oldestFirst ? expected : expected.toReversed(), `${what}, pages of ${size}`);
      }
    }
  }
});

function cursorOf(parts: readonly unknown[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

test('a cursor of another kind of question, or with a made up width, is refused or harmless', async () => {
  const { pool } = await server.migratedPool();
  for (const parts of [
    ['2026-01-01T00:00:00.000Z', 'l', 1],
    [1, 2],
    [1, 'x', 'l'],
    [1, 'x', 'l', 1],
    [1, '2026-01-01', 'l', 0.5],
    [1, '2026-01-01', 'l', 1],
    [1, '-000785-05-11T14:20:24.767Z', 'l', 1],
    [1, '+010000-01-01T00:00:00.000Z', 'l', 1],
    [],
  ]) {
    await assert.rejects(queryRows(pool, {}, { size: 1, cursor: cursorOf(parts), oldestFirst: true }), {
      code: 'invalid_argument',
    });
  }
  for (const width of [-1, 0, 1e300, 0.5]) {
    const cursor = cursorOf([width, '2026-01-01T00:00:00.000Z', '', -1]);
    assert.deepEqual((await queryRows(pool, {}, { size: 1, cursor, oldestFirst: false })).rows, []);
  }
});
