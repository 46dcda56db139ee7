// Reasons that the host itself adds to a verdict: staleness of the bundle and failures of a layer. They have rule ids of
// their own, so that rows, refusals and `weir why` treat them as any other rule; no exception can lower them.

import type { Level } from '../domain/level.ts';
import type { Reason } from '../domain/verdict.ts';
import type { JsonObject } from '../domain/json.ts';
import type { PolicyInput } from './input.ts';
import type { LayerFailure } from './layer-answer.ts';

export type Staleness = PolicyInput['context']['staleness'];

export const HOST_RULE_PREFIX = 'WEIR-HOST-';

export const HOST_RULES = {
  staleness: `${HOST_RULE_PREFIX}001`,
  floor_failed: `${HOST_RULE_PREFIX}002`,
  overlay_failed: `${HOST_RULE_PREFIX}003`,
  self_check: `${HOST_RULE_PREFIX}004`,
} as const;

/** What staleness of the last hub-signed time does to every verdict. */
export const STALENESS_LEVELS = {
  fresh: 'allow',
  warn: 'warn',
  restrict: 'pending',
  deny: 'deny',
} as const satisfies Record<Staleness, Level>;

/** undefined while fresh. */
export function stalenessReason(staleness: Staleness): Reason | undefined {
  if (staleness === 'fresh') return undefined;
  return hostReason(HOST_RULES.staleness, `staleness_${staleness}`, STALENESS_LEVELS[staleness], {});
}

export function floorFailedReason(failure: LayerFailure): Reason {
  return hostReason(HOST_RULES.floor_failed, 'floor_failed', 'deny', { failure });
}

/** @param level the signed `on_overlay_error` */
export function overlayFailedReason(failure: LayerFailure, level: 'pending' | 'deny'): Reason {
  return hostReason(HOST_RULES.overlay_failed, 'overlay_failed', level, { failure });
}

export function selfCheckReason(): Reason {
  return hostReason(HOST_RULES.self_check, 'self_check_failed', 'deny', {});
}

function hostReason(rule: string, code: string, level: Level, facts: JsonObject): Reason {
  const effect = level === 'warn' ? 'warn' : 'refuse';
  return { layer: 'host', rule, code, facts, level, effective: level, effect, override: 'none', exception: '' };
}
