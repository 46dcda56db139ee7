// Validators of what a spoke serves. A view's tag changes with everything that can change its bytes or its truth: the
// upstream document, the representation, the address it is served under, the bundle, who asks, and the next moment at
// which time alone changes the answer.

import { hash } from 'node:crypto';

export interface ViewIdentity {
  /** What identifies the upstream document: its digest, or its validator. */
  readonly upstream: string;
  readonly representation: string;
  readonly detail: string;
  readonly publicBase: string;
  readonly bundle: string;
  /** What the verdict depends on about the actor, '' when nothing. */
  readonly actor: string;
  /** Staleness and mode as decided, since both may change a view without a new bundle. */
  readonly stance: string;
  /** Unix seconds of the next time-driven change, null when there is none. */
  readonly validUntil: number | null;
}

/** Longest time that a client may show a view without asking again, in seconds: an approval is seen after this at most. */
export const VIEW_MAX_AGE_S = 60;

/** Strong entity tag, quoted. Parts are joined unambiguously, so no two identities share a tag by concatenation. */
export function viewEtag(identity: ViewIdentity): string {
  return tag([
    identity.upstream,
    identity.representation,
    identity.detail,
    identity.publicBase,
    identity.bundle,
    identity.actor,
    identity.stance,
    identity.validUntil === null ? '' : String(identity.validUntil),
  ]);
}

/** Tag of an artifact: its content. The verdict is taken anew for every request, so it has no place in it. */
export function artifactEtag(sha512OrSha256Hex: string): string {
  return `"${Buffer.from(sha512OrSha256Hex, 'hex').subarray(0, 24).toString('base64url')}"`;
}

/**
 * Cache-Control of a view. Private, because it depends on who asks; never beyond the next time-driven change; not stored
 * at all with a notice, which npm prints only then.
 * @param now unix seconds
 */
export function viewCacheControl(validUntil: number | null, now: number, hasNotice: boolean): string {
  if (hasNotice) return 'no-store';
  const left = validUntil === null ? VIEW_MAX_AGE_S : Math.min(VIEW_MAX_AGE_S, Math.floor(validUntil - now));
  return left > 0 ? `private, max-age=${left}, must-revalidate` : 'private, no-cache';
}

function tag(parts: readonly string[]): string {
  return `"${Buffer.from(hash('sha256', JSON.stringify(parts), 'hex'), 'hex')
    .subarray(0, 18)
    .toString('base64url')}"`;
}
