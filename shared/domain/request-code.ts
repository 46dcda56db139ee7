// The 8-character code printed on every refusal: 40 bits of Crockford base 32 (no I, L, O, U), cut from the row id's
// random tail so that code and row find each other without a table.

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

export type RequestCode = string & { readonly __brand: 'RequestCode' };

/** Code of a row id (UUIDv7 text): its last 40 bits. */
export function requestCodeOf(rowId: string): RequestCode {
  let bits = BigInt(`0x${rowId.slice(-10)}`);
  let code = '';
  for (let i = 0; i < 8; i += 1) {
    code = ALPHABET.charAt(Number(bits & 31n)) + code;
    bits >>= 5n;
  }
  return code as RequestCode;
}

/** Reads a code as a person types it: any case, hyphens and spaces ignored, O→0, I and L→1; undefined when it is none. */
export function readRequestCode(text: string): RequestCode | undefined {
  const code = text.toUpperCase().replaceAll(/[\s-]/g, '').replaceAll('O', '0').replaceAll(/[IL]/g, '1');
  return /^[0-9A-HJKMNP-TV-Z]{8}$/.test(code) ? (code as RequestCode) : undefined;
}
