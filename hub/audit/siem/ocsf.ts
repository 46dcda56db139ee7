// A row as an OCSF event. Decisions are API Activity (6003) with the security_control profile; rows about a spoke itself take
// the class that fits them. The row stays the record: what OCSF has no place for is under `unmapped.weir`, and the leaf hash
// there leads back to the signed tree. README.md has the table.

import type { Json, JsonObject } from '@weir/shared/domain/json.ts';
import type { AuditRow, RowRule } from '@weir/shared/audit/row.ts';
import type { LedgerRow } from '../ledger-row.ts';
import { decidingRule, type Effect, effectOf, messageOf } from './effect.ts';
import { packageOf } from './package-of.ts';
import { PRODUCT, VENDOR } from './product.ts';
import { type Severity, severityOf } from './severity.ts';

/** The schema version that the events claim, and that tests hold them to. */
export const OCSF_VERSION = '1.8.0';

type Caption = readonly [id: number, caption: string];

const SEVERITY: Readonly<Record<Severity, Caption>> = {
  informational: [1, 'Informational'],
  low: [2, 'Low'],
  medium: [3, 'Medium'],
  high: [4, 'High'],
};

const ALLOWED: Caption = [1, 'Allowed'];
const DENIED: Caption = [2, 'Denied'];

interface Control {
  readonly action: Caption;
  readonly disposition: Caption;
  readonly succeeded: boolean;
}

const CONTROL: Readonly<Record<Exclude<Effect, 'none'>, Control>> = {
  allowed: { action: ALLOWED, disposition: [1, 'Allowed'], succeeded: true },
  approved: { action: ALLOWED, disposition: [8, 'Approved'], succeeded: true },
  absent: { action: ALLOWED, disposition: [16, 'No Action'], succeeded: false },
  filtered: { action: [4, 'Modified'], disposition: [99, 'Filtered'], succeeded: true },
  tolerated: { action: [3, 'Observed'], disposition: [17, 'Logged'], succeeded: true },
  held: { action: DENIED, disposition: [14, 'Delayed'], succeeded: false },
  blocked: { action: DENIED, disposition: [2, 'Blocked'], succeeded: false },
  unauthorised: { action: DENIED, disposition: [26, 'Unauthorized'], succeeded: false },
  rejected: { action: DENIED, disposition: [25, 'Rejected'], succeeded: false },
  failed: { action: DENIED, disposition: [27, 'Error'], succeeded: false },
};
/** A unit in warn mode wants to be told of what it lets through. */
const WARNED: Control = { ...CONTROL.tolerated, disposition: [19, 'Alert'] };

function controlOf(row: AuditRow): Control {
  const effect = effectOf(row);
  if (effect === 'tolerated' && row.mode === 'warn') return WARNED;
  return CONTROL[effect === 'none' ? 'allowed' : effect];
}

/** The OCSF event of a row, as a JSON value. */
export function ocsfOf(entry: LedgerRow): JsonObject {
  return entry.row.action === 'event' ? spokeEvent(entry) : decision(entry);
}

function decision(entry: LedgerRow): JsonObject {
  const { row } = entry;
  const { action, disposition, succeeded } = controlOf(row);
  const subject = packageOf(row);
  const [activity, activityName] = activityOf(row);
  const deciding = decidingRule(row);
  const [method] = /^(?:GET|HEAD|PUT|POST|DELETE|PATCH|OPTIONS)$/.exec(row.request.method) ?? [];
  return {
    ...base(entry, { class: [6003, 'API Activity'], category: [6, 'Application Activity'] }, [activity, activityName]),
    action_id: action[0],
    action: action[1],
    disposition_id: disposition[0],
    disposition: disposition[1],
    is_alert: severityOf(row) === 'high',
    status_id: succeeded ? 1 : 2,
    status: succeeded ? 'Success' : 'Failure',
    status_code: String(row.status),
    status_detail: row.outcome,
    actor: { user: actorOf(row) },
    api: {
      operation: row.action,
      service: { name: row.request.registry === '' ? PRODUCT : row.request.registry },
      ...(row.code === '' ? {} : { request: { uid: row.code } }),
      response: { code: row.status, message: row.outcome },
    },
    // Rows hold no client address; what the client calls itself is the nearest thing to an endpoint.
    src_endpoint: { svc_name: row.request.client === '' ? 'unknown' : row.request.client },
    dst_endpoint: {
      svc_name: row.request.registry === '' ? PRODUCT : row.request.registry,
      name: row.spoke,
      ...(row.site === '' ? {} : { zone: row.site }),
    },
    ...(method === undefined ? {} : { http_request: { http_method: method } }),
    ...(row.status === 0 ? {} : { http_response: { code: row.status } }),
    ...(subject === undefined
      ? {}
      : {
          resources: [
            {
              uid: subject.purl,
              name: subject.name,
              type: 'package',
              role_id: 1,
              ...(subject.namespace === '' ? {} : { namespace: subject.namespace }),
              ...(subject.version === '' ? {} : { version: subject.version }),
              ...(row.subject.digest === '' ? {} : { data: { digest: row.subject.digest } }),
            },
          ],
        }),
    ...(row.bundle === ''
      ? {}
      : { policy: { name: 'bundle', uid: row.bundle, type: 'signed policy bundle', is_applied: row.enforced } }),
    ...(deciding === undefined
      ? {}
      : {
          firewall_rule: {
            uid: deciding.rule,
            name: deciding.code,
            category: deciding.layer,
            type: deciding.effective,
          },
        }),
    ...(row.rules.length === 0
      ? {}
      : {
          authorizations: row.rules.map((rule) => authorization(rule, row.enforced)),
          enrichments: row.rules.map(enrichment),
        }),
    ...(row.trace === '' ? {} : { trace: { uid: row.trace } }),
  };
}

