// Enrollment in Postgres. Burning a token is one conditional update; the spoke's row is the lock of its identity.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { CertificateRecord, EnrollmentStore, JoinTokenRecord } from '../enrollment-store.ts';
import { FOREIGN_KEY_VIOLATION, inTransaction, type Pool, type Queryable, sqlState } from './pool.ts';

/** Channel of denial notifications; the payload is `unit/spoke`. */
export const DENIAL_CHANNEL = 'weir_denials';

interface TokenRow {
  readonly sha256: string;
  readonly unit: string;
  readonly spoke: string;
  readonly replaces: boolean;
  readonly created_by: string;
  readonly created_at: Date;
  readonly expires_at: Date;
}

interface SpokeRow {
  readonly unit: string;
  readonly name: string;
  readonly site: string;
  readonly engine: string;
  readonly log_key: Buffer;
  readonly enrolled_at: Date;
  readonly left_at: Date | null;
  readonly denied_at: Date | null;
}

const TOKEN_COLUMNS = 'sha256, unit, spoke, replaces, created_by, created_at, expires_at';

export function createEnrollmentStore(pool: Pool): EnrollmentStore {
  return {
    async insertJoinToken(token) {
      try {
        await pool.query(`INSERT INTO join_tokens (${TOKEN_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)`, [
          token.sha256,
          token.unit,
          token.spoke,
          token.replaces,
          token.createdBy,
          new Date(token.createdAtMs),
          new Date(token.expiresAtMs),
        ]);
      } catch (thrown) {
        if (sqlState(thrown) !== FOREIGN_KEY_VIOLATION) throw thrown;
        throw new WeirError('not_found', `there is no unit ${token.unit}`, { cause: thrown });
      }
    },
    async burnJoinToken(sha256, atMs) {
      const burnt = await pool.query<TokenRow>(
        `UPDATE join_tokens SET used_at = $2 WHERE sha256 = $1 AND used_at IS NULL RETURNING ${TOKEN_COLUMNS}`,
        [sha256, new Date(atMs)],
      );
      if (burnt.rows[0] !== undefined) return { kind: 'burnt', token: tokenOf(burnt.rows[0]) };
      const { rows } = await pool.query<TokenRow>(`SELECT ${TOKEN_COLUMNS} FROM join_tokens WHERE sha256 = $1`, [
        sha256,
      ]);
      return rows[0] === undefined ? { kind: 'unknown' } : { kind: 'reused', token: tokenOf(rows[0]) };
    },
    async spoke(unit, name) {
      const { rows } = await pool.query<SpokeRow>(
        `SELECT unit, name, site, engine, log_key, enrolled_at, left_at, denied_at FROM spokes
         WHERE unit = $1 AND name = $2`,
        [unit, name],
      );
      const row = rows[0];
      if (row === undefined) return undefined;
      return {
        unit: row.unit,
        name: row.name,
        site: row.site,
        engine: row.engine,
        logKey: new Uint8Array(row.log_key),
        enrolledAtMs: row.enrolled_at.getTime(),
        leftAtMs: row.left_at?.getTime() ?? null,
        deniedAtMs: row.denied_at?.getTime() ?? null,
      };
    },
    hasLiveIdentity: (unit, name, atMs) => isLive(pool, unit, name, atMs),
    enroll: (spoke, certificate, replace) =>
      inTransaction(pool, async (client) => {
        // The unit's row serialises joins under a name that has no row yet.
        await client.query('SELECT 1 FROM units WHERE name = $1 FOR UPDATE', [spoke.unit]);
        if (!replace && (await isLive(client, spoke.unit, spoke.name, certificate.issuedAtMs))) return 'live';
        await revokeCertificates(client, spoke.unit, spoke.name, certificate.issuedAtMs);
        await client.query(
          `INSERT INTO spokes (unit, name, site, engine, log_key, enrolled_at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (unit, name) DO UPDATE SET site = excluded.site, engine = excluded.engine,
             log_key = excluded.log_key, enrolled_at = excluded.enrolled_at, left_at = NULL, denied_at = NULL`,
          [spoke.unit, spoke.name, spoke.site, spoke.engine, Buffer.from(spoke.logKey), new Date(spoke.enrolledAtMs)],
        );
        await insertCertificate(client, certificate);
        await client.query('SELECT pg_notify($1, $2)', [DENIAL_CHANNEL, `${spoke.unit}/${spoke.name}`]);
        return 'enrolled';
      }),
    renew: (oldSerial, certificate) =>
      inTransaction(pool, async (client) => {
        const { rowCount } = await client.query(
          `SELECT 1 FROM spokes s JOIN certificates c ON c.unit = s.unit AND c.spoke = s.name
           WHERE s.unit = $1 AND s.name = $2 AND s.left_at IS NULL AND s.denied_at IS NULL
             AND c.serial = $3 AND c.revoked_at IS NULL FOR UPDATE OF s`,
          [certificate.unit, certificate.spoke, oldSerial],
        );
        if (rowCount === 0) return 'refused';
        await insertCertificate(client, certificate);
        return 'renewed';
      }),
    revokeSpoke: (unit, name, how, atMs) =>
      inTransaction(pool, async (client) => {
        const { rowCount } = await client.query(
          `UPDATE spokes SET denied_at = CASE WHEN $3 = 'denied' THEN $4 ELSE denied_at END,
             left_at = CASE WHEN $3 = 'left' THEN $4 ELSE left_at END
           WHERE unit = $1 AND name = $2`,
          [unit, name, how, new Date(atMs)],
        );
        // An invitation that is still out would give back what is taken here.
        const withdrawn =
          how === 'denied'
            ? await client.query(
                'UPDATE join_tokens SET used_at = $3 WHERE unit = $1 AND spoke = $2 AND used_at IS NULL',
                [unit, name, new Date(atMs)],
              )
            : undefined;
        if (rowCount === 0) return (withdrawn?.rowCount ?? 0) > 0 ? 0 : undefined;
        const revoked = await revokeCertificates(client, unit, name, atMs);
        await client.query('SELECT pg_notify($1, $2)', [DENIAL_CHANNEL, `${unit}/${name}`]);
        return revoked;
      }),
    async denials(sinceMs) {
      const [spokes, serials] = await Promise.all([
        pool.query<{ id: string }>(
          "SELECT unit || '/' || name AS id FROM spokes WHERE denied_at IS NOT NULL OR left_at IS NOT NULL",
        ),
        pool.query<{ serial: string }>(
          'SELECT serial FROM certificates WHERE revoked_at IS NOT NULL AND not_after > $1',
          [new Date(sinceMs)],
        ),
      ]);
      return {
        spokes: new Set(spokes.rows.map((row) => row.id)),
        serials: new Set(serials.rows.map((row) => row.serial)),
      };
    },
  };
}

