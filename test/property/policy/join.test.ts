// P1–P9 of the join, by enumeration: every pair of findings with every level, override, minimum level and state of an
// exception. `expected` is the formula written a second time, over plain numbers, and shares no code with `combine`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LEVELS, type Level, rank } from '@weir/shared/domain/level.ts';
import type { RuleMeta } from '@weir/shared/domain/rule.ts';
import { type Finding, OVERRIDES, type Reason } from '@weir/shared/domain/verdict.ts';
import { type Joined, type Parts, combine } from '@weir/shared/policy/combine.ts';
import { type Grant, inForce, indexExceptions } from '@weir/shared/policy/exceptions.ts';
import type { Staleness } from '@weir/shared/policy/host-reasons.ts';
import { LAYER_FAILURES, type LayerAnswer, failed } from '@weir/shared/policy/layer-answer.ts';
import { type RuleBook, ruleBook } from '@weir/shared/policy/rule-book.ts';
import { floorAlone } from '@weir/shared/policy/self-check.ts';
import { NOW, candidate, exception, rule } from '../../policy/engine/fixtures.ts';

type Layer = 'floor' | 'overlay';
type ExceptionState = 'none' | 'expired' | `${'hub' | 'spoke'}:${Level}`;

/** One finding and everything that decides what it counts for. */
interface Case {
  readonly layer: Layer;
  readonly finding: Finding;
  readonly meta: RuleMeta;
  readonly state: ExceptionState;
  readonly grants: readonly Grant[];
  /** Rank that the formula gives it. */
  readonly rank: number;
}

const STALENESS: readonly Staleness[] = ['fresh', 'warn', 'restrict', 'deny'];
const STATES: readonly ExceptionState[] = [
  'none',
  'expired',
  ...(['hub', 'spoke'] as const).flatMap((authority) => LEVELS.map((level) => `${authority}:${level}` as const)),
];

/** The formula of one finding over numbers: what it is, or what a fitting exception makes of it. */
function expectedRank(layer: Layer, level: number, override: string, min: number, state: ExceptionState): number {
  const [authority, to] = state.split(':');
  const fits =
    (authority === 'hub' && (override === 'hub' || override === 'spoke')) ||
    (authority === 'spoke' && override === 'spoke' && layer === 'overlay');
  if (!fits) return level;
  return Math.min(level, Math.max(min, ['allow', 'warn', 'pending', 'deny'].indexOf(to ?? '')));
}

function casesOf(layer: Layer, id: string): readonly Case[] {
  const cases: Case[] = [];
  for (const level of ['warn', 'pending', 'deny'] as const) {
    for (const override of OVERRIDES) {
      for (const min_level of LEVELS) {
        const meta = rule(id, { layer, override, min_level });
        for (const state of STATES) {
          const finding: Finding = { candidate: 0, rule: id, level, code: 'c', facts: {} };
          const grants = grantsOf(meta, state);
          cases.push({
            layer,
            finding,
            meta,
            state,
            grants,
            rank: expectedRank(layer, rank(level), override, rank(min_level), state),
          });
        }
      }
    }
  }
  return cases;
}

function grantsOf(meta: RuleMeta, state: ExceptionState): readonly Grant[] {
  if (state === 'none') return [];
  const [authority, to] = state === 'expired' ? ['hub', 'allow'] : state.split(':');
  const granted = exception({
    id: `ex-${meta.id}`,
    rule: meta.id,
    authority: authority as 'hub' | 'spoke',
    to: to as Level,
    ...(state === 'expired' ? { expires: NOW } : {}),
  });
  const { subject } = candidate('nothing');
  return inForce(indexExceptions([granted], ruleBook([meta]), 'payments').about(subject), subject.digest, NOW);
}

const FLOOR = casesOf('floor', 'WEIR-A-001');
const FLOOR_TOO = casesOf('floor', 'WEIR-A-002');
const OVERLAY = casesOf('overlay', 'WEIR-OV-B-001');
const OVERLAY_TOO = casesOf('overlay', 'WEIR-OV-B-002');

