// How pip, uv and their kin are told no. pip prints the reason phrase and nothing else; uv prints title and detail of a
// problem+json body; both get both.

import type { ClientReply, Refusal } from '../adapter.ts';
import { problemBody, reasonPhrase, refusalHeaders } from '../refusal-reply.ts';

/**
 * pip repeats these up to five times with growing pauses and then prints that there were too many of them, without the
 * reason. The spoke has done its own retries by then, so pip gets a status that it reports at once.
 */
const RETRIED_BY_PIP = new Set([500, 502, 503, 520, 524, 527]);
const REPORTED_AT_ONCE = 504;

export function renderRefusal(refusal: Refusal, client: string): ClientReply {
  const status = statusFor(refusal, client);
  const told = { ...refusal, status };
  const headers = refusalHeaders(told);
  // Only for real authentication: on any other answer pip would ask the developer for a password.
  if (status === 401) headers.push(['www-authenticate', 'Basic realm="weir", charset="UTF-8"']);
  return { status, reasonPhrase: reasonPhrase(told), headers, body: problemBody(told) };
}

function statusFor(refusal: Refusal, client: string): number {
  // On an index page pip and uv blame the credentials for a 401 and are silent or misleading about a 403.
  if (refusal.signIn !== undefined) return 401;
  return client === 'pip' && RETRIED_BY_PIP.has(refusal.status) ? REPORTED_AT_ONCE : refusal.status;
}
