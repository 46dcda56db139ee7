// Is a text anywhere in a database? Every column of every table is asked, whatever its type.

import assert from 'node:assert/strict';
import type { Pool } from '@weir/hub/store/postgres/pool.ts';

/** Columns (`table.column`) of every table in which a text stands, as it is or as JSON spells it; bytes are searched too. */
export async function columnsWith(pool: Pool, text: string): Promise<readonly string[]> {
  const tables = await pool.query<{ name: string }>(
    `SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
  );
  assert.ok(tables.rows.length > 15, 'all tables are searched');
  const spellings = [text, JSON.stringify(text).slice(1, -1)];
  const found: string[] = [];
  for (const { name } of tables.rows) {
    const columns = await pool.query<{ column: string; type: string }>(
      `SELECT attname AS column, format_type(atttypid, NULL) AS type FROM pg_attribute
       WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped`,
      [name],
    );
    for (const { column, type } of columns.rows) {
      const value = type === 'bytea' ? `"${column}"` : `convert_to("${column}"::text, 'UTF8')`;
      const hits = await pool.query(
        `SELECT 1 FROM ${name} WHERE ${spellings.map((_, i) => `position($${i + 1}::bytea IN ${value}) > 0`).join(' OR ')} LIMIT 1`,
        spellings.map((spelling) => Buffer.from(spelling, 'utf8')),
      );
      if (hits.rowCount !== 0) found.push(`${name}.${column}`);
    }
  }
  return found;
}
