// The secret a client presents: `weir_<unit>_<43 base64url characters>`, 256 random bits. Only its SHA-256 is ever stored:
// with that much entropy a slow hash would add cost to every request and no strength.

import { hash } from 'node:crypto';
import { UNIT_NAME } from './unit.ts';

const TOKEN = /^weir_([a-z][a-z0-9-]{0,39})_([A-Za-z0-9_-]{43})$/;

/** A new unit token from 32 random bytes. */
export function formatToken(unit: string, secret: Uint8Array): string {
  return `weir_${unit}_${Buffer.from(secret).toString('base64url')}`;
}

/** The unit a token names, undefined when the text has no token's shape. Says nothing of validity. */
export function unitOfToken(text: string): string | undefined {
  const unit = TOKEN.exec(text)?.[1];
  return unit !== undefined && UNIT_NAME.test(unit) ? unit : undefined;
}

/** SHA-256 of the token's text, 64 hex digits: the only form at rest. */
export function tokenHash(text: string): string {
  return hash('sha256', text, 'hex');
}
