// What other systems are told of a row: exactly this for the rows that spokes write, and something well-formed for every row
// that the schema admits.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type LedgerRow, ledgerRow } from '@weir/hub/audit/ledger-row.ts';
import { cefOf } from '@weir/hub/audit/siem/cef.ts';
import { ecsOf } from '@weir/hub/audit/siem/ecs.ts';
import { EFFECTS, effectOf } from '@weir/hub/audit/siem/effect.ts';
import { ocsfOf } from '@weir/hub/audit/siem/ocsf.ts';
import { packageOf } from '@weir/hub/audit/siem/package-of.ts';
import { SEVERITIES, severityOf } from '@weir/hub/audit/siem/severity.ts';
import { encodeRow, readRow } from '@weir/shared/audit/row-codec.ts';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { requestCodeOf } from '@weir/shared/domain/request-code.ts';
import { matchesGolden } from '../golden/golden-file.ts';
import { anyLedgerRow } from './any-row.ts';
import { ocsfSubset } from './ocsf-subset.ts';

const ROWS = join(import.meta.dirname, '..', 'golden', 'rows');
const GOLDEN = join(import.meta.dirname, '..', 'golden', 'siem');
const ID = '019b6f2c-5d00-7abc-8def-0123456789ab';
const STORED_AT_MS = Date.parse('2027-01-15T08:00:01.250Z');

/** A golden row, with the values that differ between runs put back in. */
function sample(text: string): LedgerRow {
  const row = JSON.parse(
    text
      .replaceAll('<id>', ID)
      .replaceAll('<code>', requestCodeOf(ID))
      .replaceAll('sha256:<digest>', `sha256:${'5a'.repeat(32)}`)
      .replaceAll('sha512:<digest>', `sha512:${'5a'.repeat(64)}`)
      .replaceAll('<epoch>', '1'),
  ) as AuditRow;
  const bytes = encodeRow({ ...row, index: 7, duration_us: 1_250 });
  readRow(bytes);
  return ledgerRow({ bytes, storedAtMs: STORED_AT_MS });
}

const GOLDEN_ROWS = readdirSync(ROWS)
  .filter((file) => file.endsWith('.json'))
  .map((file) => [file.replace('.json', ''), readFileSync(join(ROWS, file), 'utf8')] as const);

/** A row about the spoke itself, made from one about a request. */
function eventRow(outcome: string, target = ''): string {
  const [, text = ''] = GOLDEN_ROWS.find(([name]) => name === 'view-served') ?? [];
  const row = JSON.parse(text) as AuditRow;
  const nothing = { ecosystem: '', registry: '', method: '', client: '' };
  return JSON.stringify({
    ...row,
    actor: { id: '', kind: 'spoke' },
    request: { ...nothing, route: 'event', target },
    subject: { purl: '', digest: '' },
    action: 'event',
    outcome,
    status: 0,
    input: '',
    code: '',
    enforced: false,
    rules:
      outcome === 'epoch_opened'
        ? [
            {
              rule: 'host.epoch',
              layer: 'host',
              code: outcome,
              level: 'allow',
              effective: 'allow',
              exception: '',
              facts: { before: 'payments.edge.w0.0', reason: 'gap', root: '00'.repeat(32), size: 41 },
            },
          ]
        : [],
  });
}

const SAMPLES: readonly (readonly [name: string, text: string])[] = [
  ...GOLDEN_ROWS,
  ['event-spoke-started', eventRow('spoke_started', '0.1.0')],
  ['event-bundle-activated', eventRow('bundle_activated', '1.7')],
  ['event-epoch-opened', eventRow('epoch_opened', 'gap')],
  ['event-log-salvaged', eventRow('log_salvaged', 'rows 7 to 9')],
  ['event-log-damaged', eventRow('log_damaged', 'segment 3, byte 4096: bad checksum | a=b')],
  ['event-counters', eventRow('counters')],
];

test('each kind of row is projected as it always was', () => {
  assert.ok(GOLDEN_ROWS.length >= 9);
  for (const [name, text] of SAMPLES) {
    const entry = sample(text);
    matchesGolden(join(GOLDEN, `${name}.ocsf.json`), `${JSON.stringify(ocsfOf(entry), null, 2)}\n`);
    matchesGolden(join(GOLDEN, `${name}.ecs.json`), `${JSON.stringify(ecsOf(entry), null, 2)}\n`);
    matchesGolden(join(GOLDEN, `${name}.cef.txt`), `${cefOf(entry)}\n`);
  }
});

