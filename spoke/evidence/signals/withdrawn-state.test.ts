import type { Release } from '../../registries/adapter.ts';
import { known, missing, release, releases, signalTable } from './facts-for-tests.ts';
import { clear, hit, unknown } from './outcome.ts';
import { withdrawnState } from './withdrawn-state.ts';

const own = (state: NonNullable<Release['withdrawn']>['state'], reason = '') => ({
  release: known(release({ withdrawn: { state, reason } })),
});
const project = (projectState: string) => ({ releases: known(releases(undefined, { projectState })) });

signalTable(withdrawnState, [
  { promise: 'hits a yanked release', change: own('yanked'), want: hit('medium', { state: 'yanked' }) },
  { promise: 'hits a deprecated release', change: own('deprecated'), want: hit('low', { state: 'deprecated' }) },
  {
    promise: 'hits a quarantined release',
    change: own('quarantined'),
    want: hit('critical', { state: 'quarantined' }),
  },
  {
    promise: 'keeps the upstream reason out',
    change: own('deprecated', '\u001b[31m'.repeat(500)),
    want: hit('low', { state: 'deprecated' }),
  },
  {
    promise: 'hits a quarantined project',
    change: project('quarantined'),
    want: hit('critical', { state: 'quarantined' }),
  },
  {
    promise: 'hits a name that its registry took over',
    change: project('security_holding'),
    want: hit('critical', { state: 'security_holding' }),
  },
  { promise: 'hits an archived project', change: project('archived'), want: hit('low', { state: 'archived' }) },
  {
    promise: 'reports the graver of release and project',
    change: { ...own('yanked'), ...project('archived') },
    want: hit('medium', { state: 'yanked' }),
  },
  {
    promise: 'lets a quarantined project outweigh its releases',
    change: { ...own('deprecated'), ...project('quarantined') },
    want: hit('critical', { state: 'quarantined' }),
  },
  {
    promise: 'hits an unlisted release of a quarantined project',
    change: { ...project('quarantined'), release: missing('not_listed') },
    want: hit('critical', { state: 'quarantined' }),
  },
  { promise: 'clears a release in good standing', change: {}, want: clear() },
  { promise: 'clears an active project', change: project('active'), want: clear() },
  {
    promise: 'does not know a state it never heard of',
    change: project('__proto__'),
    want: unknown('unrecognised_project_state'),
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