/** What a row about a spoke is, in OCSF's classes. */
function spokeEvent(entry: LedgerRow): JsonObject {
  const { row } = entry;
  const lifecycle = { class: [6002, 'Application Lifecycle'], category: [6, 'Application Activity'] } as const;
  const log = { class: [1008, 'Event Log Activity'], category: [1, 'System Activity'] } as const;
  const fault = { class: [6008, 'Application Error'], category: [6, 'Application Activity'] } as const;
  const app = { name: 'spoke', uid: `${row.unit}/${row.spoke}`, vendor_name: VENDOR, version: row.engine || '0' };
  const detail = {
    status_code: String(row.status),
    status_detail: row.outcome,
    ...(row.rules.length === 0 ? {} : { enrichments: row.rules.map(enrichment) }),
  };
  switch (row.outcome) {
    case 'spoke_started':
      return { ...base(entry, lifecycle, [3, 'Start']), ...detail, app };
    case 'spoke_stopped':
      return { ...base(entry, lifecycle, [4, 'Stop']), ...detail, app };
    case 'bundle_activated':
      return { ...base(entry, lifecycle, [8, 'Update']), ...detail, app };
    case 'epoch_opened':
      return { ...base(entry, log, [5, 'Rotate']), ...detail, log_name: row.log, log_provider: PRODUCT };
    case 'log_repaired':
    case 'log_salvaged':
    case 'log_reopened':
    case 'damage_accepted':
    case 'counters':
      return { ...base(entry, log, [99, row.outcome]), ...detail, log_name: row.log, log_provider: PRODUCT };
    default:
      return severityOf(row) === 'high'
        ? { ...base(entry, fault, [1, 'General Error']), ...detail }
        : { ...base(entry, lifecycle, [99, row.outcome]), ...detail, app };
  }
}

interface EventClass {
  readonly class: Caption;
  readonly category: Caption;
}

function base(entry: LedgerRow, kind: EventClass, [activity, activityName]: Caption): JsonObject {
  const { row, leaf, storedAtMs } = entry;
  const severity = SEVERITY[severityOf(row)];
  const profiles = row.action === 'event' ? [] : ['security_control', ...(row.trace === '' ? [] : ['trace'])];
  return {
    category_uid: kind.category[0],
    category_name: kind.category[1],
    class_uid: kind.class[0],
    class_name: kind.class[1],
    activity_id: activity,
    activity_name: activityName,
    type_uid: kind.class[0] * 100 + activity,
    type_name: `${kind.class[1]}: ${activityName}`,
    severity_id: severity[0],
    severity: severity[1],
    time: Date.parse(row.time),
    message: messageOf(row),
    metadata: {
      version: OCSF_VERSION,
      product: {
        name: PRODUCT,
        vendor_name: VENDOR,
        ...(row.engine === '' ? {} : { version: row.engine }),
        feature: { name: 'spoke', uid: `${row.unit}/${row.spoke}` },
      },
      uid: row.id,
      original_event_uid: row.id,
      ...(row.code === '' ? {} : { correlation_uid: row.code }),
      event_code: row.outcome,
      log_name: row.log,
      log_provider: PRODUCT,
      log_version: String(row.v),
      logged_time: storedAtMs,
      original_time: row.time,
      sequence: row.index,
      tenant_uid: row.unit,
      ...(profiles.length === 0 ? {} : { profiles }),
    },
    unmapped: {
      weir: {
        record: {
          log: row.log,
          index: row.index,
          leaf: leaf.toString('hex'),
          leaf_hash: 'sha256(0x00 || row)',
          row_bytes: entry.bytes.length,
        },
        unit: row.unit,
        spoke: row.spoke,
        site: row.site,
        ecosystem: row.request.ecosystem,
        route: row.request.route,
        target: row.request.target,
        level: row.level,
        floor_level: row.floor_level,
        overlay_level: row.overlay_level,
        mode: row.mode,
        enforced: row.enforced,
        bundle: row.bundle,
        input: row.input,
        duration_us: row.duration_us,
        exceptions: [...row.exceptions],
        hidden: [...row.hidden],
        hidden_count: row.hidden_count,
      },
    },
  };
}

/** Install, metadata and the like only read from a registry; publishing would write to it. */
function activityOf(row: AuditRow): Caption {
  switch (row.action) {
    case 'publish':
      return [1, 'Create'];
    case 'install':
    case 'metadata':
    case 'check':
      return [2, 'Read'];
    default:
      return [99, row.action];
  }
}

function actorOf(row: AuditRow): JsonObject {
  const { id, kind } = row.actor;
  const type: Caption =
    kind === 'person' ? [1, 'User'] : kind === 'token' || kind === 'workload' ? [4, 'Service'] : [0, 'Unknown'];
  // Without credentials nobody is known; the kind says why.
  return { ...(id === '' ? { name: kind === '' ? 'unknown' : kind } : { uid: id }), type_id: type[0], type: type[1] };
}

function authorization(rule: RowRule, enforced: boolean): Json {
  return {
    decision: rule.effective,
    policy: {
      uid: rule.rule,
      name: rule.code,
      type: rule.layer,
      is_applied: enforced && rule.effective === rule.level,
    },
  };
}

function enrichment(rule: RowRule): Json {
  const { rule: value, layer, code, level, effective, exception, facts } = rule;
  return {
    name: 'rule',
    value,
    type: layer,
    provider: PRODUCT,
    data: { code, level, effective, exception, facts: facts as JsonObject },
  };
}
