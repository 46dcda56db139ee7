// S18: an earlier release was published with better proof of its origin than this one.
// hit: `{was, now}`, each of none, provenance, trusted_publisher, staged_publish; high. clear: `{}`.

import type { Release, Releases } from '../../registries/adapter.ts';
import { memoByObject } from '../memo-by-object.ts';
import { VERSION_ORDERS } from '../version-order.ts';
import { clear, hit, unknown } from './outcome.ts';
import type { Signal } from './signal.ts';

const RANKS = ['none', 'provenance', 'trusted_publisher', 'staged_publish'] as const;

export const trustDowngrade: Signal = {
  id: 'S18',
  name: 'trust_downgrade',
  version: '1.0.0',
  lifecycle: 'stable',
  question: 'Is the origin of this release less well proven than that of an earlier one?',
  motivation: 'A stolen token can publish, but not from the build pipeline that earlier releases came from.',
  remediation: 'Take the last release with the better proof, or ask the maintainers.',
  needs: ['release', 'releases'],
  evaluate({ release, releases }) {
    if (!release.known) return unknown(release.reason);
    if (!releases.known) return unknown(releases.reason);
    const { trustRank, publishedAt, version } = release.value;
    if (trustRank === undefined) return unknown('not_told_by_index');
    const history = historyOf(releases.value);
    // A stable release answers only for stable ones; what cannot be told counts as the stricter case.
    const stable = VERSION_ORDERS[releases.value.name.ecosystem].isPrerelease(version) === false;
    const dated = stable ? history.stable : history.all;
    const undated = stable ? history.undatedStable : history.undated;
    const before = publishedAt === null ? (dated.at(-1)?.best ?? 0) : bestBefore(dated, publishedAt);
    if (publishedAt !== null && before > trustRank) return hit('high', { was: RANKS[before], now: RANKS[trustRank] });
    return Math.max(before, undated) > trustRank ? unknown('publish_time_unknown') : clear();
  },
};

type Rank = 0 | 1 | 2 | 3;

/** Ascending times; `best` is the highest rank published up to and including that time. */
type Climb = readonly { readonly at: number; readonly best: Rank }[];

const historyOf = memoByObject(({ name, releases }: Releases) => {
  const order = VERSION_ORDERS[name.ecosystem];
  const stable = releases.filter(({ version }) => order.isPrerelease(version) !== true);
  return {
    all: climb(releases),
    stable: climb(stable),
    undated: bestUndated(releases),
    undatedStable: bestUndated(stable),
  };
});

function climb(releases: readonly Release[]): Climb {
  const dated = releases
    .flatMap(({ publishedAt, trustRank }) =>
      publishedAt === null || trustRank === undefined ? [] : [{ at: publishedAt, rank: trustRank }],
    )
    .toSorted((a, b) => a.at - b.at);
  const steps: { at: number; best: Rank }[] = [];
  for (const { at, rank } of dated) {
    const best = steps.at(-1)?.best ?? 0;
    if (rank > best) steps.push({ at, best: rank });
  }
  return steps;
}

function bestUndated(releases: readonly Release[]): Rank {
  let best: Rank = 0;
  for (const { publishedAt, trustRank } of releases)
    if (publishedAt === null && trustRank !== undefined && trustRank > best) best = trustRank;
  return best;
}

/** At most three steps: ranks only climb. */
function bestBefore(steps: Climb, publishedAt: number): Rank {
  return steps.findLast(({ at }) => at < publishedAt)?.best ?? 0;
}
