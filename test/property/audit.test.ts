// Properties of the audit path: one spelling per row, no other bytes ever read as a row, templates and drafts agree, and a
// segment cut or damaged anywhere never yields a row that was not written.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { UploadRequestSchema, UploadResponseSchema } from '@weir/proto/weir/audit/v1/audit_pb.ts';
import { recheckRow } from '@weir/shared/audit/recheck-row.ts';
import { encodeRow, readRow, rowText } from '@weir/shared/audit/row-codec.ts';
import { rowFaults } from '@weir/shared/audit/row-schema.ts';
import { type AuditRow, ROW_VERSION, type RowRule } from '@weir/shared/audit/row.ts';
import { canonicalJson } from '@weir/shared/crypto/canonical-json.ts';
import { LEVELS, type Level, join } from '@weir/shared/domain/level.ts';
import { requestCodeOf } from '@weir/shared/domain/request-code.ts';
import {
  NACK_CODES,
  type UploadAnswer,
  decodeAnswer,
  decodeBatch,
  encodeAnswer,
  encodeBatch,
} from '@weir/shared/wire/audit.ts';
import { fitRow } from '@weir/spoke/audit/fit-row.ts';
import { RECORD_HEADER_BYTES, readRecord, sealRecord } from '@weir/spoke/audit/record.ts';
import {
  type RowTemplate,
  type RowValues,
  checkValues,
  rowTemplate,
  writeRow,
} from '@weir/spoke/audit/row-template.ts';
import { SEGMENT_HEADER_BYTES, scanSegment, segmentHeader } from '@weir/spoke/audit/segment.ts';

const ascii = (maxLength: number) =>
  fc.string({ unit: fc.integer({ min: 32, max: 126 }).map((c) => String.fromCharCode(c)), maxLength });
const HEX = '0123456789abcdef'.split('');
const hex = (length: number) => fc.string({ unit: fc.constantFrom(...HEX), minLength: length, maxLength: length });
const word = fc.stringMatching(/^[a-z][a-z_]{0,20}$/);
const level = fc.constantFrom(...LEVELS);
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const facts = fc.dictionary(
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.jsonValue({ maxDepth: 3, noUnicodeString: false }) as fc.Arbitrary<unknown>,
  { maxKeys: 4, noNullPrototype: true },
);
const id = fc
  .tuple(hex(8), hex(4), hex(3), fc.constantFrom('8', '9', 'a', 'b'), hex(3), hex(12))
  .map(([a, b, c, v, d, e]) => `${a}-${b}-7${c}-${v}${d}-${e}`);
const time = fc.integer({ min: 0, max: 253_402_300_799_999 }).map((ms) => new Date(ms).toISOString());

const rule: fc.Arbitrary<RowRule> = fc
  .record({
    rule: fc.stringMatching(/^[A-Z][A-Z0-9._:-]{0,20}$/),
    layer: fc.constantFrom<RowRule['layer'][]>('floor', 'overlay', 'host'),
    code: word,
    level,
    effective: level,
    exception: fc.constant(''),
    facts,
  })
  .map((one) => ({ ...one, effective: one.level }));

function highest(rules: readonly RowRule[], layer?: string): Level {
  return rules.reduce<Level>(
    (top, each) => (layer === undefined || each.layer === layer ? join(top, each.effective) : top),
    'allow',
  );
}

