// Rows straight into the database, for tests of what is done with them afterwards.

import type { Pool } from '@weir/hub/store/postgres/pool.ts';
import { parseLogId } from '@weir/shared/audit/log-id.ts';
import { encodeRow } from '@weir/shared/audit/row-codec.ts';
import type { AuditRow, RowDraft } from '@weir/shared/audit/row.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { rank } from '@weir/shared/domain/level.ts';
import { refusedDraft, servedDraft } from './sample-rows.ts';

/** Adds rows to the end of a log; their ids in order. Without drafts: every third a refusal. */
export async function storeRows(
  pool: Pool,
  log: string,
  count: number,
  draftOf: (index: number) => RowDraft = (index) => (index % 3 === 0 ? refusedDraft() : servedDraft()),
): Promise<readonly string[]> {
  const { unit = '', spoke = '' } = parseLogId(log) ?? {};
  const end = await pool.query<{ next_index: number }>('SELECT next_index FROM audit_logs WHERE log = $1', [log]);
  const first = end.rows[0]?.next_index ?? 0;
  const rows = Array.from({ length: count }, (_, offset): AuditRow => {
    const index = first + offset;
    return { ...draftOf(index), v: 1, log, index, unit, spoke, site: '' };
  });
  const bytes = rows.map((row) => encodeRow(row));
  await pool.query(
    `INSERT INTO audit_rows (log, index, event_time, unit, spoke, actor, purl, level, rules, code, action, outcome, row, leaf)
     SELECT $1, r.index, r.at, $2, $3, r.actor, r.purl, r.level, '{}', r.code, r.action, r.outcome, r.row, r.leaf
     FROM unnest($4::bigint[], $5::timestamptz[], $6::text[], $7::text[], $8::smallint[], $9::text[], $10::text[],
       $11::text[], $12::bytea[], $13::bytea[]) AS r (index, at, actor, purl, level, code, action, outcome, row, leaf)`,
    [
      log,
      unit,
      spoke,
      rows.map(({ index }) => index),
      rows.map(({ time }) => time),
      rows.map(({ actor }) => actor.id),
      rows.map(({ subject }) => subject.purl),
      rows.map(({ level }) => rank(level)),
      rows.map(({ code }) => code),
      rows.map(({ action }) => action),
      rows.map(({ outcome }) => outcome),
      bytes,
      bytes.map((row) => leafHash(row)),
    ],
  );
  await pool.query(
    `INSERT INTO audit_logs (log, unit, spoke, next_index) VALUES ($1, $2, $3, $4)
     ON CONFLICT (log) DO UPDATE SET next_index = excluded.next_index`,
    [log, unit, spoke, first + count],
  );
  return rows.map(({ id }) => id);
}
