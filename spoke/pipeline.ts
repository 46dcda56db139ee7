// The order of things: request → identity → evidence → decision → audit → response. Every request takes this path, whatever
// it asks and however it ends; nothing leaves before its row is durable. Read this first.
//
// Budget of a request whose artifact and verdict are cached: no upstream, no policy evaluation, one row, one write. Asked
// for again in the same words, it is answered by `pipeline/repeats.ts` with the row as the only work left.

import { requestCodeOf } from '@weir/shared/domain/request-code.ts';
import type { Mode } from '@weir/shared/domain/unit.ts';
import { asWeirError, WeirError } from '@weir/shared/errors/weir-error.ts';
import { createArtifactRoute } from './pipeline/artifact-route.ts';
import type { Answer, Exchange, KnownExchange } from './pipeline/exchange.ts';
import { createMetadataRoute } from './pipeline/metadata-route.ts';
import type { ActivePolicy, Artifact, PipelinePorts, ReplyPort } from './pipeline/ports.ts';
import { draftRow } from './pipeline/record.ts';
import { refusalContext, refusedByError, refusedByHost, type Named } from './pipeline/refuse.ts';
import { createRepeats } from './pipeline/repeats.ts';
import { createServiceRoute } from './pipeline/service-route.ts';
import { createUnrecorded } from './pipeline/unrecorded.ts';
import type { RowTemplate } from './audit/row-template.ts';
import type { Adapter, Route } from './registries/adapter.ts';
import { byteRangeOf } from './response/byte-range.ts';
import { RECEIPT_HEADER, receiptHeader, type Recorded } from './response/receipt-header.ts';
import { refusalOfAuthentication, refusalOfError, refusalOfRoute } from './response/refusal.ts';
import { parseTarget } from './request/parse-target.ts';

export interface IncomingRequest {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly encrypted: boolean;
  readonly signal: AbortSignal;
  readBody(limitBytes: number): Promise<Uint8Array>;
}

export type Pipeline = (request: IncomingRequest, reply: ReplyPort) => Promise<void>;

/** Nobody, as rows name whoever was not let in. */
const STRANGER = { id: '', kind: 'unknown' } as const;
const NAMELESS: Route = { kind: 'refused', reason: 'unparsable', detail: 'the request names no host' };
const TRACEPARENT = /^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/;