const books = new Map<RuleMeta, Map<RuleMeta, RuleBook>>();
function bookOf(a: RuleMeta, b: RuleMeta): RuleBook {
  const of = books.get(a) ?? new Map<RuleMeta, RuleBook>();
  books.set(a, of);
  const book = of.get(b) ?? ruleBook([a, b]);
  of.set(b, book);
  return book;
}

function partsOf(a: Case, b: Case, overrides: Partial<Parts> = {}): Parts {
  const answer = (layer: Layer): LayerAnswer => ({
    ok: true,
    findings: [a, b].filter((one) => one.layer === layer).map(({ finding }) => finding),
  });
  return {
    floor: answer('floor'),
    overlay: answer('overlay'),
    staleness: 'fresh',
    rules: bookOf(a.meta, b.meta),
    grants: a.grants.length === 0 ? b.grants : b.grants.length === 0 ? a.grants : [...a.grants, ...b.grants],
    onOverlayError: 'pending',
    ...overrides,
  };
}

function forPairs(left: readonly Case[], right: readonly Case[], check: (a: Case, b: Case) => void): void {
  for (const a of left) for (const b of right) check(a, b);
}

const PAIRS: readonly (readonly [string, readonly Case[], readonly Case[]])[] = [
  ['floor and overlay', FLOOR, OVERLAY],
  ['floor and floor', FLOOR, FLOOR_TOO],
  ['overlay and overlay', OVERLAY, OVERLAY_TOO],
];
/** A third of the cases, for properties that compare several joins per pair: states that differ in kind. */
const fewer = (cases: readonly Case[]): readonly Case[] =>
  cases.filter(({ state }) => ['none', 'hub:allow', 'hub:pending', 'spoke:warn'].includes(state));

for (const [name, left, right] of PAIRS) {
  test(`the join is the formula: ${name}, ${left.length * right.length} pairs`, () => {
    forPairs(left, right, (a, b) => {
      const joined = combine(partsOf(a, b));
      const floor = Math.max(0, ...[a, b].filter((one) => one.layer === 'floor').map((one) => one.rank));
      if (rank(joined.level) !== Math.max(a.rank, b.rank)) fail('level', a, b, joined);
      if (rank(joined.floor_level) !== floor) fail('floor level', a, b, joined);
    });
  });
}

test('P1 an overlay never lowers what the floor says', () => {
  forPairs(FLOOR, OVERLAY, (a, b) => {
    const parts = partsOf(a, b);
    const joined = combine(parts);
    const without = combine({ ...parts, overlay: null });
    if (rank(joined.level) < rank(without.level)) fail('P1', a, b, joined);
    if (without.level !== joined.floor_level || floorAlone(parts) !== without.level)
      fail('P1 self-check', a, b, joined);
  });
});

test('P2 a rule that is not overridable keeps its level', () => {
  forPairs(FLOOR, OVERLAY, (a, b) => {
    const joined = combine(partsOf(a, b));
    for (const one of [a, b]) {
      if (one.meta.override === 'none' && rank(joined.level) < rank(one.finding.level)) fail('P2', a, b, joined);
    }
  });
});

test('P3 an exception more never raises the level, one less never lowers it', () => {
  forPairs(FLOOR, OVERLAY, (a, b) => {
    const all = combine(partsOf(a, b));
    const levels = [a.grants, b.grants, []].map((grants) => rank(combine(partsOf(a, b, { grants })).level));
    if (levels.some((level) => level < rank(all.level)) || Math.max(...levels) > (levels[2] ?? 0))
      fail('P3', a, b, all);
  });
});

test('P4 neither order nor repetition of findings and exceptions matters', () => {
  forPairs(fewer(FLOOR), fewer(FLOOR_TOO), (a, b) => {
    const joined = JSON.stringify(combine(partsOf(a, b)));
    const grants = partsOf(a, b).grants;
    for (const findings of [
      [b, a],
      [a, b, a],
      [b, b, a, a],
    ]) {
      const again = partsOf(a, b, {
        floor: { ok: true, findings: findings.map(({ finding }) => finding) },
        grants: [...grants.toReversed(), ...grants],
      });
      if (JSON.stringify(combine(again)) !== joined) fail('P4', a, b, combine(again));
    }
  });
});

