// The part of OCSF 1.8.0 that a projected row uses, written down by hand from the published schema: the attributes, which of
// them are required, the numbers and the captions that belong to them. Nothing else may stand in an event.

import { z } from 'zod';

const captions = (table: Readonly<Record<number, string>>) =>
  Object.fromEntries(Object.entries(table).map(([id, caption]) => [Number(id), caption]));

const SEVERITIES = captions({ 1: 'Informational', 2: 'Low', 3: 'Medium', 4: 'High' });
const ACTIONS = captions({ 1: 'Allowed', 2: 'Denied', 3: 'Observed', 4: 'Modified' });
const DISPOSITIONS = captions({
  1: 'Allowed',
  2: 'Blocked',
  8: 'Approved',
  14: 'Delayed',
  16: 'No Action',
  17: 'Logged',
  19: 'Alert',
  25: 'Rejected',
  26: 'Unauthorized',
  27: 'Error',
});
const USER_TYPES = captions({ 0: 'Unknown', 1: 'User', 4: 'Service' });
const STATUSES = captions({ 1: 'Success', 2: 'Failure' });

/** Whether a number has its own caption; 99 is Other, whose caption is the source's. */
function agrees(table: Readonly<Record<number, string>>, id: number, caption: string): boolean {
  return id === 99 ? caption !== '' : table[id] === caption;
}

const text = z.string();
const timestamp = z.int().min(0);
const json = z.record(text, z.json());

const metadata = z.strictObject({
  version: z.literal('1.8.0'),
  product: z.strictObject({
    name: text,
    vendor_name: text,
    version: text.optional(),
    feature: z.strictObject({ name: text, uid: text }),
  }),
  uid: text.min(1),
  original_event_uid: text,
  correlation_uid: text.optional(),
  event_code: text,
  log_name: text,
  log_provider: text,
  log_version: text,
  logged_time: timestamp,
  original_time: text,
  sequence: z.int().min(0),
  tenant_uid: text,
  profiles: z.array(z.enum(['security_control', 'trace'])).optional(),
});

const enrichments = z
  .array(z.strictObject({ name: text, value: text, type: text, provider: text, data: json }))
  .min(1)
  .optional();

const base = {
  category_name: text,
  class_name: text,
  activity_name: text,
  type_uid: z.int(),
  type_name: text,
  severity_id: z.int(),
  severity: text,
  time: timestamp,
  message: text.min(1),
  metadata,
  unmapped: json,
  enrichments,
  status_code: text,
  status_detail: text,
};

const policy = z.strictObject({ name: text, uid: text, type: text, is_applied: z.boolean() });

const apiActivity = z.strictObject({
  ...base,
  category_uid: z.literal(6),
  class_uid: z.literal(6003),
  activity_id: z.union([z.literal(1), z.literal(2), z.literal(99)]),
  action_id: z.int(),
  action: text,
  disposition_id: z.int(),
  disposition: text,
  is_alert: z.boolean(),
  status_id: z.int(),
  status: text,
  actor: z.strictObject({
    // At least one of name and uid.
    user: z
      .strictObject({ name: text.min(1).optional(), uid: text.min(1).optional(), type_id: z.int(), type: text })
      .refine(({ name, uid }) => name !== undefined || uid !== undefined)
      .refine(({ type_id, type }) => agrees(USER_TYPES, type_id, type)),
  }),
  api: z.strictObject({
    operation: text.min(1),
    service: z.strictObject({ name: text.min(1) }),
    request: z.strictObject({ uid: text.min(1) }).optional(),
    response: z.strictObject({ code: z.int(), message: text }),
  }),
  src_endpoint: z.strictObject({ svc_name: text.min(1) }),
  dst_endpoint: z.strictObject({ svc_name: text.min(1), name: text.min(1), zone: text.optional() }),
  http_request: z
    .strictObject({ http_method: z.enum(['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS']) })
    .optional(),
  http_response: z.strictObject({ code: z.int() }).optional(),
  resources: z
    .array(
      z.strictObject({
        uid: text,
        name: text,
        type: z.literal('package'),
        role_id: z.literal(1),
        namespace: text.optional(),
        version: text.optional(),
        data: json.optional(),
      }),
    )
    .optional(),
  policy: policy.optional(),
  firewall_rule: z.strictObject({ uid: text, name: text, category: text, type: text }).optional(),
  authorizations: z.array(z.strictObject({ decision: text, policy })).optional(),
  trace: z.strictObject({ uid: text }).optional(),
});

const app = z.strictObject({ name: text, uid: text, vendor_name: text, version: text });

const lifecycle = z.strictObject({
  ...base,
  category_uid: z.literal(6),
  class_uid: z.literal(6002),
  activity_id: z.union([z.literal(3), z.literal(4), z.literal(8), z.literal(99)]),
  app,
});

const applicationError = z.strictObject({
  ...base,
  category_uid: z.literal(6),
  class_uid: z.literal(6008),
  activity_id: z.literal(1),
});

const eventLog = z.strictObject({
  ...base,
  category_uid: z.literal(1),
  class_uid: z.literal(1008),
  activity_id: z.union([z.literal(5), z.literal(99)]),
  log_name: text.min(1),
  log_provider: text,
});

export const ocsfSubset = z
  .discriminatedUnion('class_uid', [apiActivity, lifecycle, applicationError, eventLog])
  .refine((event) => event.type_uid === event.class_uid * 100 + event.activity_id, 'type_uid')
  .refine((event) => agrees(SEVERITIES, event.severity_id, event.severity), 'severity')
  .refine((event) => event.activity_id !== 99 || event.activity_name !== '', 'activity_name')
  .refine(
    (event) =>
      event.class_uid !== 6003 ||
      (agrees(ACTIONS, event.action_id, event.action) &&
        agrees(DISPOSITIONS, event.disposition_id, event.disposition) &&
        agrees(STATUSES, event.status_id, event.status) &&
        event.metadata.profiles?.includes('security_control') === true &&
        event.metadata.profiles.includes('trace') === (event.trace !== undefined)),
    'security_control',
  );