const EFFECT_OF: Readonly<Record<string, readonly [effect: string, severity: string]>> = {
  'view-served': ['allowed', 'informational'],
  'view-filtered': ['tolerated', 'low'],
  'artifact-served': ['allowed', 'informational'],
  'artifact-refused': ['blocked', 'medium'],
  'artifact-warned': ['tolerated', 'high'],
  'not-found': ['absent', 'informational'],
  unparsable: ['rejected', 'low'],
  publish: ['rejected', 'low'],
  'no-token': ['unauthorised', 'low'],
  'event-spoke-started': ['none', 'informational'],
  'event-bundle-activated': ['none', 'informational'],
  'event-epoch-opened': ['none', 'low'],
  'event-log-salvaged': ['none', 'low'],
  'event-log-damaged': ['none', 'high'],
  'event-counters': ['none', 'informational'],
};

for (const [name, text] of SAMPLES) {
  test(`what happened is read from the row: ${name}`, () => {
    const { row } = sample(text);
    assert.deepEqual([effectOf(row), severityOf(row)], EFFECT_OF[name]);
  });
}

const CHANGES: readonly (readonly [string, Partial<AuditRow>, string])[] = [
  ['a held request', { level: 'pending' }, 'held'],
  ['a held request in observe mode', { level: 'pending', enforced: false, mode: 'observe' }, 'tolerated'],
  ['an upstream that failed', { outcome: 'upstream_failed', status: 503, input: '' }, 'failed'],
  ['a view with versions taken out', { outcome: 'filtered', status: 200, hidden_count: 2 }, 'filtered'],
];

for (const [name, change, effect] of CHANGES) {
  test(`what happened is read from the row: ${name}`, () => {
    const [, text = ''] = GOLDEN_ROWS.find(([file]) => file === 'artifact-refused') ?? [];
    assert.equal(effectOf({ ...sample(text).row, ...change }), effect);
  });
}

test('an exception that let something through shows as an approval', () => {
  const [, text = ''] = GOLDEN_ROWS.find(([file]) => file === 'artifact-refused') ?? [];
  const { row } = sample(text);
  const rules = row.rules.map((rule) => ({ ...rule, effective: 'allow' as const, exception: 'x-1' }));
  const approved: AuditRow = { ...row, level: 'allow', outcome: 'served', status: 200, rules, exceptions: ['x-1'] };
  assert.equal(effectOf(approved), 'approved');
  const event = ocsfOf(ledgerRow({ bytes: encodeRow(approved), storedAtMs: 0 }));
  assert.deepEqual([event['action_id'], event['disposition_id']], [1, 8]);
});

test('every row has an effect and a severity', () => {
  fc.assert(
    fc.property(anyLedgerRow, ({ row }) => {
      assert.ok(EFFECTS.includes(effectOf(row)));
      assert.ok(SEVERITIES.includes(severityOf(row)));
      packageOf(row);
    }),
    { numRuns: 500 },
  );
});

test('every row is an OCSF event of the schema that it names, and leads back to its place in the log', () => {
  fc.assert(
    fc.property(anyLedgerRow, (entry) => {
      const event: unknown = JSON.parse(JSON.stringify(ocsfOf(entry)));
      const parsed = ocsfSubset.safeParse(event);
      assert.ok(parsed.success, parsed.error?.message ?? '');
      assert.equal(parsed.data.metadata.uid, entry.row.id);
      const { record } = parsed.data.unmapped['weir'] as { record: Record<string, unknown> };
      assert.deepEqual([record['log'], record['index']], [entry.row.log, entry.row.index]);
      assert.equal(record['leaf'], leafHash(entry.bytes).toString('hex'));
    }),
    { numRuns: 500 },
  );
});

/** Types that ECS expects with a category; anything else is a field that dashboards will not count. */
const EXPECTED_TYPES: Readonly<Record<string, readonly string[]>> = {
  api: ['access', 'admin', 'allowed', 'change', 'creation', 'deletion', 'denied', 'end', 'info', 'start', 'user'],
  authentication: ['start', 'end', 'info'],
  configuration: ['access', 'change', 'creation', 'deletion', 'info'],
  package: ['access', 'change', 'deletion', 'info', 'installation', 'start'],
  process: ['access', 'change', 'end', 'info', 'start'],
  web: ['access', 'error', 'info'],
};

