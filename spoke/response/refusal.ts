// Assembles what a refusal says, before any registry's dialect: from a verdict, from a refused route, from a failed
// sign-in or from an error. Everything in the result is printable; adapters only arrange it.

import type { Rules } from '@weir/shared/bundle/layers.ts';
import { fullName, purl } from '@weir/shared/domain/coordinate.ts';
import { rank } from '@weir/shared/domain/level.ts';
import type { RequestCode } from '@weir/shared/domain/request-code.ts';
import type { Reason, Verdict } from '@weir/shared/domain/verdict.ts';
import type { ErrorCode, WeirError } from '@weir/shared/errors/weir-error.ts';
import type { AdvisedVersion, HiddenVersion, Refusal, Route } from '../registries/adapter.ts';
import { asciiLine, printableLine } from './sanitise.ts';
import { DETAIL_CHARS_MAX, renderText, type Subject, type Text, TITLE_CHARS_MAX } from './texts.ts';

/** What every refusal of a request carries, whatever its cause. */
export interface RefusalContext {
  readonly code: RequestCode | '';
  /** Undefined when the request names no package. */
  readonly subject: Subject | undefined;
  /** Address where a person reads more, `{code}` standing for the request code; '' when there is none. */
  readonly requestUrl: string;
  /** Digest of the active bundle, '' while none is. */
  readonly bundle: string;
}

/** A pending or denied artifact. The reason that weighs most speaks first; the other rules are named. */
export function refusalOfVerdict(
  verdict: Verdict,
  rules: Rules,
  allowedInstead: string,
  context: RefusalContext & { readonly subject: Subject },
): Refusal {
  const reasons = refusing(verdict);
  const [first] = reasons;
  const text = first === undefined ? engineText() : reasonText(first, rules, context.subject);
  const names = [...new Set(reasons.map((reason) => reason.rule))];
  const others = names.length - 1;
  const detail = [text.detail];
  if (others > 0) detail.push(`${others === 1 ? 'One other rule refuses' : `${others} other rules refuse`} it too.`);
  if (verdict.level === 'pending') detail.push('It waits for an approval.');
  return {
    ...base(context),
    status: 403,
    title: text.title,
    detail: detail.join(' '),
    rules: names.map((name) => asciiLine(name, 60)),
    allowedInstead: asciiLine(allowedInstead, 80),
    retryAt: liftedByTime(verdict, reasons),
  };
}

/**
 * A route that the adapter or the parser refused.
 * @param mounted false when the path names no registry at all
 */
export function refusalOfRoute(
  route: Extract<Route, { kind: 'refused' }>,
  context: RefusalContext,
  mounted: boolean,
): Refusal {
  const { status, title } = ROUTES[route.reason];
  const elsewhere = !mounted && route.reason === 'unknown_route';
  return { ...base(context), status: elsewhere ? 404 : status, title, detail: sentence(route.detail) };
}

/** Sign-in that failed; the status is the identity stage's own. */
export function refusalOfAuthentication(
  refused: { readonly reason: keyof typeof SIGN_INS; readonly status: 401 | 403 },
  context: RefusalContext,
): Refusal {
  const text = SIGN_INS[refused.reason];
  const signIn = refused.reason === 'missing' ? 'missing' : 'rejected';
  return { ...base(context), status: refused.status, title: text.title, detail: text.detail, signIn };
}

/** Anything that went wrong on the way. The error's message is safe to show; its internals are not and stay out. */
export function refusalOfError(error: WeirError, context: RefusalContext): Refusal {
  const { status, title } = ERRORS[error.code];
  const detail = error.next === '' ? sentence(error.message) : `${sentence(error.message)} ${sentence(error.next)}`;
  return { ...base(context), status, title, detail: printableLine(detail, DETAIL_CHARS_MAX) };
}

/** How a version is treated in metadata views: shown, left out, or left out with a word to the developer. */
export function viewEffect(verdict: Verdict): 'show' | 'hide' | 'hide+notice' {
  let effect: 'show' | 'hide' = 'show';
  for (const reason of refusing(verdict)) {
    if (reason.effect === 'hide+notice') return 'hide+notice';
    if (reason.effect === 'hide') effect = 'hide';
  }
  return effect;
}

/** A hidden version as the success notice tells of it. */
export function hiddenVersion(verdict: Verdict, rules: Rules, subject: Subject, code: RequestCode | ''): HiddenVersion {
  const [first] = refusing(verdict);
  return {
    version: subject.version,
    code,
    rule: asciiLine(first?.rule ?? '', 60),
    why: first === undefined ? engineText().title : reasonText(first, rules, subject).title,
    notice: viewEffect(verdict) === 'hide+notice',
  };
}

/**
 * What a developer who is being served a version should know about it; undefined when policy has nothing to tell. A warning
 * is told where its rule's effect is to tell (`warn`, `hide+notice`); other warnings are for the record.
 */
