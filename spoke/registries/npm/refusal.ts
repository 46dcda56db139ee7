// How npm, pnpm and Yarn are told no, and how npm is told on success what was hidden.
//
// What each of them prints: npm the reason phrase, the body's `error` and the `npm-notice` header; pnpm and Yarn the
// reason phrase alone. On success only npm prints anything. (A deprecation text would be printed by all three, but they
// also avoid what is deprecated, and advice must not change what is installed.) Which statuses: 403 for everything that policy decides (npm adds its own line about security
// policy; no client retries it). 401 without WWW-Authenticate, because npm replaces the whole message when it sees one.
// Failures keep their honest 5xx: all three retry those with long pauses, which is what a passing failure deserves.
// pnpm pauses and retries on every 4xx but 401, 403 and 404 as well, so it gets 403 in place of the others; Yarn has a
// sentence of its own for 401 and drops ours, so it gets 403 there.

import { fullName, type PackageName } from '@weir/shared/domain/coordinate.ts';
import type { AdvisedVersion, ClientReply, HiddenVersion, Refusal } from '../adapter.ts';
import { ascii, problemBody, reasonPhrase, refusalHeaders } from '../refusal-reply.ts';
import { compareVersions } from './name.ts';

const NOTICE_CHARS_MAX = 480;
const NOTICE_VERSIONS_MAX = 3;
/** The 4xx that pnpm takes as final. */
const FINAL_FOR_PNPM = new Set([401, 403, 404]);

export function renderRefusal(refusal: Refusal, client: string): ClientReply {
  const status = statusFor(refusal.status, client);
  const told = status === refusal.status ? refusal : { ...refusal, status };
  const headers = refusalHeaders(told);
  const text = client === 'npm' ? refusalNotice(told) : '';
  if (text !== '') headers.push(['npm-notice', text]);
  return { status, reasonPhrase: reasonPhrase(told), headers, body: problemBody(told) };
}

function statusFor(status: number, client: string): number {
  if (client === 'yarn' && status === 401) return 403;
  return client === 'pnpm' && status >= 400 && status < 500 && !FINAL_FOR_PNPM.has(status) ? 403 : status;
}

/** Short, because npm prints it beside the error, which carries the sentence. */
function refusalNotice(refusal: Refusal): string {
  if (refusal.code === '') return '';
  const instead = refusal.allowedInstead === '' ? '' : ` Allowed instead: ${refusal.allowedInstead}.`;
  return clip(ascii(`Weir: ${refusal.title}.${instead} The whole story: weir why ${refusal.code}`));
}

/**
 * npm prints `npm-notice` only from a response that nothing may store, so `cache-control: no-store` comes with it and
 * must replace the view's own. Names the newest hidden versions whose rule wants a notice.
 */
export function notice(
  hidden: readonly HiddenVersion[],
  preferred: string,
  name: PackageName,
): readonly (readonly [string, string])[] {
  const told = hidden.filter((version) => version.notice);
  if (told.length === 0) return [];
  const newest = told.toSorted((a, b) => compareVersions(b.version, a.version)).slice(0, NOTICE_VERSIONS_MAX);
  const byReason = Map.groupBy(newest, reason);
  const listed = [...byReason]
    .map(([why, versions]) => `${versions.map(({ version }) => version).join(', ')}${why}`)
    .join('; ');
  const more = told.length > newest.length ? ` and ${told.length - newest.length} more` : '';
  const taken = preferred === '' ? '' : ` A plain install takes ${preferred}.`;
  const text = `Weir hid ${fullName(name)} ${clip(listed, NOTICE_CHARS_MAX - 80)}${more}.${taken}`;
  return [
    ['npm-notice', clip(ascii(text))],
    ['cache-control', 'no-store'],
  ];
}

/** Only npm has an eye for it, so only npm pays with a tarball that its HTTP cache does not keep. */
export function advice(
  advised: AdvisedVersion,
  name: PackageName,
  client: string,
): readonly (readonly [string, string])[] {
  if (client !== 'npm') return [];
  const verb = advised.kind === 'would_refuse' ? 'would be refused' : 'comes with a warning';
  const instead = advised.allowedInstead === '' ? '' : ` Nearest allowed: ${advised.allowedInstead}.`;
  const text = `Weir (advisory): ${fullName(name)}@${advised.version} ${verb}${reason(advised)}.${instead}`;
  return [
    ['npm-notice', clip(ascii(text))],
    ['cache-control', 'no-store'],
  ];
}

function reason(version: Pick<HiddenVersion, 'why' | 'rule' | 'code'>): string {
  const why = version.why.replace(/\.$/, '');
  const code = version.code === '' ? '' : `, code ${version.code}`;
  return why === '' ? ` (${version.rule}${code})` : ` (${why}; ${version.rule}${code})`;
}

function clip(text: string, limit = NOTICE_CHARS_MAX): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 3)}...`;
}
