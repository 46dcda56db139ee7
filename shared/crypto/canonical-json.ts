// The one byte form of JSON that is hashed, signed or compared: RFC 8785 (JCS). Producers use it so that anyone can
// rebuild the bytes; verifiers check the stored bytes and never re-serialise what they trust.

import canonicalize from 'canonicalize';
import { WeirError } from '../errors/weir-error.ts';

/** Canonical text of a JSON value. Throws `invalid_argument` for anything JSON cannot say (NaN, lone surrogates, undefined). */
export function canonicalJson(value: unknown): string {
  let text: string | undefined;
  try {
    text = canonicalize(value);
  } catch (thrown) {
    throw new WeirError('invalid_argument', 'a value has no canonical json form', { cause: thrown });
  }
  if (text === undefined) throw new WeirError('invalid_argument', 'undefined has no canonical json form');
  return text;
}
