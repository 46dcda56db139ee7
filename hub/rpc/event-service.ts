// EventService: what happened at the hub itself.

import type { EventService } from '@weir/proto/weir/console/v1/console_pb.ts';
import type { EventStore } from '../store/event-store.ts';
import { readPage } from './console-messages.ts';
import type { OperatorHandlers } from './handler.ts';

export function eventService(store: EventStore): OperatorHandlers<typeof EventService> {
  return {
    async listEvents({ unit, alarms, page }) {
      const { events, nextCursor } = await store.listEvents({ unit, alarmsOnly: alarms }, readPage(page));
      return {
        events: events.map(({ atMs, kind, alarm, unit: of, spoke, detail }) => ({
          atMs: BigInt(atMs),
          kind,
          alarm,
          unit: of,
          spoke,
          detail: JSON.stringify(detail),
        })),
        nextCursor,
      };
    },
  };
}
