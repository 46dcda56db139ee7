// Relations that must hold between decisions, for any number of findings and exceptions: what is added to, repeated in,
// shuffled in or taken from one decision may move the other only one way.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import type { Exception } from '@weir/shared/domain/exception.ts';
import { LEVELS, rank } from '@weir/shared/domain/level.ts';
import type { RuleMeta } from '@weir/shared/domain/rule.ts';
import { type Finding, OVERRIDES } from '@weir/shared/domain/verdict.ts';
import { type Joined, combine } from '@weir/shared/policy/combine.ts';
import { inForce, indexExceptions } from '@weir/shared/policy/exceptions.ts';
import type { Staleness } from '@weir/shared/policy/host-reasons.ts';
import { ruleBook } from '@weir/shared/policy/rule-book.ts';
import { floorAlone } from '@weir/shared/policy/self-check.ts';
import { NOW, candidate, exception, rule } from '../../policy/engine/fixtures.ts';

const FLOOR_IDS = ['WEIR-A-001', 'WEIR-A-002', 'WEIR-A-003'];
const OVERLAY_IDS = ['WEIR-OV-B-001', 'WEIR-OV-B-002'];
const UNKNOWN_ID = 'WEIR-GONE-001';

interface World {
  readonly rules: readonly RuleMeta[];
  readonly floor: readonly Finding[];
  readonly overlay: readonly Finding[];
  readonly exceptions: readonly Exception[];
  readonly staleness: Staleness;
}

const findingOf = (ids: readonly string[]): fc.Arbitrary<Finding> =>
  fc.record({
    candidate: fc.constant(0),
    rule: fc.constantFrom(...ids, UNKNOWN_ID),
    level: fc.constantFrom('warn' as const, 'pending' as const, 'deny' as const),
    code: fc.constantFrom('one', 'two'),
    facts: fc.constantFrom({}, { n: 1 }, { n: [1, 'a'] }, { n: { a: 1, b: 2 } }),
  });

const ruleOf = (id: string, layer: RuleMeta['layer']): fc.Arbitrary<RuleMeta> =>
  fc
    .record({
      override: fc.constantFrom(...OVERRIDES),
      min_level: fc.constantFrom(...LEVELS),
      max_exception_days: fc.constantFrom(0, 1, 30),
      version: fc.constantFrom('1.0.0', '2.3.4'),
    })
    .map((fields) => rule(id, { layer, ...fields }));

const anException: fc.Arbitrary<Exception> = fc
  .record({
    id: fc.constantFrom('a', 'b', 'c', 'd'),
    rule: fc.constantFrom(...FLOOR_IDS, ...OVERLAY_IDS, UNKNOWN_ID),
    rule_major: fc.constantFrom(1, 2),
    subject: fc.constantFrom('pkg:npm/left-pad@1.0.0', 'pkg:npm/left-pad', 'pkg:npm/right-pad'),
    digest: fc.constantFrom('', 'sha512:00', 'sha512:01'),
    to: fc.constantFrom(...LEVELS),
    scope: fc.constantFrom({ units: [] }, { units: ['payments'] }, { units: ['research'] }),
    not_before: fc.constantFrom(NOW - 40 * 86_400, NOW - 3600, NOW, NOW + 1),
    expires: fc.constantFrom(NOW, NOW + 1, NOW + 86_400),
    authority: fc.constantFrom('hub' as const, 'spoke' as const),
  })
  .map((fields) => exception(fields));

const world: fc.Arbitrary<World> = fc.record({
  rules: fc.tuple(...FLOOR_IDS.map((id) => ruleOf(id, 'floor')), ...OVERLAY_IDS.map((id) => ruleOf(id, 'overlay'))),
  floor: fc.array(findingOf(FLOOR_IDS), { maxLength: 6 }),
  overlay: fc.array(findingOf([...OVERLAY_IDS, ...FLOOR_IDS]), { maxLength: 6 }),
  exceptions: fc.array(anException, { maxLength: 8 }),
  staleness: fc.constantFrom<Staleness>('fresh', 'warn', 'restrict', 'deny'),
});

function twice<T>(list: readonly T[]): readonly T[] {
  return [...list, ...list];
}

const { subject } = candidate('nothing');

function judge(of: World, at = NOW): Joined {
  const rules = ruleBook(of.rules);
  const grants = inForce(indexExceptions(of.exceptions, rules, 'payments').about(subject), subject.digest, at);
  const floor = { ok: true, findings: of.floor } as const;
  const overlay = { ok: true, findings: of.overlay } as const;
  const parts = { floor, overlay, staleness: of.staleness, rules, grants, onOverlayError: 'deny' } as const;
  const joined = combine(parts);
  assert.equal(joined.floor_level, floorAlone(parts));
  return joined;
}

const level = (of: World, at?: number): number => rank(judge(of, at).level);
const holds = (name: string, property: (of: World) => void): void => {
  test(name, () => fc.assert(fc.property(world, property), { numRuns: 3000 }));
};

holds('adding an overlay never lowers the level, and leaves the floor level alone', (of) => {
  const without = { ...of, overlay: [] };
  assert.ok(level(of) >= level(without));
  assert.equal(judge(of).floor_level, judge(without).level);
});

holds('adding any finding never lowers the level', (of) => {
  for (const layer of ['floor', 'overlay'] as const)
    assert.ok(level(of) >= level({ ...of, [layer]: of[layer].slice(1) }));
});

holds('repeating every finding and exception changes nothing', (of) => {
  const doubled = { ...of, floor: twice(of.floor), overlay: twice(of.overlay), exceptions: twice(of.exceptions) };
  assert.deepEqual(judge(doubled), judge(of));
});

holds('any order of findings and rules gives the same bytes', (of) => {
  const turned = {
    ...of,
    floor: of.floor.toReversed(),
    overlay: of.overlay.toReversed(),
    rules: of.rules.toReversed(),
  };
  assert.equal(JSON.stringify(judge(turned)), JSON.stringify(judge(of)));
});

holds('taking an exception away never lowers the level', (of) => {
  of.exceptions.forEach((_, i) => assert.ok(level({ ...of, exceptions: of.exceptions.toSpliced(i, 1) }) >= level(of)));
});

holds('once every exception has expired, the level is that of the findings', (of) => {
  assert.equal(level(of, NOW + 100 * 86_400), level({ ...of, exceptions: [] }));
});

holds("without the hub's exceptions the floor is never lowered", (of) => {
  const local = of.exceptions.filter(({ authority }) => authority === 'spoke');
  assert.equal(judge({ ...of, exceptions: local }).floor_level, judge({ ...of, exceptions: [] }).floor_level);
});

holds('an exception of another unit, subject, digest or major is worth nothing', (of) => {
  const foreign = of.exceptions.filter(
    (one) =>
      one.scope.units.includes('research') ||
      one.subject === 'pkg:npm/right-pad' ||
      one.digest === 'sha512:01' ||
      of.rules.every(({ id, version }) => id !== one.rule || Number(version[0]) !== one.rule_major),
  );
  assert.deepEqual(judge({ ...of, exceptions: foreign }), judge({ ...of, exceptions: [] }));
});
