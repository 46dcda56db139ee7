// A row as an Elastic Common Schema document, with nested objects as Elasticsearch takes them. What ECS has no field for goes
// to `weir.*`, a namespace of our own as ECS asks for; `labels` holds the few keys that dashboards group by.

import type { JsonObject } from '@weir/shared/domain/json.ts';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import type { LedgerRow } from '../ledger-row.ts';
import { decidingRule, type Effect, effectOf, messageOf } from './effect.ts';
import { packageOf } from './package-of.ts';
import { PRODUCT, VENDOR } from './product.ts';
import { type Severity, severityOf } from './severity.ts';

export const ECS_VERSION = '9.4.0';

/** `event.severity` is a number of the source's own choice; these are the numbers of CEF's scale. */
export const SEVERITY_NUMBER: Readonly<Record<Severity, number>> = { informational: 1, low: 3, medium: 6, high: 8 };

interface Categorised {
  readonly kind: 'event' | 'alert' | 'metric';
  readonly category: readonly string[];
  readonly type: readonly string[];
  readonly outcome: 'success' | 'failure' | 'unknown';
}

/** Types and outcomes of ECS; a request for an artifact is of the category `package` too. */
const OF_EFFECT: Readonly<Record<Exclude<Effect, 'none'>, Pick<Categorised, 'type' | 'outcome'>>> = {
  allowed: { type: ['access', 'allowed'], outcome: 'success' },
  approved: { type: ['access', 'allowed'], outcome: 'success' },
  tolerated: { type: ['access', 'allowed'], outcome: 'success' },
  filtered: { type: ['access', 'info'], outcome: 'success' },
  held: { type: ['access', 'denied'], outcome: 'failure' },
  blocked: { type: ['access', 'denied'], outcome: 'failure' },
  rejected: { type: ['access', 'denied'], outcome: 'failure' },
  unauthorised: { type: ['denied', 'start'], outcome: 'failure' },
  failed: { type: ['access', 'error'], outcome: 'failure' },
  absent: { type: ['access', 'info'], outcome: 'failure' },
};

function categorised(row: AuditRow): Categorised {
  const kind = severityOf(row) === 'high' ? 'alert' : 'event';
  const effect = effectOf(row);
  if (effect === 'none') return spokeEvent(row, kind);
  const category = [
    'api',
    ...(row.action === 'install' ? ['package'] : []),
    ...(effect === 'unauthorised' ? ['authentication'] : []),
    ...(effect === 'failed' ? ['web'] : []),
  ];
  return { kind, category, ...OF_EFFECT[effect] };
}

function spokeEvent(row: AuditRow, kind: 'event' | 'alert'): Categorised {
  switch (row.outcome) {
    case 'spoke_started':
      return { kind, category: ['process'], type: ['start'], outcome: 'success' };
    case 'spoke_stopped':
      return { kind, category: ['process'], type: ['end'], outcome: 'success' };
    case 'bundle_activated':
      return { kind, category: ['configuration'], type: ['change'], outcome: 'success' };
    case 'counters':
      return { kind: 'metric', category: ['api'], type: ['info'], outcome: 'unknown' };
    default:
      return kind === 'alert'
        ? { kind, category: ['process'], type: ['info'], outcome: 'failure' }
        : { kind, category: ['process'], type: ['info'], outcome: 'unknown' };
  }
}

/** The ECS document of a row, as a JSON value. */
export function ecsOf(entry: LedgerRow): JsonObject {
  const { row, leaf, storedAtMs } = entry;
  const { kind, category, type, outcome } = categorised(row);
  const subject = packageOf(row);
  const deciding = decidingRule(row);
  return {
    '@timestamp': row.time,
    ecs: { version: ECS_VERSION },
    message: messageOf(row),
    event: {
      id: row.id,
      kind,
      category: [...category],
      type: [...type],
      outcome,
      action: row.action === 'event' ? row.outcome : row.action,
      code: row.outcome,
      reason: messageOf(row),
      provider: PRODUCT.toLowerCase(),
      module: PRODUCT.toLowerCase(),
      dataset: `${PRODUCT.toLowerCase()}.audit`,
      severity: SEVERITY_NUMBER[severityOf(row)],
      created: row.time,
      ingested: new Date(storedAtMs).toISOString(),
      sequence: row.index,
      // Nanoseconds. Beyond what a JSON number holds exactly nobody waits for an answer.
      duration: Math.min(row.duration_us * 1000, Number.MAX_SAFE_INTEGER),
    },
    observer: { vendor: VENDOR, product: PRODUCT, type: 'package-firewall', name: row.spoke, version: row.engine },
    organization: { id: row.unit, name: row.unit },
    ...(row.actor.id === '' ? {} : { user: { id: row.actor.id, roles: [row.actor.kind] } }),
    ...(row.request.client === '' ? {} : { user_agent: { name: row.request.client } }),
    ...(row.request.method === '' && row.status === 0
      ? {}
      : {
          http: {
            ...(row.request.method === '' ? {} : { request: { method: row.request.method } }),
            ...(row.status === 0 ? {} : { response: { status_code: row.status } }),
          },
        }),
    ...(subject === undefined
      ? {}
      : {
          package: {
            name: subject.name,
            reference: subject.purl,
            ...(subject.type === '' ? {} : { type: subject.type }),
            ...(subject.version === '' ? {} : { version: subject.version }),
            ...(row.subject.digest === '' ? {} : { checksum: row.subject.digest }),
          },
        }),
    ...(deciding === undefined
      ? {}
      : {
          rule: {
            id: deciding.rule,
            name: deciding.code,
            category: deciding.layer,
            ruleset: row.bundle === '' ? 'none' : row.bundle,
          },
        }),
    ...(row.trace === '' ? {} : { trace: { id: row.trace } }),
    // Labels are keywords: flat, and always text.
    labels: {
      unit: row.unit,
      spoke: row.spoke,
      site: row.site,
      ecosystem: row.request.ecosystem,
      registry: row.request.registry,
      level: row.level,
      mode: row.mode,
      enforced: String(row.enforced),
      request_code: row.code,
    },
    weir: {
      record: { log: row.log, index: row.index, leaf: leaf.toString('hex'), schema: row.v },
      route: row.request.route,
      target: row.request.target,
      actor_kind: row.actor.kind,
      floor_level: row.floor_level,
      overlay_level: row.overlay_level,
      bundle: row.bundle,
      input: row.input,
      // Facts are of any shape, and a mapping of fields that grow with every rule would explode: kept as text.
      rules: row.rules.map(({ facts, ...rule }) => ({ ...rule, facts: JSON.stringify(facts) })),
      exceptions: [...row.exceptions],
      hidden: [...row.hidden],
      hidden_count: row.hidden_count,
    },
  };
}
