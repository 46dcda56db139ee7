// Identity stage: who asks? Reads Bearer or Basic credentials (npm `_authToken`, pip and uv user info), looks the token's
// hash up in the signed identities layer, and answers with a principal or with why not. Works with the hub dead.

import type { Identities, Settings } from '@weir/shared/bundle/layers.ts';
import { ANONYMOUS, type Principal } from '@weir/shared/domain/principal.ts';
import { tokenHash, unitOfToken } from '@weir/shared/domain/token.ts';

export type AuthenticationRefusal = 'missing' | 'malformed' | 'unknown' | 'expired' | 'other_unit';

export type Authentication =
  | { readonly kind: 'principal'; readonly principal: Principal }
  | { readonly kind: 'refused'; readonly reason: AuthenticationRefusal; readonly status: 401 | 403 };

export interface Authenticator {
  /** @param at unix seconds */
  authenticate(authorization: string | undefined, at: number): Authentication;
}

/** Longest credential header looked at; anything longer is malformed. */
export const AUTHORIZATION_BYTES_MAX = 4096;
/** Parsed headers remembered per active bundle, so that a busy client costs one hash, not one per request. */
const REMEMBERED_HEADERS = 1000;

type Entry = { readonly principal: Principal; readonly expires: number | null };

/** Builds the look-up for one active bundle; a new bundle gets a new authenticator, so nothing outlives a revocation. */
export function createAuthenticator(identities: Identities, settings: Settings): Authenticator {
  const byHash = new Map<string, Entry>();
  for (const token of identities.tokens) {
    byHash.set(token.sha256, {
      principal: Object.freeze({
        id: token.principal,
        kind: token.kind,
        groups: token.groups,
        mfa: false,
        ...(token.pseudonym === undefined ? {} : { pseudonym: token.pseudonym }),
      }),
      expires: token.expires,
    });
  }
  const remembered = new Map<string, Entry>();
  const anonymous: Authentication = {
    kind: 'principal',
    principal: Object.freeze({
      id: ANONYMOUS,
      kind: 'anonymous',
      groups: [],
      mfa: false,
      ...(identities.anonymous === undefined ? {} : { pseudonym: identities.anonymous }),
    }),
  };

  function lookUp(header: string): Entry | AuthenticationRefusal {
    const known = remembered.get(header);
    if (known !== undefined) return known;
    const token = credentialOf(header);
    if (token === undefined) return 'malformed';
    const unit = unitOfToken(token);
    if (unit === undefined) return 'malformed';
    if (unit !== settings.unit) return 'other_unit';
    const entry = byHash.get(tokenHash(token));
    if (entry === undefined) return 'unknown';
    if (remembered.size >= REMEMBERED_HEADERS) remembered.clear();
    remembered.set(header, entry);
    return entry;
  }

  return {
    authenticate(authorization, at) {
      if (authorization === undefined || authorization === '') {
        return settings.anonymous ? anonymous : { kind: 'refused', reason: 'missing', status: 401 };
      }
      if (authorization.length > AUTHORIZATION_BYTES_MAX) return { kind: 'refused', reason: 'malformed', status: 401 };
      const entry = lookUp(authorization);
      if (typeof entry === 'string') {
        return { kind: 'refused', reason: entry, status: entry === 'other_unit' ? 403 : 401 };
      }
      if (entry.expires !== null && entry.expires <= at) return { kind: 'refused', reason: 'expired', status: 401 };
      return { kind: 'principal', principal: entry.principal };
    },
  };
}

/** The token inside `Bearer TOKEN`, or inside `Basic base64(user:TOKEN)` whatever the user name. */
function credentialOf(header: string): string | undefined {
  const match = /^(bearer|basic) +([A-Za-z0-9._~+/=-]+) *$/i.exec(header);
  if (match === null) return undefined;
  const [, scheme, value] = match;
  if (scheme === undefined || value === undefined) return undefined;
  if (scheme.toLowerCase() === 'bearer') return value;
  const text = Buffer.from(value, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon === -1) return undefined;
  const password = text.slice(colon + 1);
  // Tools that only have a user name field put the token there.
  return password === '' ? text.slice(0, colon) : password;
}
