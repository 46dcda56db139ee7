// What a row may contain, with a limit on everything. Both sides hold rows to it: the spoke before it records a draft,
// the hub before it stores anything.

import { z } from 'zod';
import { LEVELS } from '../domain/level.ts';
import { MODES, UNIT_NAME } from '../domain/unit.ts';
import { LOG_ID_MAX, parseLogId } from './log-id.ts';
import { type AuditRow, ROW_VERSION } from './row.ts';

/** Versions listed in `hidden`; `hidden_count` tells the true number. */
export const HIDDEN_MAX = 100;
export const RULES_MAX = 100;
export const EXCEPTIONS_MAX = 100;
/** Nesting inside `facts`. */
export const FACTS_DEPTH_MAX = 8;

const level = z.enum(LEVELS);
const digest = z.string().regex(/^(?:|sha256:[0-9a-f]{64})$/);
const count = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

/** Printable ASCII of at most `max` characters. */
function printable(max: number) {
  return z
    .string()
    .max(max)
    .regex(/^[ -~]*$/);
}

const facts = z.custom<Readonly<Record<string, unknown>>>((value) => isJsonObject(value), {
  error: 'facts must be a json object of bounded depth',
});

const ruleSchema = z.strictObject({
  rule: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,79}$/),
  layer: z.enum(['floor', 'overlay', 'host']),
  code: z.string().regex(/^[a-z][a-z0-9_]{0,79}$/),
  level,
  effective: level,
  exception: printable(80),
  facts,
});

export const rowSchema = z.strictObject({
  v: z.literal(ROW_VERSION),
  id: z.string().regex(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
  log: z
    .string()
    .max(LOG_ID_MAX)
    .refine((text) => parseLogId(text) !== undefined, 'not a log id'),
  index: count,
  time: z.string().refine(isInstant, 'not an RFC 3339 UTC time with milliseconds'),
  unit: z.string().regex(UNIT_NAME),
  spoke: z.string().min(1).max(63),
  site: printable(80),
  actor: z.strictObject({
    id: z.string().regex(/^(?:|h:[0-9a-f]{32})$/),
    kind: z.string().regex(/^[a-z_]{0,40}$/),
  }),
  request: z.strictObject({
    ecosystem: printable(40),
    registry: printable(80),
    method: z.string().regex(/^[A-Z]{0,16}$/),
    route: z.string().regex(/^[a-z_]{1,40}$/),
    client: printable(80),
    target: printable(200),
  }),
  subject: z.strictObject({ purl: printable(1024), digest: printable(200) }),
  action: z.string().regex(/^[a-z_]{1,40}$/),
  level,
  floor_level: level,
  overlay_level: level,
  mode: z.enum(MODES),
  enforced: z.boolean(),
  status: z.int().min(0).max(599),
  outcome: z.string().regex(/^[a-z][a-z0-9_]{0,79}$/),
  rules: z.array(ruleSchema).max(RULES_MAX),
  exceptions: z.array(printable(80).min(1)).max(EXCEPTIONS_MAX),
  hidden: z.array(z.string().max(256).refine(isWellFormed, 'not well-formed text')).max(HIDDEN_MAX),
  hidden_count: count,
  bundle: digest,
  input: digest,
  engine: printable(80),
  duration_us: count,
  trace: z.string().regex(/^(?:|[0-9a-f]{32})$/),
  code: z.string().regex(/^(?:|[0-9A-HJKMNP-TV-Z]{8})$/),
}) satisfies z.ZodType<AuditRow>;

/** Faults of a value that claims to be a row, as `path: message`, at most `max`; empty when it is one. */
export function rowFaults(value: unknown, max = 8): readonly string[] {
  const result = rowSchema.safeParse(value);
  if (result.success) return [];
  return result.error.issues.slice(0, max).map((issue) => `${issue.path.join('.') || 'row'}: ${issue.message}`);
}

function isWellFormed(text: string): boolean {
  return text.isWellFormed();
}

/** Years 1970 to 9999: what every store can hold. */
function isInstant(text: string): boolean {
  if (!/^(?:19[7-9]|[2-9]\d\d)\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text)) return false;
  const ms = Date.parse(text);
  return !Number.isNaN(ms) && new Date(ms).toISOString() === text;
}

function isJsonObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && isJson(value, 0);
}

function isJson(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'boolean') return true;
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || depth >= FACTS_DEPTH_MAX) return false;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i += 1) if (!isJson(value[i], depth + 1)) return false;
    return true;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  return Object.entries(value).every(([key, member]) => key.isWellFormed() && isJson(member, depth + 1));
}