async function isLive(client: Queryable, unit: string, name: string, atMs: number): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT 1 FROM spokes s JOIN certificates c ON c.unit = s.unit AND c.spoke = s.name
     WHERE s.unit = $1 AND s.name = $2 AND s.left_at IS NULL AND s.denied_at IS NULL
       AND c.revoked_at IS NULL AND c.not_after > $3 LIMIT 1`,
    [unit, name, new Date(atMs)],
  );
  return rowCount === 1;
}

async function revokeCertificates(client: Queryable, unit: string, name: string, atMs: number): Promise<number> {
  const { rowCount } = await client.query(
    'UPDATE certificates SET revoked_at = $3 WHERE unit = $1 AND spoke = $2 AND revoked_at IS NULL',
    [unit, name, new Date(atMs)],
  );
  return rowCount ?? 0;
}

async function insertCertificate(client: Queryable, certificate: CertificateRecord): Promise<void> {
  await client.query(
    'INSERT INTO certificates (serial, unit, spoke, issued_at, not_after) VALUES ($1, $2, $3, $4, $5)',
    [
      certificate.serial,
      certificate.unit,
      certificate.spoke,
      new Date(certificate.issuedAtMs),
      new Date(certificate.notAfterMs),
    ],
  );
}

function tokenOf(row: TokenRow): JoinTokenRecord {
  return {
    sha256: row.sha256,
    unit: row.unit,
    spoke: row.spoke,
    replaces: row.replaces,
    createdBy: row.created_by,
    createdAtMs: row.created_at.getTime(),
    expiresAtMs: row.expires_at.getTime(),
  };
}
