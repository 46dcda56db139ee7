// Is what is published about rows current and true? `WEIR_GOLDEN=write` rewrites file and table.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import { rowFaults } from '@weir/shared/audit/row-schema.ts';
import { matchesGolden } from '../golden/golden-file.ts';
import { rowFieldTable, rowJsonSchema } from './row-json-schema.ts';
import { refusedDraft, servedDraft } from './sample-rows.ts';

const AUDIT = join(import.meta.dirname, '..', '..', 'shared', 'audit');
const README = join(AUDIT, 'README.md');

test('row.schema.json is what the schema generates', () => {
  matchesGolden(join(AUDIT, 'row.schema.json'), printed(rowJsonSchema()));
});

/** JSON as the formatter prints it: lists of words on one line where they fit. */
function printed(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`.replaceAll(
    /^(.*)\[\n((?: +"[^"\n]*",?\n)+) *\](,?)$/gm,
    (all, before, words, after) => {
      const line = `${before}[${words.trim().replaceAll(/,\n +/g, ', ')}]${after}`;
      return line.length <= 120 ? line : all;
    },
  );
}

test('the table of fields in the documentation is what the schema generates', () => {
  const text = readFileSync(README, 'utf8');
  const [before, table, after] = text.split(/<!-- fields: (?:begin|end) -->\n/);
  assert.ok(before !== undefined && table !== undefined && after !== undefined);
  const current = `${before}<!-- fields: begin -->\n${rowFieldTable()}\n<!-- fields: end -->\n${after}`;
  if (process.env['WEIR_GOLDEN'] === 'write') writeFileSync(README, current);
  else assert.equal(text, current, 'WEIR_GOLDEN=write rewrites the table');
});

const validate = new Ajv2020({ strict: true, formats: { 'date-time': true } }).compile(rowJsonSchema());
const place = {
  v: 1,
  log: 'payments.edge-1.w0.e1',
  index: 3,
  unit: 'payments',
  spoke: 'edge-1',
  site: 'oslo',
} as const;

test('rows that are written are valid', () => {
  for (const row of [
    { ...place, ...servedDraft() },
    { ...place, ...refusedDraft({ hidden: ['1.0.0-β'], hidden_count: 4 }) },
    { ...place, ...servedDraft({ action: 'event', input: '', bundle: '', actor: { id: '', kind: '' } }) },
  ] satisfies AuditRow[]) {
    assert.deepEqual(rowFaults(row), []);
    assert.equal(validate(row), true, JSON.stringify(validate.errors));
  }
  const golden = join(import.meta.dirname, '..', 'golden', 'rows');
  for (const name of readdirSync(golden).filter((file) => file.endsWith('.json'))) {
    const row: Record<string, unknown> = JSON.parse(readFileSync(join(golden, name), 'utf8'));
    // There, what differs from run to run is named instead.
    const valid = { ...place, ...servedDraft() };
    for (const key of ['id', 'time', 'log', 'index', 'duration_us', 'bundle', 'input', 'code'] as const)
      row[key] = valid[key];
    assert.equal(validate(row), true, `${name}: ${JSON.stringify(validate.errors)}`);
  }
});

const row = { ...place, ...refusedDraft() };
const [rule] = row.rules;
for (const [name, change] of [
  ['another version', { v: 2 }],
  ['a field more', { more: 1 }],
  ['a field less', { code: undefined }],
  ['an id that is no UUIDv7', { id: '0192f0c1-2d3e-4abc-8def-0123456789ab' }],
  ['no log id', { log: 'payments.edge-1' }],
  ['a log id in capitals', { log: 'Payments.edge-1.w0.e1' }],
  ['a negative index', { index: -1 }],
  ['an index beyond 2^53', { index: 2 ** 53 }],
  ['half an index', { index: 0.5 }],
  ['a time without milliseconds', { time: '2026-11-22T05:14:00Z' }],
  ['a time in another zone', { time: '2026-11-22T05:14:00.000+01:00' }],
  ['a name in clear', { actor: { id: 'jane', kind: 'token' } }],
  ['an actor’s group', { actor: { ...row.actor, group: 'x' } }],
  ['a level that is none', { level: 'maybe' }],
  ['a status beyond HTTP', { status: 600 }],
  ['a rule of no layer', { rules: [{ ...rule, layer: 'moon' }] }],
  ['facts that are a list', { rules: [{ ...rule, facts: [] }] }],
  ['101 rules', { rules: Array.from({ length: 101 }, () => rule) }],
  ['101 hidden versions', { hidden: Array.from({ length: 101 }, () => '1') }],
  ['control characters', { site: 'a\nb' }],
  ['letters beyond ASCII', { engine: 'wéir' }],
  ['a digest in capitals', { bundle: `sha256:${'A'.repeat(64)}` }],
  ['a code of other letters', { code: 'IIIIIIII' }],
] as const) {
  test(`a row with ${name} is invalid by the file as by the code`, () => {
    const bad: unknown = JSON.parse(JSON.stringify({ ...row, ...change }));
    assert.notDeepEqual(rowFaults(bad), []);
    assert.equal(validate(bad), false);
  });
}
