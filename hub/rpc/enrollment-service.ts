// EnrollmentService: join (no certificate), renew and leave.

import type { EnrollmentService } from '@weir/proto/weir/enrollment/v1/enrollment_pb.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Enrollment, IssuedIdentity } from '../enrollment/enrollment.ts';
import type { FailureLimiter } from './failure-limiter.ts';
import type { MachineHandlers, OpenContext } from './handler.ts';

export interface EnrollmentServiceParts {
  readonly enrollment: Enrollment;
  readonly limiter: FailureLimiter;
  /** Canonical JSON of the trust root. */
  readonly trustRoot: () => Promise<Uint8Array>;
  /** host:port of the federation port of every replica. */
  readonly federationAddresses: () => readonly string[];
}

export function enrollmentService(parts: EnrollmentServiceParts): MachineHandlers<typeof EnrollmentService> {
  const { enrollment, limiter, trustRoot, federationAddresses } = parts;
  return {
    async join(request, { remoteAddress }: OpenContext) {
      if (limiter.isBlocked(remoteAddress)) {
        throw new WeirError('resource_exhausted', 'too many failed joins from this address', {
          retry: 'later',
          next: 'wait a minute',
        });
      }
      try {
        const identity = await enrollment.join(request);
        return {
          identity: encodeIdentity(identity),
          trustRoot: await trustRoot(),
          federationAddresses: [...federationAddresses()],
        };
      } catch (thrown) {
        limiter.noteFailure(remoteAddress);
        throw thrown;
      }
    },
    async renew(request, { peer }) {
      const identity = await enrollment.renew(peer, request.csr);
      return { identity: encodeIdentity(identity), trustRoot: await trustRoot() };
    },
    async leave(request, { peer }) {
      await enrollment.leave(peer, request.reason);
      return {};
    },
  };
}

function encodeIdentity(identity: IssuedIdentity) {
  return {
    workspace: identity.workspace,
    unit: identity.unit,
    spoke: identity.spoke,
    certificateChain: identity.chain,
    caBundle: identity.caBundle,
    notAfter: BigInt(Math.floor(identity.notAfterMs / 1000)),
    unitSalt: identity.unitSalt,
  };
}