export function createPipeline(ports: PipelinePorts): Pipeline {
  const routes = {
    metadata: createMetadataRoute(ports),
    artifact: createArtifactRoute(ports),
    service: createServiceRoute(ports),
  };
  const repeats = createRepeats(ports);
  const unrecorded = createUnrecorded(ports);

  return async function handle(request, reply) {
    // Asked before in the same words, and nothing has changed since: the same answer, a row of its own.
    const policy = ports.policy();
    const barred = isBarred(policy);
    if (!barred && (await repeats.answer(request, reply))) return;
    // request: what is asked?
    const { exchange, mounted } = begin(ports, request);
    // identity: who asks?
    const who = policy?.authenticator.authenticate(
      exchange.target.headers['authorization'],
      Math.floor(exchange.atMs / 1000),
    );
    const actor = who?.kind === 'principal' ? who.principal : STRANGER;
    // evidence and decision: what is known, and what follows?
    let answer: Answer;
    let known: KnownExchange | undefined;
    if (policy === undefined) {
      answer = withoutPolicy(ports, exchange);
    } else if (barred) {
      answer = withDamage(ports, exchange, policy);
    } else if (exchange.route.kind === 'refused') {
      const refusal = refusalOfRoute(
        exchange.route,
        refusalContext(ports.facts, exchange, undefined, policy.digest),
        mounted,
      );
      const outcome = exchange.route.reason === 'publish' ? 'publish_refused' : exchange.route.reason;
      // What could not be read is not repeated; why it could not is.
      const { detail } = exchange.route;
      answer = refusedByHost(exchange, refusal, 'request', outcome, actionOf(exchange.route), detail);
    } else if (who?.kind !== 'principal') {
      const refused = who ?? ({ kind: 'refused', reason: 'missing', status: 401 } as const);
      const refusal = refusalOfAuthentication(refused, refusalContext(ports.facts, exchange, undefined, policy.digest));
      answer = refusedByHost(
        exchange,
        refusal,
        'identity',
        refused.status === 401 ? 'unauthenticated' : 'forbidden',
        actionOf(exchange.route),
      );
    } else {
      known = { ...exchange, policy, staleness: ports.staleness(), principal: who.principal };
      answer = await decide(known, request);
    }
    // audit: written down before anything leaves.
    const { answer: recorded, row, at } = await record(exchange, answer, actor, policy);
    if (known !== undefined && row !== undefined) repeats.keep(request, known, recorded, row);
    // response: in the client's own dialect.
    await respond(exchange, recorded, at, actor, policy, reply);
  };

  /** In block nothing is served beside a damaged audit until somebody has looked at it, or the signed settings go on. */
  function isBarred(policy: ActivePolicy | undefined): boolean {
    if (!ports.log.damaged() || policy === undefined) return false;
    const { mode, audit } = policy.settings;
    return mode === 'block' && audit?.on_damage !== 'continue';
  }

  /** Evidence and decision for each kind of route; trouble on the way is an answer too. */
  async function decide(exchange: KnownExchange, request: IncomingRequest): Promise<Answer> {
    const { route, policy } = exchange;
    try {
      switch (route.kind) {
        case 'metadata':
          return await routes.metadata.answer(exchange, route);
        case 'artifact':
        case 'sidecar':
          return await routes.artifact.answer(exchange, route);
        case 'service':
          return await routes.service.answer(exchange, route, (limit) => request.readBody(limit));
        case 'refused':
          throw new WeirError('internal', 'a refused route reached the decision');
        default:
          return route satisfies never;
      }
    } catch (thrown) {
      const error = asWeirError(thrown, 'internal', 'the spoke failed on this request');
      const level = error.code === 'internal' ? 'error' : 'warn';
      ports.logger[level](
        { request: exchange.id, code: error.code, error: thrown, ...error.internal },
        'a request ended in an error',
      );
      return refusedByError(ports.facts, exchange, error, subjectOf(route), policy.digest, actionOf(route));
    }
  }

  /** The row is durable when this resolves; where it cannot be, `block` refuses and the other modes serve and say so. */
  async function record(
    exchange: Exchange,
    answer: Answer,
    actor: { readonly id: string; readonly kind: string; readonly pseudonym?: string },
    policy: ActivePolicy | undefined,
  ): Promise<{
    readonly answer: Answer;
    readonly row: RowTemplate | undefined;
    readonly at: Recorded | undefined;
  }> {
    const mode: Mode = policy?.settings.mode ?? 'block';
    const row = draftRow(ports, exchange, answer, actor, { digest: policy?.digest ?? '', mode }, statusOf(answer));
    try {
      const template = ports.log.template(row);
      const at = await ports.log.appendTo(template, row);
      unrecorded.recorded();
      ports.metrics.count('weir_spoke_decisions_total', {
        outcome: row.outcome,
        level: row.level,
        registry: row.request.registry,
      });
      ports.metrics.observe('weir_spoke_decision_seconds', row.duration_us / 1e6, { route: row.request.route });
      return { answer, row: template, at };
    } catch (thrown) {
      const error = asWeirError(thrown, 'spool_failed', 'the decision could not be recorded');
      ports.metrics.count('weir_spoke_rows_unrecorded_total', { mode });
      unrecorded.missed(exchange.atMs, mode);
      ports.logger.error(
        { request: exchange.id, code: error.code, error: thrown, mode },
        'a row could not be made durable',
      );
      if (mode !== 'block') return { answer, row: undefined, at: undefined };
      if (answer.reply.kind === 'artifact') answer.reply.artifact.source.release();
      const told = new WeirError('spool_failed', 'this decision cannot be recorded, so nothing is let through', {
        cause: error,
        next: 'ask the operator of this spoke to look at its audit spool',
      });
      const refusal = refusalOfError(told, refusalContext(ports.facts, exchange, undefined, policy?.digest ?? ''));
      const refused = refusedByHost(exchange, refusal, 'spool', 'spool_failed', answer.action);
      return { answer: { ...refused, coded: false }, row: undefined, at: undefined };
    }
  }

  async function respond(
    exchange: Exchange,
    answer: Answer,
    at: Recorded | undefined,
    actor: { readonly id: string; readonly kind: string },
    policy: ActivePolicy | undefined,
    reply: ReplyPort,
  ): Promise<void> {
    const receipt = receiptOf(exchange.route, at);
    if (answer.reply.kind === 'bytes') {
      const { status, reasonPhrase, headers, body } = answer.reply.reply;
      reply.sendBuffer(status, reasonPhrase, [...headers.flat(), ...receipt], body, answer.reply.range);
      return;
    }
    const { artifact, range } = answer.reply;
    const headers = [...answer.reply.headers, ...receipt];
    if (artifact.bytes !== null) {
      reply.sendBuffer(200, 'OK', headers, artifact.bytes, range);
      artifact.source.release();
      return;
    }
    const sent = await reply.sendFile('OK', headers, artifact.source, range);
    if (sent.kind !== 'failed') return;
    // The first row promised bytes that did not come: a second one says so, and only then anything else is sent.
    ports.logger.warn({ request: exchange.id, code: sent.error.code, bytes: sent.bytes }, 'an artifact broke off');
    const late: Exchange = { ...exchange, ...identify(ports) };
    const failure = refusedByError(
      ports.facts,
      late,
      sent.error,
      subjectOf(exchange.route),
      policy?.digest ?? '',
      answer.action,
    );
    const { answer: recorded, at: second } = await record(
      late,
      { ...failure, purl: answer.purl, file: answer.file },
      actor,
      policy,
    );
    if (!sent.headSent && recorded.reply.kind === 'bytes') {
      const { status, reasonPhrase, headers: lines, body } = recorded.reply.reply;
      reply.sendBuffer(status, reasonPhrase, [...lines.flat(), ...receiptOf(exchange.route, second)], body);
    }
  }
}

