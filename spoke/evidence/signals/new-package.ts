// S09: whether the package itself is new, whatever the age of the release.
// hit: `{days}`, whole days since the first release; low. clear: `{}`.

import type { Releases } from '../../registries/adapter.ts';
import { memoByObject } from '../memo-by-object.ts';
import { clear, hit, notApplicable, unknown } from './outcome.ts';
import type { Signal } from './signal.ts';

export const newPackage: Signal = {
  id: 'S09',
  name: 'new_package',
  version: '1.0.0',
  lifecycle: 'stable',
  question: 'Was the first release of this package published within the window of the settings?',
  motivation: 'Impostors and invented dependencies live under names that did not exist a month ago.',
  remediation: 'Check that the name is the one that was meant.',
  needs: ['releases', 'settings'],
  evaluate({ releases, settings }, at) {
    const window = settings.policy.new_package_days;
    if (window === 0) return notApplicable('switched_off');
    if (!releases.known) return unknown(releases.reason);
    const { first, certain } = firstPublished(releases.value);
    if (first === null) return unknown('publish_time_unknown');
    const days = Math.max(Math.floor((at - first) / 86_400), 0);
    if (days >= window) return clear();
    return certain ? hit('low', { days }) : unknown('publish_time_unknown');
  },
};

/** The earliest known time; not certain when a release without a time may be older still. */
const firstPublished = memoByObject(({ firstPublishedAt, releases }: Releases) => {
  if (firstPublishedAt !== null) return { first: firstPublishedAt, certain: true };
  let first: number | null = null;
  let certain = true;
  for (const { publishedAt } of releases) {
    if (publishedAt === null) certain = false;
    else if (first === null || publishedAt < first) first = publishedAt;
  }
  return { first, certain };
});
