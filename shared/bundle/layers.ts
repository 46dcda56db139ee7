// Shapes of the JSON layers of a bundle, as schemas: parsed once when a bundle is verified, typed from then on.
// Unknown keys are refused, every list has a limit.

import { z } from 'zod';
import { EFFECTS, OVERRIDES } from '../domain/verdict.ts';
import { parsePurl } from '../domain/coordinate.ts';
import { LEVELS } from '../domain/level.ts';
import { TOKEN_KINDS } from '../domain/principal.ts';
import { MODES, UNIT_NAME } from '../domain/unit.ts';

const unixSeconds = z.int().min(0).max(4_102_444_800);
const level = z.enum(LEVELS);
const findingLevel = z.enum(['warn', 'pending', 'deny']);
const seconds = z
  .int()
  .min(1)
  .max(366 * 86_400);

/** Signed settings of one unit. Both Rego layers see the whole object as `data.settings`; thresholds are under `policy`. */
export const settingsSchema = z.strictObject({
  schema: z.literal('weir.settings/v1'),
  unit: z.string().regex(UNIT_NAME),
  mode: z.enum(MODES),
  /** Requests without a token are let in as `anonymous`; only the loopback trial turns this on. */
  anonymous: z.boolean(),
  environment: z.string().max(40),
  labels: z.record(z.string().max(63), z.string().max(63)),
  /** Level when the overlay fails (timeout, throw, rubbish). */
  on_overlay_error: z.enum(['pending', 'deny']),
  /** In block mode, while the audit's files are damaged and nobody has accepted that: `refuse` (also when absent) or `continue`. */
  audit: z.strictObject({ on_damage: z.enum(['refuse', 'continue']) }).exactOptional(),
  /** Age of the last hub-signed time at which decisions tighten, in seconds; each ≥ the one before. */
  staleness: z.strictObject({ warn_s: seconds, restrict_s: seconds, deny_s: seconds }),
  /** Glob-free name patterns of internal packages: exact full names, or prefixes ending in '*' (`@corp/*`, `corp-*`). */
  internal_names: z.record(z.enum(['npm', 'pypi']), z.array(z.string().min(1).max(214)).max(10_000)),
  policy: z.strictObject({
    /** Hours a release must have been public before it may be installed; 0 disables the rule. Capped at 90 days. */
    cooldown_hours: z.int().min(0).max(2160),
    /** Packages (full names by ecosystem) exempt from the cooldown. */
    cooldown_exempt: z.record(z.enum(['npm', 'pypi']), z.array(z.string().max(214)).max(10_000)),
    new_package_days: z.int().min(0).max(365),
    /** Packages whose install scripts are accepted. */
    install_scripts_allowed: z.record(z.enum(['npm', 'pypi']), z.array(z.string().max(214)).max(10_000)),
    /** SPDX identifiers, or prefixes of them ending in '*' (`AGPL-*`); case does not matter. */
    licences_denied: z.array(z.string().max(80)).max(1000),
    /** Free-form, for overlays. */
    overlay: z.record(z.string().max(80), z.json()),
  }),
});
export type Settings = z.infer<typeof settingsSchema>;

export const ruleSchema = z.strictObject({
  id: z.string().regex(/^WEIR-[A-Z0-9]+(?:-[A-Z0-9]+)*-\d{3}$/),
  version: z.string().regex(/^\d+\.\d+\.\d+$/),
  layer: z.enum(['floor', 'overlay']),
  title: z.string().max(120),
  description: z.string().max(2000),
  level: findingLevel,
  override: z.enum(OVERRIDES),
  min_level: level,
  max_exception_days: z.int().min(0).max(366),
  effect: z.enum(EFFECTS),
  solution: z.string().max(500),
});

/** Rules and the text catalogue. Texts use `{name}` placeholders filled from facts and from the subject. */
export const rulesSchema = z.strictObject({
  schema: z.literal('weir.rules/v1'),
  rules: z.array(ruleSchema).max(500),
  texts: z.record(z.string().max(80), z.strictObject({ title: z.string().max(60), detail: z.string().max(400) })),
});
export type Rules = z.infer<typeof rulesSchema>;

