// The fast encoder of policy inputs writes exactly the bytes that RFC 8785 prescribes, held against a general canonicaliser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { canonicalJson } from '@weir/shared/crypto/canonical-json.ts';
import { digestOf } from '@weir/shared/domain/digest.ts';
import { SEVERITIES, SIGNAL_STATES, type SignalOutcome } from '@weir/shared/domain/evidence.ts';
import type { Json, JsonObject } from '@weir/shared/domain/json.ts';
import { encodeInput, encodeJson } from '@weir/shared/policy/input-bytes.ts';
import type { Candidate, PolicyInput } from '@weir/shared/policy/input.ts';

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }).filter((it) => it.isWellFormed()),
  fc.string({ maxLength: 20 }),
  fc.constantFrom('', '"', '\\', '\u0000', '\u001f', '\u007f', '\u2028', '😀', '__proto__', 'é', '/'),
);
const number = fc.oneof(
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 }),
  fc.constantFrom(0, -0, 1e-7, 1e-6, 5e-324, 0.1),
);
const json: fc.Arbitrary<Json> = fc.letrec<{ json: Json }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    number,
    text,
    fc.array(tie('json'), { maxLength: 4 }),
    fc.dictionary(text, tie('json'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).json;
const jsonObject = fc.dictionary(text, json, { maxKeys: 4, noNullPrototype: true }) as fc.Arbitrary<JsonObject>;
const outcome: fc.Arbitrary<SignalOutcome> = fc.record({
  state: fc.constantFrom(...SIGNAL_STATES),
  severity: fc.constantFrom(...SEVERITIES),
  value: jsonObject,
  reason: text,
});
const candidate: fc.Arbitrary<Candidate> = fc.record({
  subject: fc.record({
    purl: text,
    namespace: text,
    name: text,
    version: text,
    digest: text,
    size: fc.option(fc.maxSafeNat()),
    published_at: fc.option(fc.maxSafeNat()),
  }),
  evidence: fc.dictionary(text, outcome, { maxKeys: 6, noNullPrototype: true }),
  approvals: fc.array(text, { maxLength: 3 }),
});
const input: fc.Arbitrary<PolicyInput> = fc.record({
  schema: fc.constant('weir.input/v1' as const),
  request: fc.record({
    action: fc.constantFrom('install' as const, 'metadata' as const, 'check' as const),
    enforcement_point: fc.constantFrom('registry-proxy' as const, 'cli' as const),
    ecosystem: text,
    registry: text,
    client: text,
  }),
  actor: fc.record({ id: text, kind: text, groups: fc.array(text, { maxLength: 4 }), mfa: fc.boolean() }),
  unit: fc.record({
    workspace: text,
    unit: text,
    site: text,
    environment: text,
    labels: fc.dictionary(text, text, { maxKeys: 4, noNullPrototype: true }),
  }),
  context: fc.record({
    now: fc.maxSafeNat(),
    staleness: fc.constantFrom('fresh' as const, 'warn' as const, 'restrict' as const, 'deny' as const),
    mode: fc.constantFrom('block' as const, 'warn' as const, 'observe' as const),
  }),
  candidates: fc.array(candidate, { maxLength: 4 }),
});

test('an input has the bytes that a general canonicaliser gives it', () => {
  fc.assert(
    fc.property(input, (it) => {
      const encoded = encodeInput(it);
      const expected = canonicalJson(it);
      assert.equal(Buffer.from(encoded.whole.bytes).toString(), expected);
      assert.equal(encoded.digest, digestOf(expected));
    }),
    { numRuns: 1000 },
  );
});

test('any json has the bytes that a general canonicaliser gives it', () => {
  fc.assert(
    fc.property(json, (it) => assert.equal(Buffer.from(encodeJson(it).bytes).toString(), canonicalJson(it))),
    { numRuns: 2000 },
  );
});

test('a selection of candidates is the same input with only these candidates', () => {
  fc.assert(
    fc.property(input, fc.infiniteStream(fc.boolean()), (it, picks) => {
      const kept = it.candidates.map(() => picks.next().value === true);
      const encoded = encodeInput(it);
      const part = encoded.select(encoded.candidates.filter((_, i) => kept[i]));
      const smaller = { ...it, candidates: it.candidates.filter((_, i) => kept[i]) };
      assert.equal(Buffer.from(part.bytes).toString(), canonicalJson(smaller));
    }),
    { numRuns: 300 },
  );
});

test('the bytes do not depend on the order in which keys were set', () => {
  fc.assert(
    fc.property(candidate, (it) => {
      const backwards = Object.fromEntries(Object.entries(it.evidence).toReversed());
      const base = { schema: 'weir.input/v1' } as const;
      const of = (one: Candidate): string =>
        Buffer.from(encodeJson({ ...base, candidate: one as unknown as Json }).bytes).toString();
      assert.equal(of({ ...it, evidence: backwards }), of(it));
    }),
  );
});

test('candidates share a class exactly when nothing but what belongs to the version differs', () => {
  fc.assert(
    fc.property(candidate, candidate, text, (one, two, version) => {
      const sameButVersion = {
        ...one,
        subject: { ...one.subject, version, purl: version, digest: version, size: 1, published_at: 2 },
      };
      const base = fc.sample(input, { numRuns: 1, seed: 1 })[0] as PolicyInput;
      const { classes } = encodeInput({ ...base, candidates: [one, sameButVersion, two] });
      assert.equal(classes[0], classes[1]);
      assert.equal(classes[0] === classes[2], common(one) === common(two));
    }),
  );
});

function common({ evidence, approvals, subject }: Candidate): string {
  return canonicalJson({ evidence, approvals, namespace: subject.namespace, name: subject.name });
}
