// Alarms and quarantined batches in Postgres. An alarm is raised in the transaction that acts on it.

import {
  type AlarmKind,
  type AlarmRecord,
  type AlarmStore,
  type NewAlarm,
  QUARANTINE_LIMITS,
  type RefusedBatch,
} from '../alarm-store.ts';
import { cutPage, decodeCursor } from '../page.ts';
import type { Pool, Queryable } from './pool.ts';

interface AlarmRow {
  readonly id: number;
  readonly at: Date;
  readonly kind: AlarmKind;
  readonly unit: string;
  readonly spoke: string;
  readonly log: string;
  readonly detail: string;
  readonly held: Buffer;
  readonly offered: Buffer;
  readonly settled_at: Date | null;
  readonly settled_by: string;
}

const COLUMNS = 'id, at, kind, unit, spoke, log, detail, held, offered, settled_at, settled_by';

export function createAlarmStore(pool: Pool): AlarmStore {
  return {
    raise: (alarm) => raiseAlarm(pool, alarm),

    async list({ unit = '', spoke = '', log = '', openOnly }, { size, cursor }) {
      const [before] = decodeCursor(cursor, ['number']) ?? [null];
      const { rows } = await pool.query<AlarmRow>(
        `SELECT ${COLUMNS} FROM audit_alarms
         WHERE ($1 = '' OR unit = $1) AND ($2 = '' OR spoke = $2) AND ($3 = '' OR log = $3)
           AND (NOT $4 OR settled_at IS NULL) AND ($5::bigint IS NULL OR id < $5)
         ORDER BY id DESC LIMIT $6`,
        [unit, spoke, log, openOnly, before, size + 1],
      );
      const page = cutPage(rows, size, (last) => [last.id]);
      return { alarms: page.items.map(alarmIn), nextCursor: page.nextCursor };
    },

    async alarm(id) {
      const { rows } = await pool.query<AlarmRow>(`SELECT ${COLUMNS} FROM audit_alarms WHERE id = $1`, [id]);
      return rows[0] === undefined ? undefined : alarmIn(rows[0]);
    },

    async settle(id, by) {
      const { rowCount } = await pool.query(
        'UPDATE audit_alarms SET settled_at = now(), settled_by = $2 WHERE id = $1 AND settled_at IS NULL',
        [id, by],
      );
      return rowCount === 1;
    },

    async quarantined(log) {
      const { rows } = await pool.query<
        Omit<RefusedBatch, 'firstIndex'> & { readonly id: number; readonly at: Date; readonly first_index: number }
      >(
        `SELECT id, at, log, unit, spoke, first_index, code, detail, rows, checkpoint FROM audit_quarantine
         WHERE log = $1 ORDER BY id`,
        [log],
      );
      return rows.map(({ at, first_index: firstIndex, ...row }) => ({ ...row, firstIndex, atMs: at.getTime() }));
    },
  };
}

/** Raises an alarm unless the same one is open already; true when it is new. */
export async function raiseAlarm(client: Queryable, alarm: NewAlarm): Promise<boolean> {
  const { rowCount } = await client.query(
    `INSERT INTO audit_alarms (kind, unit, spoke, log, detail, held, offered) VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (log, spoke, unit, kind) WHERE settled_at IS NULL DO NOTHING`,
    [alarm.kind, alarm.unit, alarm.spoke, alarm.log, alarm.detail, bytesOf(alarm.held), bytesOf(alarm.offered)],
  );
  return rowCount === 1;
}

/** Keeps a refused batch as far as there is room for its log and its spoke: rows from the first on, while they fit. */
export async function keepRefused(client: Queryable, batch: RefusedBatch): Promise<void> {
  const { rows: found } = await client.query<{ batches: number; of_log: number; of_spoke: number }>(
    `SELECT count(*) FILTER (WHERE log = $3) AS batches, coalesce(sum(size) FILTER (WHERE log = $3), 0)::bigint AS of_log,
       coalesce(sum(size), 0)::bigint AS of_spoke
     FROM (SELECT log, pg_column_size(rows) AS size FROM audit_quarantine WHERE unit = $1 AND spoke = $2) AS kept`,
    [batch.unit, batch.spoke, batch.log],
  );
  const { batches = 0, of_log: ofLog = 0, of_spoke: ofSpoke = 0 } = found[0] ?? {};
  if (batches >= QUARANTINE_LIMITS.batchesPerLog) return;
  let room = Math.min(QUARANTINE_LIMITS.bytesPerLog - ofLog, QUARANTINE_LIMITS.bytesPerSpoke - ofSpoke);
  const rows: Buffer[] = [];
  for (const row of batch.rows) {
    room -= row.length;
    if (room < 0) break;
    rows.push(bytesOf(row));
  }
  await client.query(
    `INSERT INTO audit_quarantine (log, unit, spoke, first_index, code, detail, rows, checkpoint)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [batch.log, batch.unit, batch.spoke, batch.firstIndex, batch.code, batch.detail, rows, bytesOf(batch.checkpoint)],
  );
}

function alarmIn({ at, settled_at: settledAt, settled_by: settledBy, ...alarm }: AlarmRow): AlarmRecord {
  return { ...alarm, atMs: at.getTime(), settledAtMs: settledAt?.getTime() ?? null, settledBy };
}

/** pg writes plain byte arrays as JSON. */
function bytesOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