/** Rows that meet the schema and explain themselves. */
const row: fc.Arbitrary<AuditRow> = fc
  .record({
    v: fc.constant(ROW_VERSION),
    id,
    log: fc.constant('payments.edge-1.w0.e1'),
    index: count,
    time,
    unit: fc.constant('payments'),
    spoke: fc.constant('edge-1'),
    site: ascii(20),
    actor: fc.record({
      id: fc.oneof(
        fc.constant(''),
        hex(32).map((h) => `h:${h}`),
      ),
      kind: word,
    }),
    request: fc.record({
      ecosystem: ascii(10),
      registry: ascii(10),
      method: fc.constantFrom('GET', 'HEAD', ''),
      route: word,
      client: ascii(10),
      target: ascii(60),
    }),
    subject: fc.record({ purl: ascii(80), digest: ascii(40) }),
    action: word,
    mode: fc.constantFrom<AuditRow['mode'][]>('block', 'warn', 'observe'),
    enforced: fc.boolean(),
    status: fc.integer({ min: 0, max: 599 }),
    outcome: word,
    rules: fc.array(rule, { maxLength: 5 }),
    exceptions: fc.array(
      ascii(20).filter((text) => text !== ''),
      { maxLength: 3 },
    ),
    hidden: fc.array(fc.string({ unit: 'grapheme', maxLength: 12 }), { maxLength: 5 }),
    bundle: hex(64).map((h) => `sha256:${h}`),
    input: hex(64).map((h) => `sha256:${h}`),
    engine: ascii(20),
    duration_us: count,
    trace: fc.oneof(fc.constant(''), hex(32)),
    coded: fc.boolean(),
  })
  .map(({ coded, ...rest }) => ({
    ...rest,
    level: highest(rest.rules),
    floor_level: highest(rest.rules, 'floor'),
    overlay_level: highest(rest.rules, 'overlay'),
    hidden_count: rest.hidden.length,
    code: coded ? requestCodeOf(rest.id) : '',
  }));

test('every row has one spelling, canonical JSON, and reads back as itself', () => {
  fc.assert(
    fc.property(row, (one) => {
      assert.deepEqual(rowFaults(one), []);
      assert.deepEqual(recheckRow(one), []);
      assert.equal(rowText(one), canonicalJson(one));
      const bytes = encodeRow(one);
      assert.deepEqual(encodeRow(readRow(bytes)), bytes);
    }),
    { numRuns: 500 },
  );
});

function rowOfTemplate(template: RowTemplate, values: RowValues, index: number): string {
  checkValues(values);
  // At an odd place in a dirty buffer: nothing but the row itself may be touched.
  const target = Buffer.alloc(template.maxBytes + 10, '#');
  const length = writeRow(target, 7, template, values, index);
  assert.ok(length <= template.maxBytes);
  assert.equal(
    target.subarray(0, 7).toString() + target.subarray(7 + length).toString(),
    '#'.repeat(target.length - length),
  );
  return target.toString('utf8', 7, 7 + length);
}

test('a spliced template is the same bytes as the whole row', () => {
  fc.assert(
    fc.property(row, row, (one, other) => {
      const template = rowTemplate(one, one);
      const values = {
        id: other.id,
        time: other.time,
        duration_us: other.duration_us,
        trace: other.trace,
        code: other.code,
      };
      assert.equal(
        rowOfTemplate(template, values, other.index),
        canonicalJson({ ...one, ...values, index: other.index }),
      );
    }),
    { numRuns: 300 },
  );
});

test('no value can leave its place in a template', () => {
  const template = fc.sample(row, 1).map((one) => rowTemplate(one, one))[0];
  assert.ok(template !== undefined);
  fc.assert(
    fc.property(
      row,
      fc.constantFrom('id', 'time', 'trace', 'code'),
      fc.string({ unit: 'binary' }),
      (one, member, text) => {
        const { id: rowId, time: at, duration_us, trace, code } = one;
        const values = { id: rowId, time: at, duration_us, trace, code, [member]: text };
        let spliced: string;
        try {
          spliced = rowOfTemplate(template, values, 1);
        } catch {
          return;
        }
        readRow(Buffer.from(spliced));
      },
    ),
    { numRuns: 500 },
  );
});

