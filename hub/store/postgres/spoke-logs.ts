// Logs of spokes with their alarms in Postgres: one statement for a page of spokes.

import type { AlarmKind } from '../alarm-store.ts';
import type { CloseReason, LogState } from '../audit-store.ts';
import type { SpokeAlarm, SpokeLogs } from '../spoke-logs.ts';
import type { Pool } from './pool.ts';

interface Row {
  readonly log: string;
  readonly unit: string;
  readonly spoke: string;
  readonly state: LogState;
  readonly reason: CloseReason | '';
  readonly next_index: number;
  readonly receipt: Buffer;
  readonly last_event_time: Date | null;
  readonly alarms: readonly AlarmKind[];
}

export function createSpokeLogs(pool: Pool): SpokeLogs {
  return {
    async logsOf(spokes) {
      const names = [spokes.map(({ unit }) => unit), spokes.map(({ spoke }) => spoke)];
      const [logs, strays] = await Promise.all([
        pool.query<Row>(
          `SELECT l.log, l.unit, l.spoke, l.state, l.reason, l.next_index, l.receipt, l.last_event_time,
             coalesce(a.kinds, '{}') AS alarms
           FROM unnest($1::text[], $2::text[]) AS s (unit, spoke)
           JOIN audit_logs l ON l.unit = s.unit AND l.spoke = s.spoke
           LEFT JOIN LATERAL (
             SELECT array_agg(kind ORDER BY kind) AS kinds FROM audit_alarms a
             WHERE a.unit = l.unit AND a.spoke = l.spoke AND a.log = l.log AND a.settled_at IS NULL
           ) a ON true
           WHERE l.state = 'open' OR a.kinds IS NOT NULL ORDER BY l.log`,
          names,
        ),
        pool.query<SpokeAlarm>(
          `SELECT DISTINCT a.unit, a.spoke, a.kind FROM unnest($1::text[], $2::text[]) AS s (unit, spoke)
           JOIN audit_alarms a ON a.unit = s.unit AND a.spoke = s.spoke AND a.settled_at IS NULL
           WHERE NOT EXISTS (SELECT FROM audit_logs l WHERE l.log = a.log) ORDER BY 1, 2, 3`,
          names,
        ),
      ]);
      return {
        logs: logs.rows.map((row) => ({
          log: row.log,
          unit: row.unit,
          spoke: row.spoke,
          state: row.state,
          reason: row.reason,
          nextIndex: row.next_index,
          receipt: row.receipt,
          lastEventMs: row.last_event_time?.getTime() ?? null,
          alarms: row.alarms,
        })),
        alarms: strays.rows,
      };
    },
  };
}
