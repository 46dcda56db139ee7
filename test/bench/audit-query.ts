// `audit-query`: how long the first page of a query takes, for each filter alone, for pairs, and for the cases that are bad
// for one plan or another: what matches everything, almost nothing, nothing at all, or only what lies far back. A page may end early with a cursor, so the
// time until it is whole is told beside. The store
// is the hub's own, over rows that `audit-query-rows.ts` makes; `--rows=N` says how many (10,000,000 for the figure).

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '@weir/hub/io/embedded-postgres.ts';
import type { AuditStore, RowFilter } from '@weir/hub/store/audit-store.ts';
import { createAuditStore } from '@weir/hub/store/postgres/audit-store.ts';
import { migrate } from '@weir/hub/store/postgres/migrate.ts';
import { createPool, type Pool } from '@weir/hub/store/postgres/pool.ts';
import { quiet } from '../hub/database.ts';
import { DAYS, LAST_MS, makeRows } from './audit-query-rows.ts';
import type { BenchOptions, BenchResult, Figures } from './benches.ts';
import { percentile, rounded, table } from './figures.ts';

const ROWS_DEFAULT = 200_000;
const PAGE_ROWS = 100;
const REPEATS = 5;
const AIMS = { worst_ms: 100 } as const;
const DAY_MS = 86_400_000;

interface Question {
  readonly name: string;
  readonly filter: RowFilter;
  readonly oldestFirst?: boolean;
}

