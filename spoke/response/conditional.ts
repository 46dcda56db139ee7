// Conditional and partial requests (RFC 9110 §13, §14), evaluated after the decision: a refused request never becomes a
// 304. Dates are not compared: a view can change without its upstream's date changing.

export type Delivery =
  | { readonly kind: 'not_modified' }
  | { readonly kind: 'whole' }
  /** Bytes [start, end). */
  | { readonly kind: 'part'; readonly start: number; readonly end: number; readonly contentRange: string }
  | { readonly kind: 'unsatisfiable'; readonly contentRange: string };

type Headers = Readonly<Record<string, string | undefined>>;

/** Longest list of tags that is read; a longer one matches nothing. */
const IF_NONE_MATCH_CHARS_MAX = 4096;

/** Whether the client already has it. Weak comparison, as the header asks for. */
export function isNotModified(headers: Headers, etag: string): boolean {
  const header = headers['if-none-match'];
  if (header === undefined || header.length > IF_NONE_MATCH_CHARS_MAX) return false;
  if (header.trim() === '*') return true;
  return header.split(',').some((part) => part.trim().replace(/^W\//, '') === etag);
}

/**
 * How to send a representation of `size` bytes.
 * @param method ranges are for GET alone
 */
export function deliveryOf(method: string, headers: Headers, etag: string, size: number): Delivery {
  if (isNotModified(headers, etag)) return { kind: 'not_modified' };
  const range = headers['range'];
  if (method !== 'GET' || range === undefined) return { kind: 'whole' };
  // Strong comparison only; a date or a weak tag cannot prove that the client's part belongs to these bytes.
  const condition = headers['if-range'];
  if (condition !== undefined && condition.trim() !== etag) return { kind: 'whole' };
  return rangeOf(range, size);
}

/** A single byte range; several ranges, other units and malformed ones are ignored, as the RFC allows. */
function rangeOf(header: string, size: number): Delivery {
  const match = /^bytes=(?:(\d{1,15})-(\d{1,15})?|-(\d{1,15}))$/.exec(header.trim().replaceAll(' ', ''));
  if (match === null) return { kind: 'whole' };
  const [, first, last, suffix] = match;
  let start: number;
  let end: number;
  if (suffix === undefined) {
    start = Number(first);
    end = last === undefined ? size : Math.min(size, Number(last) + 1);
    if (last !== undefined && Number(last) < start) return { kind: 'whole' };
  } else {
    start = Math.max(0, size - Number(suffix));
    end = size;
  }
  if (start >= end) return { kind: 'unsatisfiable', contentRange: `bytes */${size}` };
  return { kind: 'part', start, end, contentRange: `bytes ${start}-${end - 1}/${size}` };
}
