// Which layers an envelope names, without trusting it: for housekeeping, where a wrong answer only costs a second download.

import { isDigest, type Digest } from '@weir/shared/domain/digest.ts';
import { readEnvelope } from '@weir/shared/bundle/envelope.ts';
import { parseStatement } from '@weir/shared/bundle/statement.ts';

/** Digests of the subjects; empty for an envelope that cannot be read. */
export function layersNamed(envelope: Uint8Array): readonly Digest[] {
  try {
    const digests = parseStatement(readEnvelope(envelope).payload).subject.map(
      ({ digest }) => `sha256:${digest.sha256}`,
    );
    return digests.filter((digest) => isDigest(digest));
  } catch {
    return [];
  }
}
