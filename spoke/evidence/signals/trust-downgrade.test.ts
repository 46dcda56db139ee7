import type { Release } from '../../registries/adapter.ts';
import { AT, DAY, known, missing, release, releases, signalTable } from './facts-for-tests.ts';
import { clear, hit, unknown } from './outcome.ts';
import type { SignalFacts } from './signal.ts';
import { trustDowngrade } from './trust-downgrade.ts';

type Rank = Release['trustRank'];

/** Releases `[version, age in days or null, rank]`; the last one is the candidate. */
function history(...rows: readonly (readonly [string, number | null, Rank])[]): Partial<SignalFacts> {
  const list = rows.map(([version, days, trustRank]) =>
    release({ version, publishedAt: days === null ? null : AT - days * DAY, trustRank }),
  );
  return { release: known(list.at(-1) ?? release()), releases: known(releases(list)) };
}

signalTable(trustDowngrade, [
  {
    promise: 'hits a release without the proof of an earlier one',
    change: history(['1.0.0', 9, 2], ['1.0.1', 1, 0]),
    want: hit('high', { was: 'trusted_publisher', now: 'none' }),
  },
  {
    promise: 'hits a partial loss',
    change: history(['1.0.0', 9, 3], ['1.0.1', 1, 1]),
    want: hit('high', { was: 'staged_publish', now: 'provenance' }),
  },
  {
    promise: 'remembers the best of all earlier ones',
    change: history(['1.0.0', 9, 1], ['1.0.1', 8, 0], ['1.0.2', 1, 0]),
    want: hit('high', { was: 'provenance', now: 'none' }),
  },
  { promise: 'clears equal proof', change: history(['1.0.0', 9, 1], ['1.0.1', 1, 1]), want: clear() },
  { promise: 'clears better proof', change: history(['1.0.0', 9, 0], ['1.0.1', 1, 2]), want: clear() },
  { promise: 'clears a first release', change: history(['1.0.0', 9, 0]), want: clear() },
  { promise: 'does not look at later releases', change: history(['2.0.0', 1, 2], ['1.0.0', 9, 0]), want: clear() },
  {
    promise: 'orders by time, not by version',
    change: history(['2.0.0', 9, 2], ['1.9.9', 1, 0]),
    want: hit('high', { was: 'trusted_publisher', now: 'none' }),
  },
  {
    promise: 'does not hold a stable release to a pre-release',
    change: history(['1.0.0-rc.1', 9, 2], ['1.0.0', 1, 0]),
    want: clear(),
  },
  {
    promise: 'holds a pre-release to earlier pre-releases',
    change: history(['1.0.0-rc.1', 9, 2], ['1.0.0-rc.2', 1, 0]),
    want: hit('high', { was: 'trusted_publisher', now: 'none' }),
  },
  {
    promise: 'takes what is no version for the stricter case',
    change: history(['1.0.0-rc.1', 9, 2], ['banana', 1, 0]),
    want: hit('high', { was: 'trusted_publisher', now: 'none' }),
  },
  {
    promise: 'skips releases of unknown proof',
    change: history(['1.0.0', 9, undefined], ['1.0.1', 1, 0]),
    want: clear(),
  },
  {
    promise: 'does not know where the index does not tell',
    change: history(['1.0.0', 9, 2], ['1.0.1', 1, undefined]),
    want: unknown('not_told_by_index'),
  },
  {
    promise: 'does not know an undated candidate below others',
    change: history(['1.0.0', 9, 2], ['1.0.1', null, 0]),
    want: unknown('publish_time_unknown'),
  },
  {
    promise: 'clears an undated candidate with the best proof',
    change: history(['1.0.0', 9, 2], ['1.0.1', null, 2]),
    want: clear(),
  },
  {
    promise: 'does not know below undated releases',
    change: history(['1.0.0', null, 2], ['1.0.1', 1, 0]),
    want: unknown('publish_time_unknown'),
  },
  {
    promise: 'does not know an unlisted release',
    change: { release: missing('not_listed') },
    want: unknown('not_listed'),
  },
  {
    promise: 'does not know without an index',
    change: { releases: missing('upstream_failed') },
    want: unknown('upstream_failed'),
  },
]);