test('P5 a failed floor denies; a failed overlay counts as the signed level, over the floor as it is', () => {
  for (const failure of LAYER_FAILURES) {
    for (const onOverlayError of ['pending', 'deny'] as const) {
      for (const a of FLOOR) {
        const parts = partsOf(a, a, { onOverlayError });
        const noFloor = combine({ ...parts, floor: failed(failure, '') });
        const noOverlay = combine({ ...parts, overlay: failed(failure, '') });
        assert.equal(noFloor.level, 'deny');
        assert.equal(noFloor.floor_level, 'deny');
        assert.equal(rank(noOverlay.level), Math.max(a.rank, rank(onOverlayError)));
        assert.equal(rank(noOverlay.floor_level), a.rank);
      }
    }
  }
});

test('P6 staleness only raises, and more of it never lowers', () => {
  forPairs(fewer(FLOOR), fewer(OVERLAY), (a, b) => {
    const joined = STALENESS.map((staleness) => combine(partsOf(a, b, { staleness })));
    const ranks = joined.map(({ level }) => rank(level));
    ranks.forEach((level, i) => {
      if (level < (ranks[i - 1] ?? 0) || level !== Math.max(i, ranks[0] ?? 3)) fail('P6', a, b, joined[i] as Joined);
    });
  });
});

test("P7 a spoke's exception changes no finding of the floor", () => {
  for (const a of FLOOR.filter(({ state }) => state.startsWith('spoke'))) {
    assert.equal(combine(partsOf(a, a)).level, a.finding.level);
  }
});

test('P8 the same parts give the same bytes', () => {
  forPairs(fewer(FLOOR), fewer(OVERLAY), (a, b) => {
    const parts = partsOf(a, b);
    if (JSON.stringify(combine(parts)) !== JSON.stringify(combine(structuredCloneOf(parts))))
      fail('P8', a, b, combine(parts));
  });
});

test('P9 the level is the highest effective level of the reasons, and a lowered reason names its exception', () => {
  forPairs(FLOOR, OVERLAY, (a, b) => {
    const joined = combine(partsOf(a, b, { staleness: a.state === 'none' ? 'warn' : 'fresh' }));
    const explained = Math.max(0, ...joined.reasons.map(({ effective }) => rank(effective)));
    if (explained !== rank(joined.level)) fail('P9', a, b, joined);
    for (const reason of joined.reasons) {
      const lowered = reason.effective !== reason.level;
      if (lowered !== (reason.exception !== '') || rank(reason.effective) > rank(reason.level))
        fail('P9', a, b, joined);
      if (lowered && !joined.exceptions.includes(reason.exception)) fail('P9', a, b, joined);
    }
  });
});

test('of several exceptions the lowest counts, but not below the minimum', () => {
  const meta = rule('WEIR-A-001', { min_level: 'warn' });
  const grants = (['pending', 'allow', 'warn'] as const).map((to) => ({
    ...(grantsOf(meta, `hub:${to}`)[0] as Grant),
    id: `ex-${to}`,
  }));
  const finding: Finding = { candidate: 0, rule: meta.id, level: 'deny', code: 'c', facts: {} };
  const one: Case = { layer: 'floor', finding, meta, state: 'none', grants, rank: 1 };
  const joined = combine(partsOf(one, one));
  assert.deepEqual([joined.level, joined.exceptions], ['warn', ['ex-allow']]);
});

test('a rule that its layer does not declare keeps its level, whatever is granted for its id', () => {
  const [floor] = FLOOR.filter(
    ({ state, meta, finding }) => state === 'hub:allow' && meta.override === 'hub' && finding.level === 'deny',
  );
  assert.ok(floor !== undefined);
  for (const rules of [ruleBook([]), ruleBook([{ ...floor.meta, layer: 'overlay' }])]) {
    const reason: Reason | undefined = combine(partsOf(floor, floor, { rules })).reasons[0];
    assert.deepEqual([reason?.effective, reason?.override, reason?.effect], ['deny', 'none', 'refuse']);
  }
});

function structuredCloneOf(parts: Parts): Parts {
  return { ...structuredClone({ ...parts, rules: null }), rules: parts.rules };
}

function fail(property: string, a: Case, b: Case, joined: Joined): never {
  assert.fail(`${property} broken: ${JSON.stringify({ a, b, joined })}`);
}
