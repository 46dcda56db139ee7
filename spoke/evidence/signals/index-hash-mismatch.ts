// S22: whether the stored bytes are those that the index names. Every digest that the index promises must agree.
// hit: `{algorithm}`, the strongest one that differs; critical. clear: `{algorithm}`, the strongest one that agrees.

import { clear, hit, notApplicable, unknown } from './outcome.ts';
import type { Signal } from './signal.ts';

/** Strongest first. */
const ALGORITHMS = ['sha512', 'sha256', 'sha1'] as const;

export const indexHashMismatch: Signal = {
  id: 'S22',
  name: 'index_hash_mismatch',
  version: '1.0.0',
  lifecycle: 'stable',
  question: 'Do the bytes differ from the digest that the index promises?',
  motivation: 'A mirror, a cache or a middle box can change an artifact; the index says what it was.',
  remediation: 'Do not use the bytes; compare them with an earlier copy.',
  needs: ['file', 'content'],
  evaluate({ file, content }) {
    if (!file.known)
      return file.reason === 'not_an_artifact_request' ? notApplicable(file.reason) : unknown(file.reason);
    const promised = ALGORITHMS.filter((algorithm) => file.value.digests[algorithm] !== undefined);
    const [strongest] = promised;
    if (strongest === undefined) return unknown('digest_not_promised');
    if (!content.known) return unknown(content.reason);
    const bytes = content.value;
    const different = promised.find((algorithm) => file.value.digests[algorithm]?.toLowerCase() !== bytes[algorithm]);
    return different === undefined ? clear({ algorithm: strongest }) : hit('critical', { algorithm: different });
  },
};
