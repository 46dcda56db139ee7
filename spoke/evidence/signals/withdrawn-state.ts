// S41: whether the registry or the authors took the release, or the whole project, back.
// hit: `{state}` of quarantined, security_holding (both critical), yanked, unpublished (medium), deprecated, archived (low);
// the gravest one that applies. The authors' reason is upstream text and stays out. clear: `{}`.

import { clear, hit, unknown } from './outcome.ts';
import type { Signal } from './signal.ts';

/** Gravest first. */
const SEVERITIES = {
  quarantined: 'critical',
  security_holding: 'critical',
  yanked: 'medium',
  unpublished: 'medium',
  deprecated: 'low',
  archived: 'low',
} as const;
type Withdrawn = keyof typeof SEVERITIES;

/** Project states of the index, with '' and `active` for projects in good standing. */
const PROJECT_STATES: ReadonlyMap<string, Withdrawn | undefined> = new Map([
  ['', undefined],
  ['active', undefined],
  ['archived', 'archived'],
  ['deprecated', 'deprecated'],
  ['quarantined', 'quarantined'],
  ['security_holding', 'security_holding'],
  ['unpublished', 'unpublished'],
]);

export const withdrawnState: Signal = {
  id: 'S41',
  name: 'withdrawn_state',
  version: '1.0.0',
  lifecycle: 'stable',
  question: 'Was this release yanked, deprecated, archived or quarantined?',
  motivation: 'Releases are taken back for broken code, leaked secrets or malware, and lockfiles keep asking for them.',
  remediation: 'Move to a release that is still supported.',
  needs: ['release', 'releases'],
  evaluate({ release, releases }) {
    if (!releases.known) return unknown(releases.reason);
    const project = PROJECT_STATES.get(releases.value.projectState);
    if (!release.known && project === undefined) return unknown(release.reason);
    const own = release.known ? release.value.withdrawn?.state : undefined;
    const state = gravest(project, own);
    if (state !== undefined) return hit(SEVERITIES[state], { state });
    return PROJECT_STATES.has(releases.value.projectState) ? clear() : unknown('unrecognised_project_state');
  },
};

function gravest(a: Withdrawn | undefined, b: Withdrawn | undefined): Withdrawn | undefined {
  return (Object.keys(SEVERITIES) as readonly Withdrawn[]).find((state) => state === a || state === b);
}
