// S07: how long the release has been public.
// hit (younger than the unit's cooldown, or dated in the future) and clear: `{hours}`, whole hours, at most 2160
// (90 days), so that every older version gives the same value.

import { clear, hit, unknown } from './outcome.ts';
import type { Signal } from './signal.ts';

/** No cooldown is longer, see the settings schema. */
export const AGE_CAP_HOURS = 2160;

export const age: Signal = {
  id: 'S07',
  name: 'age',
  version: '1.0.0',
  lifecycle: 'stable',
  question: 'How long has this release been public?',
  motivation: 'Most malicious releases are found within days by those who look; waiting lets them look first.',
  remediation: 'Take an older release, or wait.',
  needs: ['release', 'settings'],
  evaluate({ release, settings }, at) {
    if (!release.known) return unknown(release.reason);
    if (release.value.publishedAt === null) return unknown('publish_time_unknown');
    const elapsed = Math.floor((at - release.value.publishedAt) / 3600);
    const hours = Math.min(Math.max(elapsed, 0), AGE_CAP_HOURS);
    return hours < settings.policy.cooldown_hours ? hit('medium', { hours }) : clear({ hours });
  },
};
