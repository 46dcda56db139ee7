// SpokeService: invitations and revocation.

import type { SpokeService } from '@weir/proto/weir/console/v1/console_pb.ts';
import type { Enrollment } from '../enrollment/enrollment.ts';
import type { OperatorHandlers } from './handler.ts';

export function spokeService(parts: {
  readonly enrollment: Enrollment;
  readonly caPin: string;
  readonly joinAddresses: () => readonly string[];
}): OperatorHandlers<typeof SpokeService> {
  const { enrollment, caPin, joinAddresses } = parts;
  return {
    async invite({ unit, spoke, ttlS, replace }, { operator }) {
      const invitation = await enrollment.invite({ unit, spoke, ttlS, replace, by: operator.name });
      return {
        joinToken: invitation.joinToken,
        caPin,
        joinAddresses: [...joinAddresses()],
        expiresAtMs: BigInt(invitation.expiresAtMs),
      };
    },
    async revoke({ unit, spoke, reason }, { operator }) {
      return { certificates: await enrollment.revoke(unit, spoke, reason, operator.name) };
    },
  };
}
