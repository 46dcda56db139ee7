// Pseudonyms for the people and machines in rows. The key is a salt of the principal's own, which only the hub has: without
// it a pseudonym cannot be guessed at from a name, and erasing name and salt erases the person while every proof over the
// rows stays valid. A spoke whose bundle tells it no pseudonyms yet makes them with its unit's salt instead.

import { createHmac } from 'node:crypto';

/** `h:` and 32 hex digits of HMAC-SHA256(salt, principal id): the only form of a principal in a row. */
export function hashActor(salt: Uint8Array, principalId: string): string {
  return `h:${createHmac('sha256', salt).update(principalId, 'utf8').digest('hex').slice(0, 32)}`;
}
