// FleetService: a spoke's status report.

import type { FleetService } from '@weir/proto/weir/fleet/v1/fleet_pb.ts';
import { decodeStatus } from './status-message.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { MachineHandlers } from './handler.ts';

export function fleetService(fleet: Fleet): MachineHandlers<typeof FleetService> {
  return {
    async report({ status }, { peer }) {
      const { hubTimeMs, intervalMs } = await fleet.report(peer, decodeStatus(status));
      return { hubTimeMs: BigInt(hubTimeMs), intervalMs };
    },
  };
}
