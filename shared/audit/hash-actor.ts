// Pseudonyms for the people and machines in rows. The unit's salt is the key: without it a row names nobody, and erasing
// the salt (or its side table) erases the person while every proof over the rows stays valid.

import { createHmac } from 'node:crypto';

/** `h:` and 32 hex digits of HMAC-SHA256(unit salt, principal id): the only form of a principal in a row. */
export function hashActor(unitSalt: Uint8Array, principalId: string): string {
  return `h:${createHmac('sha256', unitSalt).update(principalId, 'utf8').digest('hex').slice(0, 32)}`;
}
