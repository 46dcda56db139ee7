// HealthService: whether the hub works, as its operators see it.

import type { HealthService } from '@weir/proto/weir/console/v1/console_pb.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { PolicyStore } from '../store/policy-store.ts';
import type { OperatorHandlers } from './handler.ts';

export function healthService(parts: {
  readonly version: string;
  readonly workspace: string;
  readonly clock: Clock;
  readonly policies: PolicyStore;
  readonly databaseOk: () => Promise<boolean>;
}): OperatorHandlers<typeof HealthService> {
  return {
    async check() {
      const databaseOk = await parts.databaseOk();
      const floor = databaseOk ? await parts.policies.latest({ kind: 'floor' }) : undefined;
      return {
        version: parts.version,
        workspace: parts.workspace,
        nowMs: BigInt(parts.clock.nowMs()),
        databaseOk,
        floorVersion: BigInt(floor?.version ?? 0),
      };
    },
  };
}
