// The rows that `audit-query` asks over, made by the server itself: a migrated scratch database whose audit table gets N
// rows of 400 days by generate_series, in time order, each with a canonical-looking row of about 700 bytes and its leaf.
// Everything about row i follows from i, so that every run asks over the same rows: 20 units of falling size with two spokes
// of two logs each, 5,000 actors, 60,000 packages; 4 % of the rows have a rule, one rule in half of those and one in five
// rows altogether. Indexes are dropped while rows are made and built afterwards from their own definitions.

import type { Pool } from '@weir/hub/store/postgres/pool.ts';
import { ensureMonths } from '@weir/hub/store/postgres/audit-partitions.ts';

export const DAYS = 400;
/** Event time of the last row; the first is 400 days earlier. */
export const LAST_MS = Date.UTC(2026, 5, 15, 12);
const FIRST_MS = LAST_MS - DAYS * 86_400_000;
const BATCH_ROWS = 500_000;

export async function makeRows(pool: Pool, rows: number, print: (line: string) => void): Promise<void> {
  await ensureMonths(pool, FIRST_MS, LAST_MS);
  const client = await pool.connect();
  try {
    await client.query("SET statement_timeout = 0; SET maintenance_work_mem = '512MB'; SET synchronous_commit = off");
    const { rows: indexes } = await client.query<{ name: string; definition: string }>(
      `SELECT c.relname AS name, pg_get_indexdef(c.oid) AS definition FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
       WHERE i.indrelid = 'audit_rows'::regclass AND NOT i.indisprimary ORDER BY c.relname`,
    );
    for (const { name } of indexes) await client.query(`DROP INDEX ${name}`);
    for (let from = 0; from < rows; from += BATCH_ROWS) {
      await client.query(INSERT, [from, Math.min(rows, from + BATCH_ROWS) - 1, rows, FIRST_MS, LAST_MS - FIRST_MS]);
      if (rows > BATCH_ROWS) print(`made ${Math.min(rows, from + BATCH_ROWS)} of ${rows} rows`);
    }
    for (const { name, definition } of indexes) {
      await client.query(definition.replace(' ON ONLY ', ' ON '));
      if (rows > BATCH_ROWS) print(`built ${name}`);
    }
    await client.query(
      `INSERT INTO audit_logs (log, unit, spoke, next_index) SELECT log, unit, spoke, max(index) + 1 FROM audit_rows GROUP BY 1, 2, 3`,
    );
    await client.query('VACUUM ANALYZE audit_rows, audit_logs');
  } finally {
    client.release();
  }
}

/** `h` mixes i, so that properties of a row do not move in step with its time. */
const INSERT = `
  INSERT INTO audit_rows (log, index, event_time, stored_at, unit, spoke, actor, purl, level, rules, code, action, outcome, row, leaf)
  SELECT log, index, at, at + interval '2 s', unit, spoke, actor, purl, level, rules, code, action, outcome, bytes,
    sha256('\\x00'::bytea || bytes)
  FROM (
    SELECT *, convert_to(format(
        '{"action":"%s","actor":{"id":"%s","kind":"token"},"bundle":"sha256:%s","code":"%s","index":%s,"input":"sha256:%s","level":"%s","log":"%s","outcome":"%s","request":{"client":"npm","ecosystem":"npm","method":"GET","registry":"npm","route":"artifact","target":""},"rules":%s,"site":"default","spoke":"%s","subject":{"digest":"","purl":"%s"},"time":"%s","unit":"%s","v":1}',
        action, actor, repeat('1', 64), code, index, repeat('2', 64), level, log, outcome, array_to_json(rules), spoke, purl,
        to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), unit), 'UTF8') AS bytes
    FROM (
      SELECT i AS index,
        to_timestamp(floor($4::float8 + $5::float8 * i / $3::float8) / 1000) AS at,
        format('unit-%s', u) AS unit,
        format('unit-%s-%s', u, h % 2) AS spoke,
        format('unit-%s.unit-%s-%s.w%s.e0', u, u, h % 2, h / 2 % 2) AS log,
        CASE WHEN h % 50 = 0 THEN '' ELSE 'h:' || md5((power((h % 70001) / 70001.0, 2) * 5000)::int::text) END AS actor,
        format('pkg:npm/%s-%s@%s.%s.0', CASE WHEN h % 3 = 0 THEN 'lib' ELSE 'app' END, h / 7 % 60000, h % 5, h % 11) AS purl,
        CASE WHEN r = 0 THEN 3 WHEN r < 6 THEN 1 WHEN r = 6 THEN 2 WHEN r < 10 THEN 3 ELSE 0 END AS level,
        CASE
          WHEN i % ($3::bigint / 5) = 77 THEN ARRAY['WEIR-RARE-001']
          WHEN r >= 10 THEN '{}'::text[]
          WHEN r < 5 THEN ARRAY['WEIR-AGE-001']
          ELSE ARRAY[format('WEIR-RULE-%s', lpad((h / 13 % 30)::text, 3, '0'))]
        END AS rules,
        CASE WHEN r BETWEEN 6 AND 9 OR r = 0 THEN upper(substr(translate(md5(i::text), 'ilou', '0000'), 1, 8)) ELSE '' END AS code,
        CASE WHEN h % 100003 = 5 THEN 'publish' WHEN h % 100 = 1 THEN 'event' WHEN h % 10 < 4 THEN 'metadata' ELSE 'install' END AS action,
        CASE WHEN r IN (0, 7, 8, 9) THEN 'refused' WHEN h % 100019 = 9 THEN 'upstream_failed' WHEN r < 7 THEN 'filtered' ELSE 'served' END
          AS outcome
      FROM (
        SELECT i, h, h / 11 % 250 AS r, floor(20 * power((h % 9973) / 9973.0, 2))::int AS u
        FROM (SELECT i, (i * 2654435761 % 4294967291)::bigint AS h FROM generate_series($1::bigint, $2::bigint) AS i) AS numbered
      ) AS mixed
    ) AS made
  ) AS whole`;
