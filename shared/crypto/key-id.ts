// Names of public keys. The same convention as cosign's, so that its tools and ours speak of a key by one name.

import { createPublicKey, hash, type KeyObject } from 'node:crypto';

/** base64 of the SHA-256 of the key's SPKI (DER). */
export function keyIdOf(publicKey: KeyObject | string): string {
  const key = typeof publicKey === 'string' ? createPublicKey(publicKey) : publicKey;
  return hash('sha256', key.export({ type: 'spki', format: 'der' }), 'base64');
}

/** Whether it is the one kind of key that signs bundles: an ECDSA key on P-256. */
export function isP256(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
}
