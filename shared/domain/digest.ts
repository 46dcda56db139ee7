// Content addresses. A digest is always `sha256:` and 64 lower-case hex digits; anything else is not a Digest.

import { hash } from 'node:crypto';

export type Digest = string & { readonly __brand: 'Digest' };

const DIGEST = /^sha256:[0-9a-f]{64}$/;

export function isDigest(value: unknown): value is Digest {
  return typeof value === 'string' && DIGEST.test(value);
}

/** Digest of the exact bytes (a string counts as its UTF-8 bytes). */
export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${hash('sha256', bytes, 'hex')}` as Digest;
}

/** The 64 hex digits without the algorithm prefix. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}