export async function run({ print, flags }: BenchOptions): Promise<BenchResult> {
  const rows = Number(flags['rows'] ?? ROWS_DEFAULT);
  if (!Number.isSafeInteger(rows) || rows < 1000) throw new Error('--rows takes a whole number from 1000 on');
  const folder = await mkdtemp(join(tmpdir(), 'weir-bench-'));
  const server = await startEmbeddedPostgres({
    home: folder,
    logger: quiet,
    settings: { fsync: 'off', full_page_writes: 'off', max_wal_size: '8GB', shared_buffers: '512MB' },
  });
  const pool = createPool({ url: server.url, logger: quiet, max: 2 });
  try {
    await migrate(pool);
    const started = performance.now();
    await makeRows(pool, rows, print);
    print(`${rows} rows of ${DAYS} days made in ${Math.round((performance.now() - started) / 1000)} s`);
    return await measure(pool, rows, print);
  } finally {
    await pool.end();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

export async function measure(pool: Pool, rows: number, print: (line: string) => void): Promise<BenchResult> {
  const store = createAuditStore(pool);
  const lines: (readonly (string | number)[])[] = [['filter', 'rows', 'cold ms', 'p50 ms', 'whole page ms']];
  const cold: number[] = [];
  const medians: number[] = [];
  const wholes: number[] = [];
  for (const { name, filter, oldestFirst = false } of await questions(pool)) {
    const times: number[] = [];
    for (let turn = 0; turn < REPEATS; turn += 1) {
      const started = performance.now();
      await store.query(filter, { size: PAGE_ROWS, cursor: '', oldestFirst });
      times.push(performance.now() - started);
    }
    const whole = await wholePage(store, filter, oldestFirst);
    cold.push(times[0] ?? Number.NaN);
    medians.push(percentile(times, 0.5));
    wholes.push(whole.ms);
    lines.push([name, whole.rows, rounded(times[0] ?? Number.NaN), rounded(percentile(times, 0.5)), rounded(whole.ms)]);
  }
  print(table(lines));
  const weir: Figures = {
    rows,
    questions: medians.length,
    p50_ms: rounded(percentile(medians, 0.5)),
    worst_ms: rounded(Math.max(...medians)),
    worst_cold_ms: rounded(Math.max(...cold)),
    whole_page_p50_ms: rounded(percentile(wholes, 0.5)),
    worst_whole_page_ms: rounded(Math.max(...wholes)),
  };
  const held = Math.max(...medians) < AIMS.worst_ms;
  return { bench: 'audit-query', unit: 'worst_ms', weir, peers: {}, ratios: {}, aims: AIMS, held };
}

/** A page may end early with a cursor: this follows cursors until 100 rows are found, or there are no more. */
async function wholePage(
  store: Pick<AuditStore, 'query'>,
  filter: RowFilter,
  oldestFirst: boolean,
): Promise<{ readonly rows: number; readonly ms: number }> {
  const started = performance.now();
  let rows = 0;
  let cursor = '';
  do {
    const page = await store.query(filter, { size: PAGE_ROWS - rows, cursor, oldestFirst });
    rows += page.rows.length;
    cursor = page.nextCursor;
  } while (cursor !== '' && rows < PAGE_ROWS);
  return { rows, ms: performance.now() - started };
}

function ago(days: number): number {
  return LAST_MS - days * DAY_MS;
}

/** Each filter alone (common, rare, absent), then what plans stumble over. */
export async function questions(pool: Pool): Promise<readonly Question[]> {
  const one = async (where: string, column: string): Promise<string> => {
    const { rows } = await pool.query<{ value: string }>(
      `SELECT ${column} AS value FROM audit_rows WHERE ${where} ORDER BY event_time LIMIT 1`,
    );
    return rows[0]?.value ?? '';
  };
  const rareActor = await one("unit = 'unit-19' AND actor <> ''", 'actor');
  const purl = await one("unit = 'unit-3' AND actor <> ''", 'purl');
  const code = await one("code <> ''", 'code');
  const log = 'unit-7.unit-7-1.w1.e0';
  return [
    { name: 'none', filter: {} },
    { name: 'none, oldest first', filter: {}, oldestFirst: true },
    { name: 'unit, largest', filter: { unit: 'unit-0' } },
    { name: 'unit, smallest', filter: { unit: 'unit-19' } },
    { name: 'unit, absent', filter: { unit: 'nobody' } },
    { name: 'spoke', filter: { spoke: 'unit-4-1' } },
    { name: 'spoke, absent', filter: { spoke: 'nobody' } },
    { name: 'log', filter: { log } },
    { name: 'log, oldest first', filter: { log }, oldestFirst: true },
    { name: 'actor', filter: { actors: [rareActor] } },
    { name: 'actor, absent', filter: { actors: [`h:${'0'.repeat(32)}`] } },
    { name: 'purl', filter: { purl } },
    { name: 'purl, absent', filter: { purl: 'pkg:npm/nothing@1.0.0' } },
    { name: 'prefix of everything', filter: { purl: 'pkg:npm/*' } },
    { name: 'prefix of a third', filter: { purl: 'pkg:npm/lib-*' } },
    { name: 'prefix of one package', filter: { purl: `${purl.split('@')[0]}@*` } },
    { name: 'prefix of nothing', filter: { purl: 'pkg:pypi/*' } },
    { name: 'level allow', filter: { level: 'allow' } },
    { name: 'level warn', filter: { level: 'warn' } },
    { name: 'level pending', filter: { level: 'pending' } },
    { name: 'level deny', filter: { level: 'deny' } },
    { name: 'rule, common', filter: { rule: 'WEIR-AGE-001' } },
    { name: 'rule, middling', filter: { rule: 'WEIR-RULE-007' } },
    { name: 'rule, rare', filter: { rule: 'WEIR-RARE-001' } },
    { name: 'rule, absent', filter: { rule: 'WEIR-NONE-001' } },
    { name: 'code', filter: { code } },
    { name: 'action install', filter: { action: 'install' } },
    { name: 'action event', filter: { action: 'event' } },
    { name: 'action publish (rare)', filter: { action: 'publish' } },
    { name: 'action, absent', filter: { action: 'admit' } },
    { name: 'outcome served', filter: { outcome: 'served' } },
    { name: 'outcome refused', filter: { outcome: 'refused' } },
    { name: 'outcome, rare', filter: { outcome: 'upstream_failed' } },
    { name: 'outcome, absent', filter: { outcome: 'audit_damaged' } },
    { name: 'window of an hour', filter: { fromMs: ago(1 / 24), untilMs: LAST_MS } },
    { name: 'window far back', filter: { fromMs: ago(300), untilMs: ago(299) } },
    { name: 'window before all', filter: { untilMs: ago(DAYS + 10) } },
    { name: 'rare actor + unit', filter: { actors: [rareActor], unit: 'unit-19' } },
    { name: 'actor + other unit', filter: { actors: [rareActor], unit: 'unit-18' } },
    { name: 'unit + level deny', filter: { unit: 'unit-0', level: 'deny' } },
    { name: 'small unit + level pending', filter: { unit: 'unit-19', level: 'pending' } },
    { name: 'unit + rare rule', filter: { unit: 'unit-0', rule: 'WEIR-RARE-001' } },
    { name: 'unit + common rule', filter: { unit: 'unit-19', rule: 'WEIR-AGE-001' } },
    { name: 'unit + prefix of everything', filter: { unit: 'unit-19', purl: 'pkg:npm/*' } },
    { name: 'unit + prefix of one package', filter: { unit: 'unit-0', purl: `${purl.split('@')[0]}@*` } },
    { name: 'unit + action publish', filter: { unit: 'unit-0', action: 'publish' } },
    { name: 'unit + outcome refused', filter: { unit: 'unit-0', outcome: 'refused' } },
    { name: 'level allow + outcome refused (none)', filter: { level: 'allow', outcome: 'refused' } },
    { name: 'level deny + common rule + far back', filter: { level: 'deny', rule: 'WEIR-AGE-001', untilMs: ago(350) } },
    { name: 'unit + far back', filter: { unit: 'unit-19', fromMs: ago(390), untilMs: ago(380) } },
    { name: 'log + level deny', filter: { log, level: 'deny' } },
    { name: 'log + rare rule', filter: { log, rule: 'WEIR-RARE-001' } },
    { name: 'unit + spoke of another', filter: { unit: 'unit-0', spoke: 'unit-4-1' } },
  ];
}
