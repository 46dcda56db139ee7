// Operator tokens in Postgres.

import type { OperatorTokenStore } from '../operator-token-store.ts';
import type { Pool } from './pool.ts';

interface Row {
  readonly id: string;
  readonly name: string;
  readonly sha256: string;
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly revoked_at: Date | null;
}

export function createOperatorTokenStore(pool: Pool): OperatorTokenStore {
  return {
    async insertOperatorToken({ id, name, sha256, expiresAtMs }) {
      await pool.query('INSERT INTO operator_tokens (id, name, sha256, expires_at) VALUES ($1, $2, $3, $4)', [
        id,
        name,
        sha256,
        expiresAtMs === null ? null : new Date(expiresAtMs),
      ]);
    },
    async activeOperatorTokens(atMs) {
      const { rows } = await pool.query<Row>(
        `SELECT id, name, sha256, created_at, expires_at, revoked_at FROM operator_tokens
         WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1) ORDER BY id`,
        [new Date(atMs)],
      );
      return rows.map((row) => ({
        id: row.id,
        name: row.name,
        sha256: row.sha256,
        createdAtMs: row.created_at.getTime(),
        expiresAtMs: row.expires_at?.getTime() ?? null,
        revokedAtMs: row.revoked_at?.getTime() ?? null,
      }));
    },
  };
}
