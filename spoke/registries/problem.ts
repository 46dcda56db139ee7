// The refusal body that most registry clients read: problem+json (RFC 9457) with the aliases of older clients in the same
// object. Every adapter adds its own members on top; nothing here is particular to one registry.

import type { Refusal } from './adapter.ts';

/** Exactly this text: uv and others compare the content type whole, so no charset parameter may follow. */
export const PROBLEM_CONTENT_TYPE = 'application/problem+json';

export const REASON_PHRASE_LENGTH_MAX = 100;

/** The body's members, open to additions by an adapter before encoding. */
export function problemMembers(refusal: Refusal, status: number): Readonly<Record<string, unknown>> {
  return {
    type: 'about:blank',
    title: refusal.title,
    status,
    detail: refusal.detail,
    ...(refusal.code === '' ? {} : { instance: `/r/${refusal.code}` }),
    error: refusal.detail,
    message: refusal.detail,
    reason: refusal.title,
    errors: [{ code: 'DENIED', message: refusal.detail, detail: refusal.title }],
    weir: {
      code: refusal.code,
      purl: refusal.purl,
      rules: refusal.rules,
      allowed_instead: refusal.allowedInstead,
      retry_at: refusal.retryAt,
      request_url: refusal.requestUrl,
      bundle: refusal.bundle,
      status: refusal.status,
    },
  };
}

/** Headers of every refusal, whatever its dialect: never cached, and readable by machines. */
export function refusalHeaders(refusal: Refusal, contentType: string): [string, string][] {
  const headers: [string, string][] = [
    ['content-type', contentType],
    ['cache-control', 'no-store'],
  ];
  if (refusal.code !== '') headers.push(['x-weir-code', refusal.code]);
  if (refusal.rules.length > 0) headers.push(['x-weir-rules', printableAscii(refusal.rules.join(' '), 400)]);
  return headers;
}

/**
 * One line for the HTTP/1.1 status line, the only text that pip, pnpm, Yarn and many others print: the sentence cut to
 * what fits, and always the code whole.
 */
export function reasonPhrase(refusal: Refusal): string {
  const tail = refusal.code === '' ? '' : ` [weir why ${refusal.code}]`;
  const room = REASON_PHRASE_LENGTH_MAX - tail.length;
  const subject = readableSubject(refusal.purl);
  const rule = refusal.rules[0] === undefined ? '' : ` (${refusal.rules[0]})`;
  const title = refusal.title === '' ? 'refused' : refusal.title;
  const full = `Weir: ${subject === '' ? '' : `${subject}: `}${title}${rule}`;
  return `${printableAscii(full, room)}${tail}`;
}

/** Printable ASCII without control characters, cut with '...' to the given length. */
export function printableAscii(text: string, lengthMax: number): string {
  const clean = text.replaceAll(/[^\x20-\x7e]+/g, '?').trim();
  return clean.length <= lengthMax ? clean : `${clean.slice(0, Math.max(0, lengthMax - 3))}...`;
}

/** `name@version` out of a package URL, as people write it. */
function readableSubject(purl: string): string {
  const rest = purl.replace(/^pkg:[^/]+\//, '');
  try {
    return decodeURIComponent(rest);
  } catch {
    return rest;
  }
}
