// The quick reader of rows against the careful one: whatever it accepts is a sound row with the same values, and the rows
// that spokes write most do not need the careful way at all.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { recheckRow } from '@weir/shared/audit/recheck-row.ts';
import { encodeRow, readRow, rowText } from '@weir/shared/audit/row-codec.ts';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import { scanRow } from '@weir/shared/audit/scan-row.ts';
import { LEVELS } from '@weir/shared/domain/level.ts';
import { requestCodeOf } from '@weir/shared/domain/request-code.ts';
import { refusedDraft, servedDraft } from '../audit/sample-rows.ts';

const place = { v: 1, log: 'payments.edge-1.w0.e1', unit: 'payments', spoke: 'edge-1', site: 'oslo' } as const;
const served: AuditRow = { ...servedDraft(), ...place, index: 41 };

/** Runs the careful way; undefined when it refuses. */
function carefully(bytes: Uint8Array): AuditRow | undefined {
  try {
    const row = readRow(bytes);
    return recheckRow(row).length === 0 ? row : undefined;
  } catch {
    return undefined;
  }
}

function agree(bytes: Uint8Array): boolean {
  const scanned = scanRow(bytes);
  if (scanned === undefined) return false;
  const row = carefully(bytes);
  assert.ok(row !== undefined, `only the quick reader accepts ${Buffer.from(bytes).toString('latin1')}`);
  assert.deepEqual(scanned, {
    log: row.log,
    index: row.index,
    unit: row.unit,
    spoke: row.spoke,
    eventTimeMs: Date.parse(row.time),
    actor: row.actor.id,
    purl: row.subject.purl,
    level: row.level,
    rules: [],
    code: row.code,
    action: row.action,
    outcome: row.outcome,
  });
  return true;
}

const plain = (max: number) => fc.stringMatching(/^[ !#-[\]-~]*$/, { maxLength: max });
const word = fc.stringMatching(/^[a-z][a-z_]{0,20}$/);
const hex = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));

const ordinary: fc.Arbitrary<AuditRow> = fc
  .record({
    head: hex(12),
    tail: hex(12),
    index: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    time: fc.integer({ min: 0, max: 253_402_300_799_999 }).map((ms) => new Date(ms).toISOString()),
    unit: fc.stringMatching(/^[a-z][a-z0-9-]{0,39}$/),
    spoke: fc.stringMatching(/^[a-z][a-z0-9-]{0,39}$/),
    epoch: fc.stringMatching(/^[a-z0-9]{1,32}$/),
    site: plain(80),
    target: plain(200),
    purl: plain(1024),
    word,
    status: fc.integer({ min: 0, max: 599 }),
    duration_us: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    hidden_count: fc.nat(),
    policy: fc.boolean(),
    coded: fc.boolean(),
    level: fc.constantFrom(...LEVELS),
  })
  .map((some) => {
    const id = `${some.head.slice(0, 8)}-${some.head.slice(8)}-7abc-8def-${some.tail}`;
    const level = some.policy ? 'allow' : some.level;
    return {
      ...served,
      id,
      index: some.index,
      time: some.time,
      unit: some.unit,
      spoke: some.spoke,
      log: `${some.unit}.${some.spoke}.w3.${some.epoch}`,
      site: some.site,
      request: { ...served.request, target: some.target },
      subject: { ...served.subject, purl: some.purl },
      action: some.word,
      outcome: some.word,
      status: some.status,
      duration_us: some.duration_us,
      hidden_count: some.hidden_count,
      input: some.policy ? served.input : '',
      level,
      floor_level: level,
      overlay_level: 'allow' as const,
      code: some.coded ? requestCodeOf(id) : '',
    };
  });

test('every row without reasons is read the quick way, with the same values', () => {
  fc.assert(
    fc.property(ordinary, (row) => assert.equal(agree(encodeRow(row)), true)),
    { numRuns: 400 },
  );
});

test('no changed byte is accepted that the careful way refuses', () => {
  fc.assert(
    fc.property(
      ordinary,
      fc.nat(),
      fc.nat({ max: 255 }),
      fc.constantFrom('set', 'drop', 'insert'),
      (row, at, byte, how) => {
        const bytes = encodeRow(row);
        const position = at % bytes.length;
        const rest = how === 'insert' ? position : position + 1;
        const middle = how === 'drop' ? Buffer.alloc(0) : Buffer.of(byte);
        agree(Buffer.concat([bytes.subarray(0, position), middle, bytes.subarray(rest)]));
      },
    ),
    { numRuns: 4_000 },
  );
});

const REFUSED: readonly (readonly [why: string, from: string, to: string])[] = [
  ['a policy verdict without its reasons', '"level":"allow","log"', '"level":"deny","log"'],
  ['a level below the floor', '"floor_level":"allow"', '"floor_level":"warn"'],
  ['an overlay above the level', '"overlay_level":"allow"', '"overlay_level":"deny"'],
  ['another row’s code', '"code":""', '"code":"00000000"'],
  ['white space', '"index":41', '"index": 41'],
  ['a leading zero', '"index":41', '"index":041'],
  ['a count beyond 2^53', '"index":41', '"index":9007199254740992'],
  ['a negative count', '"hidden_count":0', '"hidden_count":-1'],
  ['a status that is none', '"status":200', '"status":600'],
  ['a quote that is not escaped', '"target":"', '"target":"""'],
  ['an escape that JSON writes otherwise', '"target":"', '"target":"\\u0041'],
  ['a log with three parts', 'payments.edge-1.w0.e1', 'payments.edge-1.w0'],
  ['another version', '"v":1}', '"v":2}'],
  ['a key twice', '"v":1}', '"v":1,"v":1}'],
  ['a line after it', '"v":1}', '"v":1}\n'],
  ['a byte order mark', '{"action"', '\ufeff{"action"'],
];

for (const [why, from, to] of REFUSED) {
  test(`refused by both: ${why}`, () => {
    const text = rowText(served);
    assert.ok(text.includes(from));
    const bytes = Buffer.from(text.replace(from, to));
    assert.equal(scanRow(bytes), undefined);
    assert.equal(carefully(bytes), undefined);
  });
}

for (const time of [
  '2026-02-30T00:00:00.000Z',
  '2026-11-22T24:00:00.000Z',
  '2026-11-22T05:60:00.000Z',
  '0999-01-01T00:00:00.000Z',
]) {
  test(`refused by both: the time ${time}`, () => {
    const bytes = Buffer.from(rowText({ ...served, time }));
    assert.equal(scanRow(bytes), undefined);
    assert.equal(carefully(bytes), undefined);
  });
}

test('rows with reasons, hidden versions, quotes or long texts are left to the careful way', () => {
  const rows: readonly AuditRow[] = [
    { ...refusedDraft(), ...place, index: 0 },
    { ...served, hidden: ['1.0.0'], hidden_count: 1 },
    { ...served, request: { ...served.request, client: 'say "hi"' } },
    { ...served, exceptions: ['e1'] },
  ];
  for (const row of rows) {
    assert.equal(scanRow(encodeRow(row)), undefined);
    assert.ok(carefully(encodeRow(row)) !== undefined);
  }
  const long = { ...served, site: 'x'.repeat(81) };
  assert.equal(scanRow(Buffer.from(rowText(long))), undefined);
});