/** Ids come first: the code has to be known before the row that it names exists. */
function identify(ports: PipelinePorts): Pick<Exchange, 'id' | 'code' | 'startedMs' | 'atMs'> {
  const id = ports.random.uuid();
  return { id, code: requestCodeOf(id), startedMs: ports.clock.monotonicMs(), atMs: ports.clock.nowMs() };
}

function begin(
  ports: PipelinePorts,
  request: IncomingRequest,
): { readonly exchange: Exchange; readonly mounted: boolean } {
  const identified = identify(ports);
  const { adapter, target, route: asked } = parseTarget(request, ports.adapters);
  const spoken: Adapter | undefined = adapter ?? ports.adapters[0];
  if (spoken === undefined) throw new WeirError('internal', 'this spoke has no registry');
  const host = target.headers['host'] ?? '';
  // Without a host the addresses in a view would lead nowhere, and HTTP/1.1 does not allow it.
  const route: Route = host === '' && asked.kind !== 'refused' ? NAMELESS : asked;
  const base =
    ports.facts.publicUrl === '' ? `${request.encrypted ? 'https' : 'http'}://${host}` : ports.facts.publicUrl;
  return {
    mounted: adapter !== undefined,
    exchange: {
      ...identified,
      adapter: spoken,
      target,
      route,
      client: spoken.clientFamily(target.headers['user-agent'] ?? ''),
      trace: TRACEPARENT.exec(target.headers['traceparent'] ?? '')?.[1] ?? '',
      publicBase: `${base}/${spoken.mount}`,
      signal: request.signal,
    },
  };
}

function withoutPolicy(ports: PipelinePorts, exchange: Exchange): Answer {
  const error = new WeirError('unavailable', 'this spoke has no verified policy yet, so it refuses everything', {
    next: 'ask its operator: `weir spoke status` says why',
  });
  const refusal = refusalOfError(error, refusalContext(ports.facts, exchange, subjectOf(exchange.route), ''));
  return refusedByHost(exchange, refusal, 'bundle', 'no_policy', actionOf(exchange.route));
}

function withDamage(ports: PipelinePorts, exchange: Exchange, policy: ActivePolicy): Answer {
  const error = new WeirError('spool_failed', "this spoke's audit files are damaged and nobody has accepted that yet", {
    next: 'ask its operator: `weir audit accept-damage` shows the damage and lets the spoke go on',
  });
  const refusal = refusalOfError(
    error,
    refusalContext(ports.facts, exchange, subjectOf(exchange.route), policy.digest),
  );
  return refusedByHost(exchange, refusal, 'spool', 'audit_damaged', actionOf(exchange.route));
}

function actionOf(route: Route): Answer['action'] {
  switch (route.kind) {
    case 'artifact':
    case 'sidecar':
      return 'install';
    case 'refused':
      return route.reason === 'publish' ? 'publish' : 'install';
    case 'metadata':
    case 'service':
      return 'metadata';
    default:
      return route satisfies never;
  }
}

function subjectOf(route: Route): Named | undefined {
  if (route.kind === 'artifact' || route.kind === 'sidecar') return route.coordinate;
  return route.kind === 'metadata' ? { ...route.name, version: '' } : undefined;
}

/** As it will be sent: a part, or none, of what a client asks a part of. */
function statusOf({ reply }: Answer): number {
  const [status, size] =
    reply.kind === 'bytes' ? [reply.reply.status, reply.reply.body.length] : [200, sizeOf(reply.artifact)];
  if (status !== 200 || reply.range === undefined || size === null) return status;
  return STATUS_OF_RANGE[byteRangeOf(reply.range, size).kind];
}

const STATUS_OF_RANGE = { whole: 200, part: 206, unsatisfiable: 416 } as const;

function sizeOf({ bytes, source }: Artifact): number | null {
  return bytes === null ? source.size : bytes.length;
}

/** Every answer about an artifact says where its row stands. */
function receiptOf({ kind }: Route, at: Recorded | undefined): readonly string[] {
  if (at === undefined || (kind !== 'artifact' && kind !== 'sidecar')) return [];
  return [RECEIPT_HEADER, receiptHeader(at)];
}
