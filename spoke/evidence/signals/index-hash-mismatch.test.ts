import type { ReleaseFile } from '../../registries/adapter.ts';
import { file, known, missing, signalTable } from './facts-for-tests.ts';
import { indexHashMismatch } from './index-hash-mismatch.ts';
import { clear, hit, notApplicable, unknown } from './outcome.ts';

const [A, B, C] = ['a'.repeat(128), 'b'.repeat(64), 'c'.repeat(40)];
const promised = (digests: ReleaseFile['digests']) => ({
  file: known(file({ digests })),
});

signalTable(indexHashMismatch, [
  {
    promise: 'clears bytes that match every digest',
    change: promised({ sha512: A, sha256: B, sha1: C }),
    want: clear({ algorithm: 'sha512' }),
  },
  {
    promise: 'clears on a weak digest alone and says so',
    change: promised({ sha1: C }),
    want: clear({ algorithm: 'sha1' }),
  },
  {
    promise: 'clears upper-case hex',
    change: promised({ sha256: B.toUpperCase() }),
    want: clear({ algorithm: 'sha256' }),
  },
  {
    promise: 'hits a different digest',
    change: promised({ sha256: 'f'.repeat(64) }),
    want: hit('critical', { algorithm: 'sha256' }),
  },
  {
    promise: 'hits when only the weak digest differs',
    change: promised({ sha512: A, sha1: 'f'.repeat(40) }),
    want: hit('critical', { algorithm: 'sha1' }),
  },
  {
    promise: 'hits a truncated digest',
    change: promised({ sha256: B.slice(1) }),
    want: hit('critical', { algorithm: 'sha256' }),
  },
  { promise: 'hits an empty digest', change: promised({ sha512: '' }), want: hit('critical', { algorithm: 'sha512' }) },
  { promise: 'does not know without a promised digest', change: promised({}), want: unknown('digest_not_promised') },
  {
    promise: 'does not know before the bytes are here',
    change: { content: missing('not_fetched') },
    want: unknown('not_fetched'),
  },
  {
    promise: 'does not apply to views',
    change: { file: missing('not_an_artifact_request') },
    want: notApplicable('not_an_artifact_request'),
  },
  { promise: 'does not know an unlisted file', change: { file: missing('not_listed') }, want: unknown('not_listed') },
]);
