// FleetViewService: every spoke, what it runs and what it should run.

import type { FleetViewService } from '@weir/proto/weir/console/v1/console_pb.ts';
import type { BundleFeed } from '../fleet/bundle-feed.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { encodeSpoke, readPage } from './console-messages.ts';
import type { OperatorHandlers } from './handler.ts';

export function fleetViewService(fleet: Fleet, feed: BundleFeed): OperatorHandlers<typeof FleetViewService> {
  return {
    async listSpokes({ unit, page }) {
      const { spokes, nextCursor } = await fleet.list(unit, readPage(page));
      return {
        spokes: await Promise.all(spokes.map(async (spoke) => encodeSpoke(spoke, await feed.newest(spoke.unit)))),
        nextCursor,
      };
    },
  };
}
