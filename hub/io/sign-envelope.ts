// Packages a statement and its signature as a Sigstore bundle v0.3 with one DSSE signature, in the canonical JSON form that
// verifiers insist on.

import { bundleToJSON } from '@sigstore/bundle';
import { DSSEBundleBuilder } from '@sigstore/sign';
import { PAYLOAD_TYPE } from '@weir/shared/bundle/manifest.ts';
import { canonicalJson } from '@weir/shared/crypto/canonical-json.ts';
import type { Signer } from '../bundle/signer.ts';

/** Signs statement bytes; resolves to envelope bytes. */
export async function signEnvelope(statement: Uint8Array, signer: Signer): Promise<Uint8Array> {
  const builder = new DSSEBundleBuilder({
    signer: {
      sign: async (data) => ({
        signature: Buffer.from(await signer.sign(data)),
        key: { $case: 'publicKey', publicKey: signer.publicKeyPem, hint: signer.keyId },
      }),
    },
    witnesses: [],
  });
  const bundle = await builder.create({ data: Buffer.from(statement), type: PAYLOAD_TYPE });
  // Through JSON once: the library leaves undefined members, which canonical JSON has no form for.
  const plain: unknown = JSON.parse(JSON.stringify(bundleToJSON(bundle)));
  return new TextEncoder().encode(canonicalJson(plain));
}