export function advisedVersion(
  verdict: Verdict,
  rules: Rules,
  subject: Subject,
  told: { readonly code: RequestCode | ''; readonly allowedInstead: string },
): AdvisedVersion | undefined {
  const [refusal] = refusing(verdict);
  const warning = verdict.reasons.find(
    ({ effective, effect }) => effective === 'warn' && (effect === 'warn' || effect === 'hide+notice'),
  );
  const kind = rank(verdict.level) >= rank('pending') ? 'would_refuse' : 'warned';
  const reason = refusal ?? warning;
  if (kind === 'warned' && reason === undefined) return undefined;
  return {
    kind,
    version: subject.version,
    code: told.code,
    rule: asciiLine(reason?.rule ?? '', 60),
    why: reason === undefined ? engineText().title : reasonText(reason, rules, subject).title,
    allowedInstead: kind === 'warned' ? '' : asciiLine(told.allowedInstead, 80),
  };
}

/** Reasons that refuse: heaviest first, then those that neither time nor an older version lifts, floor before overlay. */
function refusing(verdict: Verdict): readonly Reason[] {
  return verdict.reasons
    .filter((reason) => rank(reason.effective) >= rank('pending'))
    .toSorted(
      (a, b) =>
        rank(b.effective) - rank(a.effective) ||
        Number(b.effect === 'refuse') - Number(a.effect === 'refuse') ||
        LAYER_ORDER[a.layer] - LAYER_ORDER[b.layer],
    );
}

const LAYER_ORDER = { floor: 0, overlay: 1, host: 2 } as const;

/** Time alone helps only when the one rule that refuses looks at time, and no exception's end is what is meant. */
function liftedByTime(verdict: Verdict, reasons: readonly Reason[]): number | null {
  return reasons.length === 1 && verdict.exceptions.length === 0 ? verdict.valid_until : null;
}

function reasonText(reason: Reason, rules: Rules, subject: Subject): Text {
  if (reason.layer !== 'host' || Object.hasOwn(rules.texts, reason.code)) return renderText(rules, reason, subject);
  const words = reason.code.replaceAll('_', ' ');
  return {
    title: asciiLine(`Refused: ${words}`, TITLE_CHARS_MAX),
    detail: sentence(printableLine(`This spoke could not decide safely about ${fullName(subject)}: ${words}`, 400)),
  };
}

function engineText(): Text {
  return { title: 'Refused by policy', detail: 'The policy refuses this and gives no reason.' };
}

function base(context: RefusalContext): Omit<Refusal, 'status' | 'title' | 'detail'> {
  return {
    code: context.code,
    purl: context.subject === undefined ? '' : purl(context.subject),
    rules: [],
    allowedInstead: '',
    retryAt: null,
    requestUrl: context.requestUrl.replaceAll('{code}', context.code),
    bundle: context.bundle,
  };
}

function sentence(text: string): string {
  const line = printableLine(text, DETAIL_CHARS_MAX);
  const capital = line.charAt(0).toUpperCase() + line.slice(1);
  return /[.!?…]$/.test(capital) ? capital : `${capital}.`;
}

/** No 404 below a mount: it would send clients to their next registry. */
const ROUTES = {
  publish: { status: 403, title: 'Publishing is not done here' },
  unknown_route: { status: 403, title: 'No such route' },
  unparsable: { status: 400, title: 'Request is unparsable' },
  method: { status: 405, title: 'Method not offered' },
} as const;

const SIGN_INS = {
  missing: {
    title: 'Token required',
    detail: 'This registry needs a token of its unit; ask for one and set it in the client settings.',
  },
  malformed: { title: 'Token is malformed', detail: 'The credentials sent are no token of this registry.' },
  unknown: { title: 'Token is not valid', detail: 'The token is unknown here or has been revoked.' },
  expired: { title: 'Token has expired', detail: 'The token has expired; ask for a new one.' },
  other_unit: { title: 'Token of another unit', detail: 'The token belongs to another unit and opens nothing here.' },
} as const;

/** What each error means to a client of a registry. Failures that may pass are 5xx, which clients retry. */
const ERRORS = {
  invalid_argument: { status: 400, title: 'Request is not valid' },
  unparsable: { status: 400, title: 'Request is unparsable' },
  unauthenticated: { status: 401, title: 'Token required' },
  forbidden: { status: 403, title: 'Not allowed' },
  not_found: { status: 404, title: 'Not found' },
  conflict: { status: 409, title: 'Conflict' },
  too_large: { status: 403, title: 'Too large' },
  resource_exhausted: { status: 503, title: 'Too busy' },
  unavailable: { status: 503, title: 'Not ready' },
  timeout: { status: 504, title: 'Upstream registry is too slow' },
  upstream_failed: { status: 502, title: 'Upstream registry failed' },
  integrity: { status: 403, title: 'Content does not match the index' },
  untrusted: { status: 403, title: 'Not trusted' },
  engine_failed: { status: 403, title: 'Policy engine failed' },
  spool_failed: { status: 503, title: 'Decision cannot be recorded' },
  cancelled: { status: 503, title: 'Cancelled' },
  unsupported: { status: 403, title: 'Not offered here' },
  corrupt: { status: 503, title: 'Stored data is damaged' },
  internal: { status: 500, title: 'Internal error' },
} as const satisfies Record<ErrorCode, { readonly status: number; readonly title: string }>;
