// Hub events in Postgres.

import type { JsonObject } from '@weir/shared/domain/json.ts';
import type { EventKind, EventStore } from '../event-store.ts';
import { cutPage, decodeCursor } from '../page.ts';
import type { Pool } from './pool.ts';

interface Row {
  readonly id: number;
  readonly at: Date;
  readonly kind: EventKind;
  readonly alarm: boolean;
  readonly unit: string;
  readonly spoke: string;
  readonly detail: JsonObject;
}

export function createEventStore(pool: Pool): EventStore {
  return {
    async insertEvent({ kind, alarm, unit, spoke, detail }) {
      await pool.query('INSERT INTO hub_events (kind, alarm, unit, spoke, detail) VALUES ($1, $2, $3, $4, $5)', [
        kind,
        alarm,
        unit,
        spoke,
        detail,
      ]);
    },
    async listEvents(filter, page) {
      const [before] = decodeCursor(page.cursor, ['number']) ?? [null];
      const { rows } = await pool.query<Row>(
        `SELECT id, at, kind, alarm, unit, spoke, detail FROM hub_events
         WHERE ($1 = '' OR unit = $1) AND (NOT $2 OR alarm) AND ($3::bigint IS NULL OR id < $3)
         ORDER BY id DESC LIMIT $4`,
        [filter.unit, filter.alarmsOnly, before, page.size + 1],
      );
      const cut = cutPage(rows, page.size, (last) => [last.id]);
      return {
        events: cut.items.map(({ at, ...event }) => ({ ...event, atMs: at.getTime() })),
        nextCursor: cut.nextCursor,
      };
    },
  };
}