test('a row with any byte changed is no row, or another row in its own one spelling', () => {
  fc.assert(
    fc.property(row, fc.nat(), fc.integer({ min: 1, max: 255 }), (one, at, flip) => {
      const bytes = encodeRow(one);
      const place = at % bytes.length;
      bytes[place] = (bytes[place] ?? 0) ^ flip;
      let read: AuditRow;
      try {
        read = readRow(bytes);
      } catch {
        return;
      }
      assert.notDeepEqual(read, one);
      assert.deepEqual(encodeRow(read), bytes);
    }),
    { numRuns: 1_000 },
  );
});

test('fitting keeps every level explained and always fits', () => {
  const large = fc
    .tuple(row, fc.array(rule, { minLength: 20, maxLength: 160 }), fc.nat({ max: 300 }))
    .map(([one, rules, hidden]) => ({
      ...one,
      rules: rules.map((each) => ({ ...each, facts: { ...each.facts, more: 'x'.repeat(hidden) } })),
      level: highest(rules),
      floor_level: highest(rules, 'floor'),
      overlay_level: highest(rules, 'overlay'),
      hidden: Array.from({ length: hidden }, (_, n) => `${n}.0.0-${'β'.repeat(60)}`),
      hidden_count: hidden,
    }));
  fc.assert(
    fc.property(large, (one) => {
      const fitted = fitRow(one);
      assert.deepEqual(rowFaults(fitted), []);
      assert.deepEqual(recheckRow(fitted), []);
      assert.equal(fitted.hidden_count, one.hidden_count);
      encodeRow(fitted);
    }),
    { numRuns: 60 },
  );
});

const LOG_DIGEST = Buffer.alloc(32, 7);

/** A segment of these batches of row bytes, and where each row ends. */
function segmentOf(batches: readonly (readonly Buffer[])[], size = 16 << 10) {
  const segment = Buffer.alloc(size);
  segmentHeader(5, LOG_DIGEST).copy(segment);
  let at = SEGMENT_HEADER_BYTES;
  let index = 5;
  const ends: number[] = [];
  const batchOf: number[] = [];
  for (const [number, batch] of batches.entries()) {
    for (const [batchPosition, bytes] of batch.entries()) {
      bytes.copy(segment, at + RECORD_HEADER_BYTES);
      sealRecord(segment, at, { length: bytes.length, index, batchPosition });
      at += RECORD_HEADER_BYTES + bytes.length;
      index += 1;
      ends.push(at);
      batchOf.push(number);
    }
  }
  return { segment, end: at, ends, batchOf };
}

const rowBytes = fc.uint8Array({ minLength: 1, maxLength: 60 }).map((bytes) => Buffer.from(bytes));
const batches = fc.array(fc.array(rowBytes, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 8 });

test('a record reads back with its place', () => {
  fc.assert(
    fc.property(rowBytes, count, fc.nat(), (bytes, index, batchPosition) => {
      const buffer = Buffer.alloc(RECORD_HEADER_BYTES + bytes.length);
      bytes.copy(buffer, RECORD_HEADER_BYTES);
      sealRecord(buffer, 0, { length: bytes.length, index, batchPosition });
      const bytesEnd = buffer.length;
      assert.deepEqual(readRecord(buffer, 0), { index, batchPosition, bytesStart: RECORD_HEADER_BYTES, bytesEnd });
    }),
  );
});

test('a segment cut at any byte: rows before the cut stay, and only the batch at the cut counts as torn', () => {
  fc.assert(
    fc.property(batches, fc.nat(), (all, place) => {
      const { segment, end, ends, batchOf } = segmentOf(all);
      const lastBatch = ends.filter((_, n) => (batchOf[n] ?? 0) < all.length - 1).at(-1) ?? SEGMENT_HEADER_BYTES;
      const cut = lastBatch + (place % (end - lastBatch));
      segment.fill(0, cut);
      const scan = scanSegment(segment, LOG_DIGEST, 5);
      const whole = ends.filter((each) => each <= cut).length;
      // A cut may fall on zero bytes that the row ends with; then nothing was cut.
      assert.ok(scan.state === 'clean' || scan.state === 'torn');
      assert.ok(scan.nextIndex >= 5 + whole);
      assert.ok(scan.end <= end);
    }),
    { numRuns: 500 },
  );
});

