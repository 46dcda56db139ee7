// How much a row should worry its reader. One scale, from which every schema takes its number.

import type { AuditRow } from '@weir/shared/audit/row.ts';
import { type Effect, effectOf } from './effect.ts';

export const SEVERITIES = ['informational', 'low', 'medium', 'high'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** Events of a spoke after which somebody should look at it. */
const TROUBLE =
  /^(?:log_damaged|log_diverged|hub_lost_rows|row_refused|answers_unrecorded|bundle_refused|engine_failed|spool_failed)$/;
/** Events that are part of ordinary life and worth a second look. */
const NOTABLE = /^(?:log_repaired|log_salvaged|log_reopened|damage_accepted|epoch_opened|stale)$/;

/**
 * A refusal that was acted on has done its work: medium. The same objection that was not acted on is high when something was
 * installed, because what it objected to is now on somebody's machine.
 */
const OF_EFFECT: Readonly<Record<Effect, Severity>> = {
  allowed: 'informational',
  approved: 'low',
  filtered: 'low',
  tolerated: 'low',
  held: 'medium',
  blocked: 'medium',
  unauthorised: 'low',
  rejected: 'low',
  failed: 'medium',
  absent: 'informational',
  none: 'informational',
};

export function severityOf(row: AuditRow): Severity {
  const effect = effectOf(row);
  if (effect === 'none') {
    if (TROUBLE.test(row.outcome)) return 'high';
    return row.level === 'deny' || NOTABLE.test(row.outcome) ? 'low' : 'informational';
  }
  if (effect === 'tolerated' && row.action === 'install') return 'high';
  return effect === 'allowed' && row.level !== 'allow' ? 'low' : OF_EFFECT[effect];
}
