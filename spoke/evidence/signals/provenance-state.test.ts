import { known, missing, release, signalTable } from './facts-for-tests.ts';
import { clear, hit, unknown } from './outcome.ts';
import { provenanceState } from './provenance-state.ts';

signalTable(provenanceState, [
  {
    promise: 'hits a release without provenance',
    change: { release: known(release({ trustRank: 0 })) },
    want: hit('low', {}),
  },
  { promise: 'clears a release with provenance', change: { release: known(release({ trustRank: 1 })) }, want: clear() },
  {
    promise: 'gives every kind of provenance one value',
    change: { release: known(release({ trustRank: 3 })) },
    want: clear(),
  },
  {
    promise: 'does not know where the index does not tell',
    change: { release: known(release({ trustRank: undefined })) },
    want: unknown('not_told_by_index'),
  },
  {
    promise: 'does not know an unlisted release',
    change: { release: missing('not_listed') },
    want: unknown('not_listed'),
  },
]);
