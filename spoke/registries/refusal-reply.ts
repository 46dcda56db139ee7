// The parts of a refusal that most clients share: one problem+json object whose aliases serve the older clients, the
// reason phrase for clients that print nothing else, and the headers. Adapters pick from these and add their own.

import { fullName, parsePurl } from '@weir/shared/domain/coordinate.ts';
import type { Refusal } from './adapter.ts';

/** Longest reason phrase; longer ones are cut by some clients and proxies. */
export const PHRASE_CHARS_MAX = 100;
const SUBJECT_CHARS_MAX = 48;

/** Without a charset parameter: some clients compare the type exactly. */
export const PROBLEM_TYPE = 'application/problem+json';

/** `name@version` as people write it, '' when the refusal names no package. */
export function subjectOf(refusal: Refusal): string {
  const subject = parsePurl(refusal.purl);
  if (subject === undefined) return '';
  return subject.version === '' ? fullName(subject) : `${fullName(subject)}@${subject.version}`;
}

/** The sentence for clients that print one: the detail, when it may change, what to take instead and the code to quote. */
export function refusalMessage(refusal: Refusal): string {
  const parts = [refusal.detail];
  if (refusal.retryAt !== null) parts.push(`It may be allowed from ${utcMinute(refusal.retryAt)}.`);
  if (refusal.allowedInstead !== '') parts.push(`Nearest allowed version: ${refusal.allowedInstead}.`);
  if (refusal.requestUrl !== '') parts.push(`Read more or ask: ${refusal.requestUrl}`);
  if (refusal.code !== '') parts.push(`The whole story: weir why ${refusal.code}`);
  return parts.join(' ');
}

/**
 * Printable ASCII, at most `PHRASE_CHARS_MAX` characters. What matters most to somebody who sees nothing else is kept
 * first: subject, code, why, what to take instead. The rule's name comes last, since the code leads to it.
 */
export function reasonPhrase(refusal: Refusal): string {
  const subject = clipSubject(ascii(subjectOf(refusal)));
  const title = ascii(refusal.title);
  const refused = refusal.status === 403;
  const head = refused ? `Weir refused ${subject === '' ? 'this request' : subject}` : `Weir: ${title.slice(0, 60)}`;
  const optional = [
    { order: 0, text: refused ? `: ${title}` : subject === '' ? '' : ` for ${subject}` },
    { order: 1, text: refusal.rules[0] === undefined ? '' : ` [${ascii(refusal.rules[0])}]` },
    { order: 2, text: refusal.allowedInstead === '' ? '' : `, allowed ${ascii(refusal.allowedInstead)}` },
    { order: 3, text: refusal.code === '' ? '' : `, code ${refusal.code}` },
  ];
  let room = PHRASE_CHARS_MAX - head.length;
  const kept: typeof optional = [];
  for (const order of [3, 0, 2, 1]) {
    const part = optional[order];
    if (part === undefined || part.text === '' || part.text.length > room) continue;
    kept.push(part);
    room -= part.text.length;
  }
  return (
    head +
    kept
      .toSorted((a, b) => a.order - b.order)
      .map((part) => part.text)
      .join('')
  );
}

/** The problem+json body (RFC 9457) with the member names that older clients read. */
export function problemBody(refusal: Refusal): Buffer {
  const message = refusalMessage(refusal);
  return Buffer.from(
    `${JSON.stringify({
      type: 'urn:weir:refusal',
      title: refusal.title,
      status: refusal.status,
      detail: message,
      instance: refusal.code === '' ? undefined : `/r/${refusal.code}`,
      error: message,
      message,
      reason: refusal.title,
      errors: [{ code: refusal.rules[0] ?? 'WEIR', message, detail: refusal.title }],
      weir: {
        code: refusal.code,
        purl: refusal.purl,
        rules: refusal.rules,
        allowed_instead: refusal.allowedInstead,
        retry_at: refusal.retryAt === null ? null : new Date(refusal.retryAt * 1000).toISOString(),
        request_url: refusal.requestUrl,
        bundle: refusal.bundle,
      },
    })}\n`,
  );
}

/** Headers of every refusal: never stored, so that an approval takes effect at once, and readable by machines. */
export function refusalHeaders(refusal: Refusal): [string, string][] {
  const headers: [string, string][] = [
    ['content-type', PROBLEM_TYPE],
    ['cache-control', 'no-store'],
  ];
  if (refusal.code !== '') headers.push(['x-weir-code', refusal.code]);
  if (refusal.rules.length > 0) headers.push(['x-weir-rule', ascii(refusal.rules.slice(0, 8).join(', '))]);
  return headers;
}

/** Text as one header line may carry it: printable ASCII, '?' for anything else. */
export function ascii(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/gu, '?');
}

/** Cuts the name rather than the version: the version is what a reader has to change. */
function clipSubject(subject: string): string {
  if (subject.length <= SUBJECT_CHARS_MAX) return subject;
  const at = subject.lastIndexOf('@');
  const version = at > 0 ? subject.slice(at) : '';
  const room = Math.max(12, SUBJECT_CHARS_MAX - version.length - 2);
  const name = at > 0 ? subject.slice(0, at) : subject;
  return `${name.slice(0, room)}..${version.slice(0, SUBJECT_CHARS_MAX - 14)}`;
}

function utcMinute(unixSeconds: number): string {
  return `${new Date(unixSeconds * 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