export const exceptionsSchema = z.strictObject({
  schema: z.literal('weir.exceptions/v1'),
  exceptions: z
    .array(
      z.strictObject({
        id: z.string().min(1).max(80),
        rule: z.string().max(80),
        rule_major: z.int().min(0),
        subject: z
          .string()
          .max(600)
          .refine((text) => parsePurl(text) !== undefined, 'not a package url'),
        digest: z.string().max(200),
        to: level,
        scope: z.strictObject({ units: z.array(z.string().regex(UNIT_NAME)).max(1000) }),
        not_before: unixSeconds,
        expires: unixSeconds,
        authority: z.enum(['hub', 'spoke']),
        category: z.enum(['waiver', 'mitigated']),
        reason: z.string().max(2000),
        ticket: z.string().max(200),
        approvers: z.array(z.string().max(200)).max(20),
      }),
    )
    .max(50_000),
});
export type Exceptions = z.infer<typeof exceptionsSchema>;

/** What rows call a principal; who it is only the hub knows, until that is erased. Absent in layers of older hubs. */
const pseudonym = z
  .string()
  .regex(/^h:[0-9a-f]{32}$/)
  .optional();

/** Tokens by SHA-256 of their text: they carry 256 random bits, so a slow hash would add cost and no strength. */
export const identitiesSchema = z.strictObject({
  schema: z.literal('weir.identities/v1'),
  unit: z.string().regex(UNIT_NAME),
  tokens: z
    .array(
      z.strictObject({
        id: z.string().max(80),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        principal: z.string().max(200),
        kind: z.enum(TOKEN_KINDS),
        groups: z.array(z.string().max(200)).max(200),
        /** Unix seconds, null for no expiry. */
        expires: unixSeconds.nullable(),
        pseudonym,
      }),
    )
    .max(100_000),
  /** The pseudonym of requests without a token. */
  anonymous: pseudonym,
});
export type Identities = z.infer<typeof identitiesSchema>;

/** Datasets for host look-ups. Each carries where it comes from, its licence and its date. */
const provenance = z.strictObject({
  source: z.string().max(300),
  licence: z.string().max(80),
  as_of: z.string().max(40),
});
const ecosystem = z.enum(['npm', 'pypi']);
export const intelSchema = z.strictObject({
  schema: z.literal('weir.intel/v1'),
  malicious: z.strictObject({
    provenance,
    records: z
      .array(
        z.strictObject({
          id: z.string().max(80),
          ecosystem,
          /** Normalised full name. */
          name: z.string().max(214),
          /** Exact versions; with empty `ranges` and empty `versions` the whole name is meant. */
          versions: z.array(z.string().max(256)).max(10_000),
          ranges: z.array(z.strictObject({ introduced: z.string().max(256), fixed: z.string().max(256) })).max(100),
          withdrawn: z.boolean(),
          summary: z.string().max(300),
        }),
      )
      .max(2_000_000),
  }),
  /** Popular names per ecosystem, most popular first. */
  popular: z.strictObject({ provenance, names: z.record(ecosystem, z.array(z.string().max(214)).max(200_000)) }),
  /** Known SPDX identifiers. */
  licences: z.strictObject({ provenance, ids: z.array(z.string().max(80)).max(5000) }),
});
export type Intel = z.infer<typeof intelSchema>;

/** Vectors that a spoke evaluates before activation: input document → exact findings. */
export const selftestSchema = z.strictObject({
  schema: z.literal('weir.selftest/v1'),
  vectors: z
    .array(
      z.strictObject({
        name: z.string().max(120),
        layer: z.enum(['floor', 'overlay']),
        input: z.json(),
        output: z.json(),
      }),
    )
    .max(1000),
});
export type Selftest = z.infer<typeof selftestSchema>;
