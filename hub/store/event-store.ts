// What happened at the hub itself: joins, refusals worth an alarm, revocations.

import type { JsonObject } from '@weir/shared/domain/json.ts';

export const EVENT_KINDS = [
  'unit_created',
  'settings_changed',
  'spoke_invited',
  'spoke_joined',
  'spoke_replaced',
  'spoke_left',
  'spoke_revoked',
  'join_token_unknown',
  'join_token_reused',
  'join_token_expired',
  'join_token_wrong_spoke',
  'join_over_live_identity',
  'renewal_refused',
  'operator_token_created',
  'unit_token_created',
  'unit_token_revoked',
  'actor_erased',
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

export interface NewHubEvent {
  readonly kind: EventKind;
  /** True when someone should look at it. */
  readonly alarm: boolean;
  readonly unit: string;
  readonly spoke: string;
  /** Never a secret. */
  readonly detail: JsonObject;
}

export interface HubEventRecord extends NewHubEvent {
  readonly id: number;
  readonly atMs: number;
}

export interface EventStore {
  insertEvent(event: NewHubEvent): Promise<void>;
  /** Newest first; `unit` '' means all. */
  listEvents(
    filter: { readonly unit: string; readonly alarmsOnly: boolean },
    page: { readonly size: number; readonly cursor: string },
  ): Promise<{ readonly events: readonly HubEventRecord[]; readonly nextCursor: string }>;
}
