// Unit tokens in Postgres.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { cutPage, decodeCursor } from '../page.ts';
import type { UnitToken, UnitTokenStore } from '../unit-token-store.ts';
import { FOREIGN_KEY_VIOLATION, type Pool, sqlState } from './pool.ts';

interface Row {
  readonly id: string;
  readonly unit: string;
  readonly sha256: string;
  readonly principal: string;
  readonly kind: UnitToken['kind'];
  readonly groups: string[];
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly revoked_at: Date | null;
}

const COLUMNS = 'id, unit, sha256, principal, kind, groups, created_at, expires_at, revoked_at';

export function createUnitTokenStore(pool: Pool): UnitTokenStore {
  return {
    async insertToken(token) {
      try {
        const { rows } = await pool.query<Row>(
          `INSERT INTO unit_tokens (id, unit, sha256, principal, kind, groups, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING ${COLUMNS}`,
          [
            token.id,
            token.unit,
            token.sha256,
            token.principal,
            token.kind,
            token.groups,
            token.expiresAtMs === null ? null : new Date(token.expiresAtMs),
          ],
        );
        if (rows[0] === undefined) throw new WeirError('internal', 'the database returned no row');
        return record(rows[0]);
      } catch (thrown) {
        if (sqlState(thrown) !== FOREIGN_KEY_VIOLATION) throw thrown;
        throw new WeirError('not_found', `there is no unit ${token.unit}`, { cause: thrown });
      }
    },
    async revokeToken(id) {
      const { rows } = await pool.query<Row>(
        `UPDATE unit_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING ${COLUMNS}`,
        [id],
      );
      return rows[0] === undefined ? undefined : record(rows[0]);
    },
    async listTokens(unit, page) {
      const [before] = decodeCursor(page.cursor, ['string']) ?? [null];
      const { rows } = await pool.query<Row>(
        `SELECT ${COLUMNS} FROM unit_tokens WHERE ($1 = '' OR unit = $1) AND ($2::text IS NULL OR id < $2)
         ORDER BY id DESC LIMIT $3`,
        [unit, before, page.size + 1],
      );
      const cut = cutPage(rows, page.size, (last) => [last.id]);
      return { tokens: cut.items.map(record), nextCursor: cut.nextCursor };
    },
    async activeTokens(unit, atMs) {
      const { rows } = await pool.query<Row>(
        `SELECT ${COLUMNS} FROM unit_tokens
         WHERE unit = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2) ORDER BY id`,
        [unit, new Date(atMs)],
      );
      return rows.map(record);
    },
  };
}

function record(row: Row): UnitToken {
  return {
    id: row.id,
    unit: row.unit,
    sha256: row.sha256,
    principal: row.principal,
    kind: row.kind,
    groups: row.groups,
    createdAtMs: row.created_at.getTime(),
    expiresAtMs: row.expires_at?.getTime() ?? null,
    revokedAtMs: row.revoked_at?.getTime() ?? null,
  };
}
