// FleetViewService: every spoke, what it runs and what it should run, and where its logs stand.

import type { FleetViewService } from '@weir/proto/weir/console/v1/console_pb.ts';
import type { BundleFeed } from '../fleet/bundle-feed.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { SpokeLogs } from '../store/spoke-logs.ts';
import { encodeSpoke, readPage } from './console-messages.ts';
import type { OperatorHandlers } from './handler.ts';

export function fleetViewService(
  fleet: Fleet,
  feed: BundleFeed,
  spokeLogs: SpokeLogs,
): OperatorHandlers<typeof FleetViewService> {
  return {
    async listSpokes({ unit, page }) {
      const { spokes, nextCursor } = await fleet.list(unit, readPage(page));
      const { logs, alarms } = await spokeLogs.logsOf(spokes);
      return {
        spokes: await Promise.all(
          spokes.map(async (spoke) => {
            const own = (each: { readonly unit: string; readonly spoke: string }): boolean =>
              each.unit === spoke.unit && each.spoke === spoke.spoke;
            return encodeSpoke(spoke, await feed.newest(spoke.unit), {
              logs: logs.filter(own),
              alarms: alarms.filter(own).map(({ kind }) => kind),
            });
          }),
        ),
        nextCursor,
      };
    },
  };
}
