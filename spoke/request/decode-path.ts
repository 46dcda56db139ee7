// Decodes a request path into segments, once and strictly. Every path has exactly one reading here or none at all: what
// two parsers could read differently (double encoding, dot segments, encoded separators, overlong UTF-8) is refused.

import { REQUEST_LIMITS } from './limits.ts';

export type DecodedPath =
  | { readonly ok: true; readonly segments: readonly string[] }
  | { readonly ok: false; readonly why: string };

/** Characters that RFC 3986 allows unencoded in a path segment, and '%' where a triplet begins. */
const RAW_SEGMENT = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*$/;
const PLAIN_SEGMENT = /^[A-Za-z0-9\-._~!$&'()*+,;=:@]*$/;
/** The one form in which a decoded '/' is known to clients: npm's scope and name in a single segment. */
const SCOPED = /^@[^/]+\/[^/]+$/;
const DOTS_AROUND_SLASH = /(?:^|\/)@?\.{1,2}(?:\/|$)/;
/** Controls, the Unicode line and paragraph separators, bidirectional and zero-width marks, byte order mark, unassigned halves. */
const HOSTILE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/u;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * @param path starts with '/', no query, still percent-encoded
 * @returns segments after the leading '/'; one trailing '' when the path ends in '/'; empty list for '/' itself
 */
export function decodePath(path: string): DecodedPath {
  if (path.charCodeAt(0) !== 0x2f) return no('the path does not start with a slash');
  if (path === '/') return { ok: true, segments: [] };
  const raw = path.slice(1).split('/');
  if (raw.length > REQUEST_LIMITS.segments) return no('the path has too many segments');
  const segments: string[] = [];
  for (const [index, part] of raw.entries()) {
    if (part === '') {
      if (index !== raw.length - 1) return no('the path has an empty segment');
      segments.push('');
      continue;
    }
    const segment = decodeSegment(part);
    if (typeof segment !== 'string') return segment;
    segments.push(segment);
  }
  return { ok: true, segments };
}

function decodeSegment(part: string): string | { readonly ok: false; readonly why: string } {
  const plain = PLAIN_SEGMENT.test(part);
  if (!plain && !RAW_SEGMENT.test(part)) return no('the path has a character that must be percent-encoded');
  const text = plain ? part : percentDecode(part);
  if (text === undefined) return no('the path is not valid UTF-8');
  if (text.length > REQUEST_LIMITS.segmentChars) return no('a path segment is too long');
  if (text === '.' || text === '..') return no('the path has a dot segment');
  if (plain) return text;
  if (text.includes('%')) return no('the path is percent-encoded twice');
  if (text.includes('\\')) return no('the path has a backslash');
  if (HOSTILE.test(text)) return no('the path has an invisible or control character');
  if (text.includes('/') && (!SCOPED.test(text) || DOTS_AROUND_SLASH.test(text))) {
    return no('the path has an encoded slash outside a scoped name');
  }
  return text;
}

function percentDecode(part: string): string | undefined {
  const bytes = Buffer.allocUnsafe(part.length);
  let length = 0;
  for (let i = 0; i < part.length; i += 1) {
    const code = part.charCodeAt(i);
    if (code === 0x25) {
      bytes[length] = Number.parseInt(part.slice(i + 1, i + 3), 16);
      i += 2;
    } else {
      bytes[length] = code;
    }
    length += 1;
  }
  try {
    return UTF8.decode(bytes.subarray(0, length));
  } catch {
    // The only thing that a fatal decoder throws is "not UTF-8", which is the answer here.
    return undefined;
  }
}

function no(why: string): { readonly ok: false; readonly why: string } {
  return { ok: false, why };
}
