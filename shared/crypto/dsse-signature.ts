// The signature check itself, by the sigstore library, with one key chosen beforehand. Thresholds are zero because a bundle
// is trusted by a pinned key and not by a certificate; the envelope reader refuses certificates.

import type { KeyObject } from 'node:crypto';
import { bundleFromJSON } from '@sigstore/bundle';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import { toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';

/**
 * Whether the DSSE envelope of this Sigstore bundle is signed by `key`, known under `hint`. Whatever the library throws is
 * an answer of no; the reason is handed out for logs.
 */
export function verifyDsse(
  bundleJson: unknown,
  key: { readonly hint: string; readonly publicKey: KeyObject },
): { readonly ok: true } | { readonly ok: false; readonly reason: unknown } {
  try {
    const material = toTrustMaterial(TrustedRoot.fromJSON({}), (hint) => {
      if (hint !== key.hint) throw new Error('the envelope names another key');
      return { publicKey: key.publicKey, validFor: () => true };
    });
    const verifier = new Verifier(material, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });
    verifier.verify(toSignedEntity(bundleFromJSON(bundleJson)));
    return { ok: true };
  } catch (reason) {
    return { ok: false, reason };
  }
}
