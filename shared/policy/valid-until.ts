// When may a verdict change although nothing but time has passed? Known from the settings and the exceptions: a release
// outgrows the cooldown, an exception begins or ends. Staleness is the caller's, who knows the age of the bundle.

import type { Settings } from '../bundle/layers.ts';
import type { Grant } from './exceptions.ts';
import type { Candidate } from './input.ts';

const HOUR_S = 3600;

/** Unix seconds of the next such moment after `now`; null when there is none. */
export function validUntil(
  subject: Candidate['subject'],
  about: readonly Grant[],
  policy: Pick<Settings['policy'], 'cooldown_hours'>,
  now: number,
): number | null {
  let next = Number.POSITIVE_INFINITY;
  const consider = (moment: number): void => {
    if (moment > now && moment < next) next = moment;
  };
  if (subject.published_at !== null && policy.cooldown_hours > 0) {
    consider(subject.published_at + policy.cooldown_hours * HOUR_S);
  }
  for (const grant of about) {
    consider(grant.from);
    consider(grant.until);
  }
  return Number.isFinite(next) ? next : null;
}
