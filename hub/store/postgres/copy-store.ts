// Positions of copies in Postgres.

import type { CopyPosition, CopyStore } from '../copy-store.ts';
import type { Pool } from './pool.ts';

interface Row {
  readonly target: string;
  readonly log: string;
  readonly copied: number;
  readonly verified: number;
  readonly checkpoint_at: Date | null;
  readonly updated_at: Date;
}

const COLUMNS = 'target, log, copied, verified, checkpoint_at, updated_at';

export function createCopyStore(pool: Pool): CopyStore {
  return {
    async position(target, log) {
      const { rows } = await pool.query<Row>(`SELECT ${COLUMNS} FROM audit_copies WHERE target = $1 AND log = $2`, [
        target,
        log,
      ]);
      return rows[0] === undefined ? undefined : positionIn(rows[0]);
    },

    async moved(target, log, { copied, verified, receiptAtMs, closed = false }) {
      await pool.query(
        `INSERT INTO audit_copies AS held (target, log, copied, verified, checkpoint_at, updated_at, closed)
         VALUES ($1, $2, $3, $4, to_timestamp($5::double precision / 1000),
           coalesce(to_timestamp($5::double precision / 1000), now()), $6)
         ON CONFLICT (target, log) DO UPDATE SET copied = greatest(held.copied, excluded.copied),
           verified = greatest(held.verified, excluded.verified),
           checkpoint_at = coalesce(excluded.checkpoint_at, held.checkpoint_at), updated_at = excluded.updated_at,
           closed = held.closed OR excluded.closed`,
        [target, log, copied, verified, receiptAtMs ?? null, closed],
      );
    },

    async behind(target, { after, limit, receiptBeforeMs }) {
      // A position that moved since its last kept receipt has a later `updated_at`.
      const { rows } = await pool.query<{ log: string }>(
        `SELECT logs.log FROM audit_logs AS logs
         LEFT JOIN audit_copies AS copy ON copy.target = $1 AND copy.log = logs.log
         WHERE logs.vkey <> '' AND logs.next_index > 0 AND logs.log > $2
           AND (copy.log IS NULL OR logs.next_index > copy.verified OR copy.checkpoint_at IS NULL
             OR (logs.state = 'closed' AND NOT copy.closed)
             OR (copy.updated_at > copy.checkpoint_at AND copy.checkpoint_at < to_timestamp($4::double precision / 1000)))
         ORDER BY logs.log LIMIT $3`,
        [target, after, limit, receiptBeforeMs],
      );
      return rows.map(({ log }) => log);
    },

    async unverified(target) {
      const { rows } = await pool.query<{ rows: number }>(
        `SELECT coalesce(sum(logs.next_index - coalesce(copy.verified, 0)), 0)::bigint AS rows FROM audit_logs AS logs
         LEFT JOIN audit_copies AS copy ON copy.target = $1 AND copy.log = logs.log`,
        [target],
      );
      return rows[0]?.rows ?? 0;
    },

    async list({ log, after, limit }) {
      const { rows } = await pool.query<Row>(
        `SELECT ${COLUMNS} FROM audit_copies WHERE ($1 = '' OR log = $1) AND (target, log) > ($2, $3)
         ORDER BY target, log LIMIT $4`,
        [log, after?.target ?? '', after?.log ?? '', limit],
      );
      return rows.map(positionIn);
    },
  };
}

function positionIn(row: Row): CopyPosition {
  return {
    target: row.target,
    log: row.log,
    copied: row.copied,
    verified: row.verified,
    receiptAtMs: row.checkpoint_at?.getTime() ?? null,
    updatedAtMs: row.updated_at.getTime(),
  };
}
