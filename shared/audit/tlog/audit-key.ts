// Which Ed25519 public keys may vouch for a log. Under a point of low order, or a key spelled in a second way, one verifier
// accepts what another refuses, and for some of them anybody can sign; such keys are refused before they are ever trusted.

import { WeirError } from '../../errors/weir-error.ts';

export const AUDIT_KEY_BYTES = 32;

/** The field's prime. A y at or above it is a second spelling of a smaller one. */
const P = 2n ** 255n - 19n;
const SIGN_BIT = 2n ** 255n;
/** A y of order 8; the other one is its negative. */
const Y8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022n;
/**
 * y of the eight points whose order divides 8: the neutral point, the point of order 2, two of order 4 (y = 0), four of
 * order 8. Both signs of x are refused, so the second spellings of x = 0 go with them.
 */
const LOW_ORDER_Y: ReadonlySet<bigint> = new Set([1n, P - 1n, 0n, Y8, P - Y8]);

/** Why these bytes are no usable public key; undefined when they are the one spelling of a point not of low order. */
export function auditKeyFault(raw: Uint8Array): string | undefined {
  if (raw.length !== AUDIT_KEY_BYTES) return `it is ${raw.length} bytes, not ${AUDIT_KEY_BYTES}`;
  const y = BigInt(`0x${Buffer.from(raw.toReversed()).toString('hex')}`) % SIGN_BIT;
  if (y >= P) return 'its point is not in canonical form';
  if (LOW_ORDER_Y.has(y)) return 'its point is of low order';
  return undefined;
}

/** Throws `invalid_argument` when `auditKeyFault` finds one. */
export function checkAuditKey(raw: Uint8Array): void {
  const fault = auditKeyFault(raw);
  if (fault !== undefined) throw new WeirError('invalid_argument', `the Ed25519 key is not usable: ${fault}`);
}
