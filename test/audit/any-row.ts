// Every row that the schema lets in, also those that no spoke would ever write: what reads rows for the outside world has to
// have an answer for all of them.

import * as fc from 'fast-check';
import { ledgerRow, type LedgerRow } from '@weir/hub/audit/ledger-row.ts';
import { encodeRow } from '@weir/shared/audit/row-codec.ts';
import { rowSchema } from '@weir/shared/audit/row-schema.ts';
import { type AuditRow, ROW_BYTES_MAX, type RowRule } from '@weir/shared/audit/row.ts';
import { LEVELS } from '@weir/shared/domain/level.ts';
import { MODES } from '@weir/shared/domain/unit.ts';

const printable = (max: number) =>
  fc.string({ unit: fc.integer({ min: 32, max: 126 }).map((code) => String.fromCharCode(code)), maxLength: max });
const matching = (pattern: RegExp, max: number) => fc.stringMatching(pattern, { maxLength: max });
const hex = (length: number) => matching(new RegExp(`^[0-9a-f]{${length}}$`), length);
const count = fc.oneof(fc.nat({ max: 1_000 }), fc.nat({ max: Number.MAX_SAFE_INTEGER }));
const level = fc.constantFrom(...LEVELS);
const digest = fc.oneof(
  fc.constant(''),
  hex(64).map((text) => `sha256:${text}`),
);
const name = matching(/^[a-z][a-z0-9-]{0,20}$/, 21);

/** Purls as they are, purls that nearly are, and anything else that is printable. */
const purl = fc.oneof(
  fc.constant(''),
  fc.constantFrom(
    'pkg:npm/a',
    'pkg:npm/%40scope/a@1.0.0',
    'pkg:pypi/a@1!2.0',
    'pkg:golang/example.org/a/b@v1.2.3?type=module#sub',
    'pkg:npm/a%0Ab=c%7Cd@1%00',
    'pkg:npm/%zz',
    'pkg:',
    '=cmd|x',
  ),
  printable(60),
);

const facts = fc.dictionary(
  fc.string({ unit: 'binary', maxLength: 8 }).map((key) => key.toWellFormed()),
  fc.jsonValue({ maxDepth: 3, noUnicodeString: false }) as fc.Arbitrary<unknown>,
  { maxKeys: 3, noNullPrototype: true },
);

const rule: fc.Arbitrary<RowRule> = fc.record({
  rule: matching(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,30}$/, 31),
  layer: fc.constantFrom('floor', 'overlay', 'host'),
  code: matching(/^[a-z][a-z0-9_]{0,20}$/, 21),
  level,
  effective: level,
  exception: fc.oneof(fc.constant(''), printable(20)),
  facts,
});

const OUTCOMES = [
  'served',
  'served_unenforced',
  'filtered',
  'refused',
  'unauthenticated',
  'unparsable',
  'not_found',
  'upstream_failed',
  'spoke_started',
  'spoke_stopped',
  'bundle_activated',
  'bundle_refused',
  'epoch_opened',
  'log_damaged',
  'log_repaired',
  'log_salvaged',
  'damage_accepted',
  'hub_lost_rows',
  'counters',
  'answers_unrecorded',
] as const;

const anyRow: fc.Arbitrary<AuditRow> = fc
  .record({
    v: fc.constant(1 as const),
    id: fc
      .tuple(hex(8), hex(4), hex(3), fc.constantFrom('8', '9', 'a', 'b'), hex(3), hex(12))
      .map(([a, b, c, d, e, f]) => `${a}-${b}-7${c}-${d}${e}-${f}`),
    index: count,
    time: fc.integer({ min: 0, max: 253_402_300_799_999 }).map((ms) => new Date(ms).toISOString()),
    unit: name,
    spoke: name,
    site: printable(80),
    actor: fc.record({
      id: fc.oneof(
        fc.constant(''),
        hex(32).map((text) => `h:${text}`),
      ),
      kind: fc.oneof(
        fc.constantFrom('', 'anonymous', 'token', 'person', 'workload', 'spoke', 'unknown'),
        matching(/^[a-z_]{0,40}$/, 40),
      ),
    }),
    request: fc.record({
      ecosystem: printable(40),
      registry: printable(80),
      method: fc.oneof(fc.constantFrom('GET', 'HEAD', '', 'OTHER'), matching(/^[A-Z]{0,16}$/, 16)),
      route: matching(/^[a-z_]{1,40}$/, 40),
      client: printable(80),
      target: printable(200),
    }),
    subject: fc.record({
      purl,
      digest: fc.oneof(
        digest,
        hex(128).map((text) => `sha512:${text}`),
        printable(40),
      ),
    }),
    action: fc.oneof(
      fc.constantFrom('install', 'metadata', 'publish', 'admit', 'check', 'run', 'event'),
      matching(/^[a-z_]{1,40}$/, 40),
    ),
    level,
    floor_level: level,
    overlay_level: level,
    mode: fc.constantFrom(...MODES),
    enforced: fc.boolean(),
    status: fc.oneof(fc.constantFrom(0, 200, 401, 403, 404, 503), fc.integer({ min: 0, max: 599 })),
    outcome: fc.oneof(fc.constantFrom(...OUTCOMES), matching(/^[a-z][a-z0-9_]{0,79}$/, 80)),
    rules: fc.array(rule, { maxLength: 4 }),
    exceptions: fc.array(printable(20), { maxLength: 3 }).map((texts) => texts.filter((text) => text !== '')),
    hidden: fc.array(
      fc.string({ unit: 'binary', maxLength: 12 }).map((text) => text.toWellFormed()),
      { maxLength: 4 },
    ),
    hidden_count: count,
    bundle: digest,
    input: digest,
    engine: printable(80),
    duration_us: count,
    trace: fc.oneof(fc.constant(''), hex(32)),
    code: fc.oneof(fc.constant(''), matching(/^[0-9A-HJKMNP-TV-Z]{8}$/, 8)),
  })
  .map((row) => ({ ...row, log: `${row.unit}.${row.spoke}.w0.1` }));

/** A stored row: one that the schema admits and that fits. */
export const anyLedgerRow: fc.Arbitrary<LedgerRow> = fc
  .tuple(anyRow, fc.integer({ min: 0, max: 253_402_300_799_999 }))
  .filter(([row]) => rowSchema.safeParse(row).success && Buffer.byteLength(JSON.stringify(row)) < ROW_BYTES_MAX / 2)
  .map(([row, storedAtMs]) => ledgerRow({ bytes: encodeRow(row), storedAtMs }));
