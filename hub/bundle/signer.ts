// Signing as a port: the key may live in a file, a key service or an HSM; its holder only ever sees bytes.

/** An ECDSA P-256 key with SHA-256. */
export interface Signer {
  /** base64 of the SHA-256 of the public key's SPKI: the hint under which verifiers find it in their trust root. */
  readonly keyId: string;
  readonly publicKeyPem: string;
  /** Signs SHA-256 of `data`; resolves to the DER form of the signature. */
  sign(data: Uint8Array): Promise<Uint8Array>;
}
