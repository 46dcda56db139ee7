// Audit stage of the pipeline: one row per answer, durable before the first byte leaves.

import { ENGINE } from '@weir/shared/bundle/manifest.ts';
import { HIDDEN_MAX } from '@weir/shared/audit/row-schema.ts';
import type { RowDraft, RowRule } from '@weir/shared/audit/row.ts';
import type { Mode } from '@weir/shared/domain/unit.ts';
import type { Reason } from '@weir/shared/domain/verdict.ts';
import type { Answer, Exchange } from './exchange.ts';
import type { PipelinePorts } from './ports.ts';

const TARGET_CHARS_MAX = 200;
/** Method names of the row; anything else is somebody's invention and recorded as such. */
const METHODS = new Set(['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS']);

/** The row of an answer, as far as the pipeline knows it; the log adds its own position. */
export function draftRow(
  ports: Pick<PipelinePorts, 'facts' | 'clock'>,
  exchange: Exchange,
  answer: Answer,
  who: { readonly id: string; readonly kind: string; readonly pseudonym?: string },
  policy: { readonly digest: string; readonly mode: Mode },
  status: number,
): RowDraft {
  return {
    id: exchange.id,
    time: new Date(exchange.atMs).toISOString(),
    actor: { id: who.pseudonym ?? ports.facts.hashActor(who.id), kind: who.kind },
    request: {
      ecosystem: exchange.adapter.ecosystem,
      registry: exchange.adapter.id,
      method: METHODS.has(exchange.target.method) ? exchange.target.method : 'OTHER',
      route: routeName(exchange),
      client: exchange.client,
      target: printable(answer.file),
    },
    subject: { purl: answer.purl, digest: answer.digest },
    action: answer.action,
    level: answer.level,
    floor_level: answer.floorLevel,
    overlay_level: answer.overlayLevel,
    mode: policy.mode,
    enforced: answer.enforced,
    status,
    outcome: answer.outcome,
    rules: answer.reasons.map(rowRule),
    exceptions: answer.exceptions,
    hidden: answer.hidden.slice(0, HIDDEN_MAX),
    hidden_count: answer.hidden.length,
    bundle: policy.digest,
    input: answer.input,
    engine: ENGINE,
    duration_us: Math.max(0, Math.round((ports.clock.monotonicMs() - exchange.startedMs) * 1000)),
    trace: exchange.trace,
    code: answer.coded ? exchange.code : '',
  };
}

function routeName({ route }: Exchange): string {
  if (route.kind !== 'refused') return route.kind;
  return route.reason === 'unknown_route' || route.reason === 'method' ? 'unknown' : route.reason;
}

function rowRule(reason: Reason): RowRule {
  const { rule, layer, code, level, effective, exception, facts } = reason;
  return { rule, layer, code, level, effective, exception, facts };
}

function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, TARGET_CHARS_MAX);
}
