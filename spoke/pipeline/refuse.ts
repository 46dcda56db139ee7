// Answers that refuse. What policy refuses carries the verdict; what the spoke itself refuses (no policy, unparsable,
// unauthenticated, upstream in trouble) carries one reason of the host, so that its row explains itself like any other.

import type { PackageName } from '@weir/shared/domain/coordinate.ts';
import { purl } from '@weir/shared/domain/coordinate.ts';
import type { Reason, Verdict } from '@weir/shared/domain/verdict.ts';
import type { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Action } from '@weir/shared/policy/input.ts';
import type { ClientReply, Refusal } from '../registries/adapter.ts';
import { refusalOfError, refusalOfVerdict, type RefusalContext } from '../response/refusal.ts';
import { judged, UNJUDGED, type Answer, type Exchange, type KnownExchange } from './exchange.ts';
import type { SpokeFacts } from './ports.ts';

export type Named = PackageName & { readonly version: string };

/** Rules that name what the spoke itself refuses; no exception can touch them. */
const HOST_RULE = {
  request: 'WEIR-HOST-010',
  identity: 'WEIR-HOST-011',
  bundle: 'WEIR-HOST-012',
  upstream: 'WEIR-HOST-013',
  spool: 'WEIR-HOST-014',
  internal: 'WEIR-HOST-015',
} as const;
export type HostCause = keyof typeof HOST_RULE;

export function refusalContext(
  facts: SpokeFacts,
  exchange: Exchange,
  subject: Named | undefined,
  bundle: string,
): RefusalContext {
  return { code: exchange.code, subject, requestUrl: facts.requestUrl, bundle };
}

/** Policy refuses one artifact, or a name before upstream hears of it. */
export function refusedByPolicy(
  facts: SpokeFacts,
  exchange: KnownExchange,
  verdict: Verdict,
  subject: Named,
  allowedInstead: string,
  action: Action,
  row: { readonly file: string; readonly digest: string },
): Answer {
  const { policy } = exchange;
  const context = refusalContext(facts, exchange, subject, policy.digest);
  const refusal = refusalOfVerdict(verdict, policy.rules, allowedInstead, { ...context, subject });
  return {
    ...judged(verdict),
    reply: { kind: 'bytes', reply: replyOf(exchange, refusal) },
    outcome: 'refused',
    action,
    purl: purl(subject),
    digest: row.digest,
    enforced: true,
    hidden: [],
    coded: true,
    file: row.file,
  };
}

/** The spoke itself refuses. `outcome` is also the reason's code. */
export function refusedByHost(
  exchange: Exchange,
  refusal: Refusal,
  cause: HostCause,
  outcome: string,
  action: Answer['action'],
  file = '',
): Answer {
  const reason: Reason = {
    layer: 'host',
    rule: HOST_RULE[cause],
    code: outcome,
    facts: {},
    level: 'deny',
    effective: 'deny',
    effect: 'refuse',
    override: 'none',
    exception: '',
  };
  return {
    level: 'deny',
    floorLevel: 'deny',
    overlayLevel: 'allow',
    reasons: [reason],
    exceptions: [],
    input: '',
    reply: { kind: 'bytes', reply: replyOf(exchange, { ...refusal, rules: [reason.rule] }) },
    outcome,
    action,
    purl: refusal.purl,
    digest: '',
    enforced: true,
    hidden: [],
    coded: true,
    file,
  };
}

/** Something failed on the way to a decision or to the bytes: fail closed, say what. */
export function refusedByError(
  facts: SpokeFacts,
  exchange: Exchange,
  error: WeirError,
  subject: Named | undefined,
  bundle: string,
  action: Answer['action'],
): Answer {
  const refusal = refusalOfError(error, refusalContext(facts, exchange, subject, bundle));
  const { cause, outcome } = CAUSES[error.code] ?? { cause: 'internal', outcome: 'internal_error' };
  return refusedByHost(exchange, refusal, cause, outcome, action);
}

const CAUSES: Readonly<Partial<Record<WeirError['code'], { readonly cause: HostCause; readonly outcome: string }>>> = {
  upstream_failed: { cause: 'upstream', outcome: 'upstream_failed' },
  not_found: { cause: 'upstream', outcome: 'not_found' },
  timeout: { cause: 'upstream', outcome: 'upstream_timeout' },
  integrity: { cause: 'upstream', outcome: 'upstream_integrity' },
  unavailable: { cause: 'upstream', outcome: 'upstream_unavailable' },
  too_large: { cause: 'upstream', outcome: 'too_large' },
  resource_exhausted: { cause: 'internal', outcome: 'overloaded' },
  unparsable: { cause: 'request', outcome: 'unparsable' },
  invalid_argument: { cause: 'request', outcome: 'invalid_request' },
  unsupported: { cause: 'request', outcome: 'unsupported' },
  forbidden: { cause: 'request', outcome: 'forbidden' },
  cancelled: { cause: 'request', outcome: 'client_gone' },
  spool_failed: { cause: 'spool', outcome: 'spool_failed' },
  engine_failed: { cause: 'bundle', outcome: 'engine_failed' },
};

/** The refusal in the client's dialect; of an index document perhaps as a page that leads to it. */
function replyOf(exchange: Exchange, refusal: Refusal): ClientReply {
  const { adapter, route, client, publicBase } = exchange;
  if (route.kind === 'metadata') {
    const { representation, detail } = route;
    const page = adapter.standIn?.(route.name, refusal, client, { publicBase, representation, detail });
    if (page !== undefined) {
      const headers: [string, string][] = [
        ['content-type', page.contentType],
        ['cache-control', 'no-store'],
        ['x-weir-code', refusal.code],
      ];
      return { status: 200, reasonPhrase: 'OK', headers, body: page.body };
    }
  }
  return adapter.renderRefusal(refusal, client);
}

/** Upstream has no such thing: its own answer, not a refusal. */
export function notFound(exchange: KnownExchange, subject: Named, action: Action, detail: string, file = ''): Answer {
  const refusal: Refusal = {
    status: 404,
    title: 'Not found',
    detail,
    code: '',
    purl: purl(subject),
    rules: [],
    allowedInstead: '',
    retryAt: null,
    requestUrl: '',
    bundle: exchange.policy.digest,
  };
  return {
    ...UNJUDGED,
    reply: { kind: 'bytes', reply: exchange.adapter.renderRefusal(refusal, exchange.client) },
    outcome: 'not_found',
    action,
    purl: refusal.purl,
    digest: '',
    enforced: true,
    hidden: [],
    coded: false,
    file,
  };
}
