import { AT, DAY, known, missing, release, releases, settingsWith, signalTable } from './facts-for-tests.ts';
import { newPackage } from './new-package.ts';
import { clear, hit, notApplicable, unknown } from './outcome.ts';

const first = (firstPublishedAt: number | null, times: readonly (number | null)[] = []) => ({
  releases: known(
    releases(
      times.map((publishedAt) => release({ publishedAt })),
      { firstPublishedAt },
    ),
  ),
});

signalTable(newPackage, [
  { promise: 'hits a package of yesterday', change: first(AT - DAY), want: hit('low', { days: 1 }) },
  { promise: 'hits on the last day of the window', change: first(AT - 30 * DAY + 1), want: hit('low', { days: 29 }) },
  { promise: 'clears a package as old as the window', change: first(AT - 30 * DAY), want: clear() },
  { promise: 'takes a package from the future for new', change: first(AT + DAY), want: hit('low', { days: 0 }) },
  {
    promise: 'falls back to the oldest release',
    change: first(null, [AT - DAY, AT - 3 * DAY]),
    want: hit('low', { days: 3 }),
  },
  {
    promise: 'is sure of an old release beside undated ones',
    change: first(null, [null, AT - 40 * DAY]),
    want: clear(),
  },
  {
    promise: 'is not sure of a young release beside undated ones',
    change: first(null, [null, AT - DAY]),
    want: unknown('publish_time_unknown'),
  },
  { promise: 'does not know without any time', change: first(null, [null]), want: unknown('publish_time_unknown') },
  { promise: 'does not know a package without releases', change: first(null), want: unknown('publish_time_unknown') },
  {
    promise: 'does not know without an index',
    change: { releases: missing('upstream_failed') },
    want: unknown('upstream_failed'),
  },
  {
    promise: 'does not apply where it is switched off',
    change: { ...first(AT), settings: settingsWith({ new_package_days: 0 }) },
    want: notApplicable('switched_off'),
  },
]);
