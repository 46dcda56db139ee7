// Fleet status in Postgres: one row per spoke, replaced by every report.

import type { SpokeStatus } from '../../fleet/spoke-status.ts';
import type { FleetStore } from '../fleet-store.ts';
import { cutPage, decodeCursor } from '../page.ts';
import type { Pool } from './pool.ts';

interface Row {
  readonly unit: string;
  readonly spoke: string;
  readonly site: string;
  readonly enrolled_at: Date;
  readonly certificate_expires_at: Date | null;
  readonly watching: boolean | null;
  readonly last_seen: Date | null;
  readonly status: SpokeStatus | null;
  readonly denied: boolean;
}

export function createFleetStore(pool: Pool): FleetStore {
  return {
    async putStatus(unit, spoke, status, atMs) {
      await pool.query(
        `INSERT INTO fleet_status (unit, spoke, status, watching, last_seen) VALUES ($1, $2, $3, false, $4)
         ON CONFLICT (unit, spoke) DO UPDATE SET status = excluded.status, last_seen = excluded.last_seen`,
        [unit, spoke, status, new Date(atMs)],
      );
    },
    async setWatching(unit, spoke, watching, atMs) {
      await pool.query(
        `INSERT INTO fleet_status (unit, spoke, watching, last_seen) VALUES ($1, $2, $3, $4)
         ON CONFLICT (unit, spoke) DO UPDATE SET watching = excluded.watching, last_seen = excluded.last_seen`,
        [unit, spoke, watching, new Date(atMs)],
      );
    },
    async noteActivation(unit, spoke, outcome, atMs) {
      await pool.query(
        `UPDATE fleet_status SET status = coalesce(status, '{}'::jsonb) || $3::jsonb, last_seen = $4
         WHERE unit = $1 AND spoke = $2 AND status IS NOT NULL`,
        [unit, spoke, outcome, new Date(atMs)],
      );
    },
    async listFleet(unit, page) {
      const [afterUnit, afterSpoke] = decodeCursor(page.cursor, ['string', 'string']) ?? [null, null];
      const { rows } = await pool.query<Row>(
        `SELECT s.unit, s.name AS spoke, s.site, s.enrolled_at, s.denied_at IS NOT NULL AS denied,
           (SELECT max(c.not_after) FROM certificates c WHERE c.unit = s.unit AND c.spoke = s.name AND c.revoked_at IS NULL)
             AS certificate_expires_at,
           f.watching, f.last_seen, f.status
         FROM spokes s LEFT JOIN fleet_status f ON f.unit = s.unit AND f.spoke = s.name
         WHERE s.left_at IS NULL AND ($1 = '' OR s.unit = $1)
           AND ($2::text IS NULL OR (s.unit, s.name) > ($2, $3::text))
         ORDER BY s.unit, s.name LIMIT $4`,
        [unit, afterUnit, afterSpoke, page.size + 1],
      );
      const cut = cutPage(rows, page.size, (last) => [last.unit, last.spoke]);
      return {
        spokes: cut.items.map((row) => ({
          unit: row.unit,
          spoke: row.spoke,
          site: row.site,
          enrolledAtMs: row.enrolled_at.getTime(),
          certificateExpiresAtMs: row.certificate_expires_at?.getTime() ?? 0,
          watching: row.watching ?? false,
          lastSeenMs: row.last_seen?.getTime() ?? null,
          status: row.status,
          denied: row.denied,
        })),
        nextCursor: cut.nextCursor,
      };
    },
  };
}
