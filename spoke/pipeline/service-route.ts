// Requests that install nothing: ping, whoami, search, audits. Answered by the adapter, with what it needs from upstream
// or from policy fetched for it here; internal names never leave.

import { purl, type Coordinate } from '@weir/shared/domain/coordinate.ts';
import { rank } from '@weir/shared/domain/level.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { SERVICE_BODY_BYTES_MAX, type ClientReply, type RefusedSubject, type Route } from '../registries/adapter.ts';
import { renderText } from '../response/texts.ts';
import { UNJUDGED, type Answer, type KnownExchange } from './exchange.ts';
import { asListed, judge, judgeName } from './judge.ts';
import type { PipelinePorts } from './ports.ts';

/** Packages that one audit request may make this spoke look up; the rest is answered as unjudged. */
export const AUDIT_PACKAGES_MAX = 200;

type ServiceRoute = Extract<Route, { kind: 'service' }>;

export interface ServiceRouteHandler {
  answer(
    exchange: KnownExchange,
    route: ServiceRoute,
    readBody: (limitBytes: number) => Promise<Uint8Array>,
  ): Promise<Answer>;
}

export function createServiceRoute(ports: PipelinePorts): ServiceRouteHandler {
  return {
    async answer(exchange, route, readBody) {
      const { adapter, target, principal, publicBase } = exchange;
      const body = target.method === 'POST' ? await readBody(SERVICE_BODY_BYTES_MAX) : new Uint8Array();
      const answer = adapter.answerService(route, {
        target,
        body,
        actor: principal.id,
        publicBase,
        isInternal: (name) => judgeName(ports, exchange, 'check', name) !== undefined,
      });
      switch (answer.kind) {
        case 'reply':
          return serviceAnswer(route, answer.reply);
        case 'forward': {
          const found = await ports.metadata.ask(adapter.id, answer.upstream, exchange.signal);
          if (found.kind === 'not_found') throw new WeirError('not_found', 'the upstream registry does not offer this');
          return serviceAnswer(route, answer.answer(found.body));
        }
        case 'judge':
          return serviceAnswer(route, answer.answer(await refusedAmong(exchange, answer.subjects)));
        default:
          return answer satisfies never;
      }
    },
  };

  async function refusedAmong(
    exchange: KnownExchange,
    subjects: readonly Coordinate[],
  ): Promise<readonly RefusedSubject[]> {
    const byName = new Map<string, Coordinate[]>();
    for (const subject of subjects) {
      const key = purl({ ecosystem: subject.ecosystem, namespace: subject.namespace, name: subject.name });
      const list = byName.get(key);
      if (list !== undefined) list.push(subject);
      else if (byName.size < AUDIT_PACKAGES_MAX) byName.set(key, [subject]);
    }
    const refused: RefusedSubject[] = [];
    for (const list of byName.values()) refused.push(...(await refusedOf(exchange, list)));
    return refused;
  }

  async function refusedOf(exchange: KnownExchange, list: readonly Coordinate[]): Promise<readonly RefusedSubject[]> {
    const [first] = list;
    if (first === undefined || judgeName(ports, exchange, 'check', first) !== undefined) return [];
    const { adapter, policy, signal } = exchange;
    const found = await ports.metadata.read(adapter, first, signal);
    if (found.kind === 'not_found') return [];
    const { releases } = found;
    const wanted = new Set(list.map(({ version }) => version));
    const chosen = releases.releases.filter(({ version }) => wanted.has(version));
    const verdicts = judge(ports, exchange, 'check', releases, chosen.map(asListed));
    return verdicts.flatMap((verdict, i) => {
      const version = chosen[i]?.version ?? '';
      const reason = verdict.reasons.find(({ effective }) => rank(effective) >= rank('pending'));
      if (reason === undefined) return [];
      const coordinate = { ...first, version };
      return [{ coordinate, rule: reason.rule, ...renderText(policy.rules, reason, coordinate) }];
    });
  }
}

function serviceAnswer(route: ServiceRoute, reply: ClientReply): Answer {
  return {
    ...UNJUDGED,
    reply: { kind: 'bytes', reply },
    outcome: 'served',
    action: 'metadata',
    purl: '',
    digest: '',
    enforced: true,
    hidden: [],
    coded: false,
    file: route.service,
  };
}
