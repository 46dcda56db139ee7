// The trust root: which keys may sign bundles and audit receipts for a workspace. A spoke receives it at enrollment, keeps
// it pinned, and never learns a key through the channel that the key protects.

import { createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { receiptKeyName } from '../audit/tlog/names.ts';
import { COSIGNATURE_V1, parseVkey, type Verifier } from '../audit/tlog/note.ts';
import { canonicalJson } from '../crypto/canonical-json.ts';
import { isP256, keyIdOf } from '../crypto/key-id.ts';
import { WeirError } from '../errors/weir-error.ts';

export const TRUST_ROOT_LIMITS = { bytes: 64 << 10, keys: 32, receiptKeys: 8 } as const;

const unixSeconds = z.int().min(0).max(8_640_000_000);

export const trustRootSchema = z.strictObject({
  schema: z.literal('weir.trust-root/v1'),
  workspace: z.string().min(1).max(80),
  keys: z
    .array(
      z.strictObject({
        /** base64 of the SHA-256 of the key's SPKI. */
        id: z.string().min(1).max(64),
        role: z.literal('bundle-signer'),
        algorithm: z.literal('ecdsa-p256-sha256'),
        public_key: z.string().max(1000),
        status: z.enum(['active', 'revoked']),
        not_before: unixSeconds,
        /** Null: until revoked. */
        not_after: unixSeconds.nullable(),
      }),
    )
    .min(1)
    .max(TRUST_ROOT_LIMITS.keys),
  /** Verifier keys (c2sp.org/signed-note) of the hub's audit receipts; absent in documents from before there were any. */
  receipt_keys: z.array(z.string().min(1).max(400)).max(TRUST_ROOT_LIMITS.receiptKeys).optional(),
});
export type TrustRoot = z.infer<typeof trustRootSchema>;
export type TrustedKey = TrustRoot['keys'][number];

/** Reads a trust root strictly: known fields only, each id derived from its key, no key twice, P-256 keys to sign with. */
export function parseTrustRoot(bytes: Uint8Array): TrustRoot {
  if (bytes.byteLength > TRUST_ROOT_LIMITS.bytes) throw new WeirError('too_large', 'the trust root is too large');
  let root: TrustRoot;
  try {
    root = trustRootSchema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch (thrown) {
    throw new WeirError('untrusted', 'the trust root is not a weir.trust-root/v1 document', { cause: thrown });
  }
  const ids = new Set<string>();
  for (const key of root.keys) {
    if (ids.has(key.id)) throw new WeirError('untrusted', 'the trust root names a key twice');
    ids.add(key.id);
    if (keyIdOf(publicKeyOf(key)) !== key.id)
      throw new WeirError('untrusted', 'a key of the trust root has a wrong id');
  }
  receiptKeysOf(root);
  return root;
}

/** Whose cosignature makes a receipt; empty in old documents. Throws `untrusted` for a key of another name or kind. */
export function receiptKeysOf({ workspace, receipt_keys: vkeys = [] }: TrustRoot): readonly Verifier[] {
  if (new Set(vkeys).size !== vkeys.length)
    throw new WeirError('untrusted', 'the trust root names a receipt key twice');
  return vkeys.map((vkey) => {
    let verifier: Verifier;
    try {
      verifier = parseVkey(vkey);
    } catch (thrown) {
      throw new WeirError('untrusted', 'a receipt key of the trust root cannot be read', { cause: thrown });
    }
    if (verifier.name !== receiptKeyName(workspace) || verifier.type !== COSIGNATURE_V1) {
      throw new WeirError('untrusted', 'a receipt key of the trust root is not one of this workspace');
    }
    return verifier;
  });
}

/** Canonical JSON, the form that is delivered, pinned and hashed. */
export function encodeTrustRoot(root: TrustRoot): Uint8Array {
  return new TextEncoder().encode(canonicalJson(trustRootSchema.parse(root)));
}

/**
 * A workspace's first trust root: one active key, valid from `notBefore` (unix seconds) until revoked, and the verifier keys
 * of the hub's receipts.
 */
export function trustRootOf(
  workspace: string,
  publicKeyPem: string,
  notBefore: number,
  receiptKeys: readonly string[] = [],
): TrustRoot {
  return {
    schema: 'weir.trust-root/v1',
    workspace,
    keys: [
      {
        id: keyIdOf(publicKeyPem),
        role: 'bundle-signer',
        algorithm: 'ecdsa-p256-sha256',
        public_key: publicKeyPem,
        status: 'active',
        not_before: notBefore,
        not_after: null,
      },
    ],
    ...(receiptKeys.length === 0 ? {} : { receipt_keys: [...receiptKeys] }),
  };
}

/** The usable key object; throws `untrusted` unless it is a P-256 public key. */
export function publicKeyOf(key: TrustedKey): KeyObject {
  let publicKey: KeyObject;
  try {
    publicKey = createPublicKey({ key: key.public_key, format: 'pem' });
  } catch (thrown) {
    throw new WeirError('untrusted', 'a key of the trust root cannot be read', { cause: thrown });
  }
  if (!isP256(publicKey)) throw new WeirError('untrusted', 'a key of the trust root is not an ecdsa p-256 key');
  return publicKey;
}
