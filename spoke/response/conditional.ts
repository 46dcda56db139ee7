// Conditional requests (RFC 9110 §13), evaluated after the decision: a refused request never becomes a 304. Dates are not
// compared, because a view can change without its upstream's date changing. Ranges are cut where bytes are sent, in `io`.

/** Longest list of tags that is read; a longer one matches nothing. */
const IF_NONE_MATCH_CHARS_MAX = 4096;

/**
 * Whether the client already has it. Weak comparison, as the header asks for.
 * @param headers lower-case names
 * @param etag quoted, strong
 */
export function isNotModified(headers: Readonly<Record<string, string | undefined>>, etag: string): boolean {
  const header = headers['if-none-match'];
  if (header === undefined || header.length > IF_NONE_MATCH_CHARS_MAX) return false;
  if (header.trim() === '*') return true;
  return header.split(',').some((part) => part.trim().replace(/^W\//, '') === etag);
}
