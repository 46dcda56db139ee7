// Reads a Range header (RFC 9110 §14) for one representation. Only a single byte range is honoured; several ranges, other
// units and anything malformed get the whole representation, as the RFC allows.

export type ByteRange =
  | { readonly kind: 'whole' }
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  | { readonly kind: 'unsatisfiable' };

export interface RangeRequest {
  /** The Range header. */
  readonly range?: string | undefined;
  /** The If-Range header; a range is honoured only when it names exactly the representation at hand. */
  readonly ifRange?: string | undefined;
  /** Strong entity tag of the representation, '' when it has none. */
  readonly etag: string;
}

/** @returns `end` is exclusive */
export function byteRangeOf({ range, ifRange, etag }: RangeRequest, size: number): ByteRange {
  if (range === undefined) return { kind: 'whole' };
  if (ifRange !== undefined && (etag === '' || ifRange !== etag)) return { kind: 'whole' };
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(range.replaceAll(' ', ''));
  if (match === null) return { kind: 'whole' };
  const [, first = '', last = ''] = match;
  if (first === '') {
    if (last === '') return { kind: 'whole' };
    const length = Math.min(Number(last), size);
    return length === 0 ? { kind: 'unsatisfiable' } : { kind: 'part', start: size - length, end: size };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return { kind: 'whole' };
  if (start >= size) return { kind: 'unsatisfiable' };
  return { kind: 'part', start, end: last === '' ? size : Math.min(Number(last) + 1, size) };
}
