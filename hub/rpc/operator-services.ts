// The admin port's services: one explicit list.

import {
  AuditActorService,
  AuditAlarmService,
  AuditCopyService,
  AuditLogService,
} from '@weir/proto/weir/console/v1/audit_pb.ts';
import {
  AuditQueryService,
  EventService,
  FleetViewService,
  HealthService,
  PolicyService,
  SpokeService,
  TokenService,
  UnitService,
} from '@weir/proto/weir/console/v1/console_pb.ts';
import type { BundleFeed } from '../fleet/bundle-feed.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { AlarmStore } from '../store/alarm-store.ts';
import type { EventStore } from '../store/event-store.ts';
import type { SpokeLogs } from '../store/spoke-logs.ts';
import type { UnitTokens } from '../unit/unit-tokens.ts';
import { auditActorService } from './audit-actor-service.ts';
import { auditAlarmService } from './audit-alarm-service.ts';
import { type AuditCopyParts, auditCopyService } from './audit-copy-service.ts';
import { type AuditLogParts, auditLogService } from './audit-log-service.ts';
import { type AuditQueryParts, auditQueryService } from './audit-query-service.ts';
import { eventService } from './event-service.ts';
import { fleetViewService } from './fleet-view-service.ts';
import { healthService } from './health-service.ts';
import { policyService } from './policy-service.ts';
import { forOperators, type OperatorService } from './service.ts';
import { spokeService } from './spoke-service.ts';
import { tokenService } from './token-service.ts';
import { unitService } from './unit-service.ts';

export interface OperatorServiceParts {
  readonly unit: Parameters<typeof unitService>[0];
  readonly spoke: Parameters<typeof spokeService>[0];
  readonly policy: Parameters<typeof policyService>[0];
  readonly tokens: UnitTokens;
  readonly fleet: Fleet;
  readonly feed: BundleFeed;
  readonly spokeLogs: SpokeLogs;
  readonly audit: AuditQueryParts;
  readonly logs: AuditLogParts;
  readonly copies: AuditCopyParts;
  readonly alarms: AlarmStore;
  readonly actors: Parameters<typeof auditActorService>[0];
  readonly events: EventStore;
  readonly health: Parameters<typeof healthService>[0];
}

export function operatorServices(parts: OperatorServiceParts): readonly OperatorService[] {
  return [
    forOperators(UnitService, unitService(parts.unit)),
    forOperators(SpokeService, spokeService(parts.spoke)),
    forOperators(PolicyService, policyService(parts.policy)),
    forOperators(TokenService, tokenService(parts.tokens)),
    forOperators(FleetViewService, fleetViewService(parts.fleet, parts.feed, parts.spokeLogs)),
    forOperators(AuditQueryService, auditQueryService(parts.audit)),
    forOperators(AuditLogService, auditLogService(parts.logs)),
    forOperators(AuditCopyService, auditCopyService(parts.copies)),
    forOperators(AuditAlarmService, auditAlarmService(parts.alarms)),
    forOperators(AuditActorService, auditActorService(parts.actors)),
    forOperators(EventService, eventService(parts.events)),
    forOperators(HealthService, healthService(parts.health)),
  ];
}