test('a flipped bit before the last batch is corruption; in the last batch it is never a wrong row', () => {
  fc.assert(
    fc.property(batches, fc.nat(), fc.nat({ max: 7 }), (all, place, bit) => {
      const { segment, end, ends, batchOf } = segmentOf(all);
      const at = SEGMENT_HEADER_BYTES + (place % (end - SEGMENT_HEADER_BYTES));
      segment[at] = (segment[at] ?? 0) ^ (1 << bit);
      const scan = scanSegment(segment, LOG_DIGEST, 5);
      const hit = ends.findIndex((each) => at < each);
      assert.equal(scan.nextIndex, 5 + hit, 'rows before the damage stay, none after it is taken');
      assert.equal(scan.state, (batchOf[hit] ?? 0) < all.length - 1 ? 'corrupt' : 'torn');
    }),
    { numRuns: 1_000 },
  );
});

test('scanning never throws, whatever the bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), fc.boolean(), (noise, headed) => {
      const bytes = Buffer.from(noise);
      if (headed && bytes.length >= SEGMENT_HEADER_BYTES) segmentHeader(5, LOG_DIGEST).copy(bytes);
      const scan = scanSegment(bytes, LOG_DIGEST, headed ? 5 : undefined);
      assert.ok(scan.nextIndex >= scan.firstIndex);
    }),
    { numRuns: 500 },
  );
});

const plain = (list: readonly Uint8Array[]) => list.map((each) => Uint8Array.from(each));

test('batches and answers survive the wire', () => {
  const anyBatch = fc.record({
    log: ascii(40),
    firstIndex: count,
    rows: fc.array(fc.uint8Array(), { maxLength: 5 }),
    checkpoint: fc.uint8Array(),
    proof: fc.array(fc.uint8Array(), { maxLength: 5 }),
  });
  fc.assert(
    fc.property(anyBatch, (batch) => {
      const bytes = toBinary(UploadRequestSchema, create(UploadRequestSchema, encodeBatch(batch)));
      const decoded = decodeBatch(fromBinary(UploadRequestSchema, bytes));
      const { rows, proof, checkpoint } = decoded;
      const copied = { rows: plain(rows), proof: plain(proof), checkpoint: Uint8Array.from(checkpoint) };
      assert.deepEqual({ ...decoded, ...copied }, { ...batch });
    }),
  );
  const answer: fc.Arbitrary<UploadAnswer> = fc.oneof(
    fc.record({ kind: fc.constant('ack'), log: ascii(40), nextIndex: count, receipt: fc.uint8Array() }),
    fc.record({
      kind: fc.constant('nack'),
      log: ascii(40),
      nextIndex: count,
      code: fc.constantFrom(...NACK_CODES),
      detail: ascii(40),
      retryAfterMs: fc.nat({ max: 2 ** 31 }),
    }),
  );
  fc.assert(
    fc.property(answer, (one) => {
      const bytes = toBinary(UploadResponseSchema, create(UploadResponseSchema, encodeAnswer(one)));
      assert.deepEqual(decodeAnswer(fromBinary(UploadResponseSchema, bytes)), { ...one });
    }),
  );
});

test('an index beyond 2^53 and an empty message are refused', () => {
  const beyond = create(UploadRequestSchema, { batch: { log: 'x', firstIndex: 2n ** 60n, rows: [] } });
  assert.throws(() => decodeBatch(beyond), { code: 'invalid_argument' });
  assert.throws(() => decodeBatch(create(UploadRequestSchema)), { code: 'invalid_argument' });
  assert.throws(() => decodeAnswer(create(UploadResponseSchema)), { code: 'invalid_argument' });
});