interface EcsEvent {
  readonly ecs: { readonly version: string };
  readonly event: {
    readonly kind: string;
    readonly category: readonly string[];
    readonly type: readonly string[];
    readonly outcome: string;
    readonly duration: number;
  };
  readonly labels: Readonly<Record<string, unknown>>;
  readonly weir: { readonly record: { readonly leaf: string } };
}

test('every row is an ECS document with categories and types that belong together', () => {
  fc.assert(
    fc.property(anyLedgerRow, (entry) => {
      const { ecs, event, labels, weir } = JSON.parse(JSON.stringify(ecsOf(entry))) as EcsEvent;
      assert.equal(ecs.version, '9.4.0');
      assert.ok(['event', 'alert', 'metric'].includes(event.kind));
      assert.ok(['success', 'failure', 'unknown'].includes(event.outcome));
      assert.ok(event.category.length > 0 && event.type.length > 0);
      const expected = event.category.flatMap((category) => EXPECTED_TYPES[category] ?? []);
      for (const category of event.category) assert.ok(category in EXPECTED_TYPES, category);
      for (const type of event.type) assert.ok(expected.includes(type), `${type} of ${event.category.join()}`);
      assert.ok(Number.isSafeInteger(event.duration));
      assert.ok(Object.values(labels).every((label) => typeof label === 'string'));
      assert.equal(weir.record.leaf, entry.leaf.toString('hex'));
    }),
    { numRuns: 500 },
  );
});

/** Reads a CEF line as its specification says: pipes end header fields unless escaped, `key=` begins an extension. */
function readCef(line: string): {
  readonly header: readonly string[];
  readonly extension: ReadonlyMap<string, string>;
} {
  const header: string[] = [];
  let field = '';
  let at = 0;
  for (; header.length < 7; at += 1) {
    const char = line[at];
    if (char === undefined) throw new Error('the header is cut off');
    if (char === '\\') {
      at += 1;
      field += line[at] ?? '';
    } else if (char === '|') {
      header.push(field);
      field = '';
    } else field += char;
  }
  const extension = new Map<string, string>();
  for (const pair of line.slice(at).split(/ (?=[A-Za-z0-9]+=)/)) {
    const equals = pair.indexOf('=');
    extension.set(
      pair.slice(0, equals),
      pair
        .slice(equals + 1)
        .replaceAll(/\\(.)/g, (_match, escaped: string) => (escaped === 'n' ? '\n' : escaped === 'r' ? '\r' : escaped)),
    );
  }
  return { header, extension };
}

test('every row is one CEF line that reads back as what it says', () => {
  fc.assert(
    fc.property(anyLedgerRow, (entry) => {
      const line = cefOf(entry);
      assert.ok(!/[\p{Cc}\u2028\u2029]/u.test(line), 'one line without control characters');
      const { header, extension } = readCef(line);
      const { row } = entry;
      assert.deepEqual(header.slice(0, 4), ['CEF:0', 'Weir', 'Weir', row.engine]);
      const severity = Number(header[6]);
      assert.ok(severity >= 0 && severity <= 10);
      assert.equal(extension.get('externalId'), row.id);
      assert.equal(extension.get('cs6'), entry.leaf.toString('hex'));
      assert.equal(extension.get('cn1'), String(row.index));
      // Text that looks like the next key must not become one.
      assert.equal(extension.get('cs1') ?? '', row.subject.purl);
      assert.equal(extension.get('fname') ?? '', row.request.target);
      assert.equal(extension.get('suid') ?? '', row.actor.id);
    }),
    { numRuns: 500 },
  );
});

test('a value that imitates CEF stays a value', () => {
  const [, text = ''] = GOLDEN_ROWS.find(([file]) => file === 'artifact-served') ?? [];
  const { row } = sample(text);
  const target = 'a|b\\ suid=h:forged cs6=00\\';
  const hostile = { ...row, request: { ...row.request, target } };
  const { header, extension } = readCef(cefOf(ledgerRow({ bytes: encodeRow(hostile), storedAtMs: 0 })));
  assert.equal(header.length, 7);
  assert.equal(extension.get('fname'), target);
  assert.equal(extension.get('suid'), row.actor.id);
});
