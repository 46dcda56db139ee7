// The federation port's services: one explicit list.

import { AuditService } from '@weir/proto/weir/audit/v1/audit_pb.ts';
import { BundleService } from '@weir/proto/weir/bundle/v1/bundle_pb.ts';
import { EnrollmentService } from '@weir/proto/weir/enrollment/v1/enrollment_pb.ts';
import { FleetService } from '@weir/proto/weir/fleet/v1/fleet_pb.ts';
import type { Ingest } from '../audit/ingest.ts';
import type { OwnLeaves } from '../audit/own-leaves.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { auditService } from './audit-service.ts';
import { bundleService, type BundleServiceParts } from './bundle-service.ts';
import { enrollmentService, type EnrollmentServiceParts } from './enrollment-service.ts';
import { fleetService } from './fleet-service.ts';
import { forMachines, type MachineService } from './service.ts';

export interface MachineServiceParts {
  readonly enrollment: EnrollmentServiceParts;
  readonly bundle: BundleServiceParts;
  readonly fleet: Fleet;
  readonly ingest: Ingest;
  readonly leaves: OwnLeaves;
}

export function machineServices(parts: MachineServiceParts): readonly MachineService[] {
  return [
    forMachines(EnrollmentService, enrollmentService(parts.enrollment), { open: ['join'], grace: ['renew'] }),
    forMachines(BundleService, bundleService(parts.bundle)),
    forMachines(FleetService, fleetService(parts.fleet)),
    forMachines(AuditService, auditService(parts.ingest, parts.leaves)),
  ];
}
