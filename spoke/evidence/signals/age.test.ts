import { age } from './age.ts';
import { AT, DAY, facts, HOUR, known, missing, release, settingsWith, signalTable } from './facts-for-tests.ts';
import { clear, hit, unknown } from './outcome.ts';

const published = (publishedAt: number | null) => ({ release: known(release({ publishedAt })) });

signalTable(age, [
  { promise: 'hits a fresh release', change: published(AT - HOUR), want: hit('medium', { hours: 1 }) },
  {
    promise: 'hits one second before the cooldown ends',
    change: published(AT - 72 * HOUR + 1),
    want: hit('medium', { hours: 71 }),
  },
  { promise: 'clears a release as the cooldown ends', change: published(AT - 72 * HOUR), want: clear({ hours: 72 }) },
  { promise: 'counts at most 90 days', change: published(AT - 91 * DAY), want: clear({ hours: 2160 }) },
  { promise: 'counts a release from the epoch like any old one', change: published(0), want: clear({ hours: 2160 }) },
  {
    promise: 'takes a release from the future for fresh',
    change: published(AT + 10 * DAY),
    want: hit('medium', { hours: 0 }),
  },
  {
    promise: 'clears a fresh release where the cooldown is off',
    change: { ...published(AT), settings: settingsWith({ cooldown_hours: 0 }) },
    want: clear({ hours: 0 }),
  },
  { promise: 'does not know without a publish time', change: published(null), want: unknown('publish_time_unknown') },
  {
    promise: 'does not know an unlisted release',
    change: { release: missing('not_listed') },
    want: unknown('not_listed'),
  },
  { promise: 'ignores the other facts', change: facts(missingEverythingElse()), want: clear({ hours: 2160 }) },
]);

function missingEverythingElse() {
  const gone = missing('upstream_failed');
  return { releases: gone, file: gone, content: gone, intel: gone };
}
