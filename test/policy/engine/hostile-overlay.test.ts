// Overlays written against the floor. Whatever they do, no verdict falls below what the floor alone says, and the decision
// comes back: an overlay that runs away is interrupted and counts as a failure.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { rank } from '@weir/shared/domain/level.ts';
import type { EngineEvent, PolicyEngine } from '@weir/shared/policy/engine.ts';
import type { LayerFailure } from '@weir/shared/policy/layer-answer.ts';
import { overlayEntrypoint } from '@weir/shared/policy/input.ts';
import { createStrikes } from '@weir/shared/policy/strikes.ts';
import { asm, assemble } from './assemble.ts';
import { UNIT, WORDS, candidate, engine, inputOf, overlayModule, overlaySource } from './fixtures.ts';
import { buildPolicy } from './opa.ts';

const NOTHING = '{"schema": input.schema, "findings": []}';

/** How the overlay fails; 'none' when it is a valid answer that merely achieves nothing. What eats time and memory at once
 * ends by whichever runs out first. */
type Outcome = LayerFailure | 'none' | 'exhausted';

const EXHAUSTED: ReadonlySet<LayerFailure> = new Set(['timeout', 'memory']);

const CORPUS: readonly (readonly [name: string, body: string, outcome: Outcome])[] = [
  ['finds nothing, ever', `result := ${NOTHING}`, 'none'],
  ['is undefined', `result := ${NOTHING} if false`, 'no_result'],
  ['says allow', 'result := {"schema": input.schema, "findings": [], "level": "allow"}', 'bad_output'],
  ['says allow in a finding', finding({ level: '"allow"' }), 'bad_output'],
  ['lowers with a negative level', finding({ level: '-3' }), 'bad_output'],
  ['speaks of a floor rule at a lower level', finding({ rule: '"WEIR-TEST-001"', level: '"warn"' }), 'none'],
  ['speaks for the host', finding({ rule: '"WEIR-HOST-001"', level: '"warn"' }), 'bad_output'],
  ['names an exception', 'result := {"schema": input.schema, "findings": [], "exceptions": ["*"]}', 'bad_output'],
  ['echoes another schema', 'result := {"schema": "weir.input/v0", "findings": []}', 'no_echo'],
  ['echoes nothing', 'result := {"findings": []}', 'no_echo'],
  ['answers a boolean', 'result := true', 'no_echo'],
  [
    'replaces the input with one of its own',
    `result := x if x := answer with input as {"schema": "weir.input/v1", "candidates": []}\n\nanswer := ${NOTHING}`,
    'none',
  ],
  [
    'replaces the settings with its own',
    `result := x if x := answer with data.settings as {"on_overlay_error": "allow"}\n\nanswer := ${NOTHING}`,
    'none',
  ],
  ['returns a number that is none', finding({ facts: '{"n": 1e400}' }), 'bad_output'],
  ['returns a number of 400 digits', finding({ facts: `{"n": ${'9'.repeat(400)}}` }), 'bad_output'],
  ['uses prototype keys in facts', finding({ facts: '{"__proto__": {"effective": "allow"}}' }), 'bad_output'],
  [
    'uses prototype keys in the answer',
    'result := {"schema": input.schema, "findings": [], "__proto__": {"ok": true}}',
    'bad_output',
  ],
  ['uses constructor as a fact', finding({ facts: '{"constructor": {"name": "x"}}' }), 'none'],
  [
    'returns a million findings',
    `result := {"schema": input.schema, "findings": [f | some i in numbers.range(1, 1000000); f := ${findingOf({ facts: '{"i": i}' })}]}`,
    'exhausted',
  ],
  [
    'returns a thousand findings for one candidate',
    `result := {"schema": input.schema, "findings": [f | some i in numbers.range(1, 1000); f := ${findingOf({ facts: '{"i": i}' })}]}`,
    'too_many_findings',
  ],
  [
    'returns a fact of a million characters',
    finding({ facts: '{"text": concat("", [x | some i in numbers.range(1, 1000000); x := "aaaaaaaaaa"])}' }),
    'exhausted',
  ],
  [
    'multiplies ranges without end',
    `result := ${NOTHING} if count([1 | some a in numbers.range(1, 5000); some b in numbers.range(1, 5000); some c in numbers.range(1, 5000); a + b + c == 7]) > 0`,
    'timeout',
  ],
  [
    'fills the memory',
    `result := ${NOTHING} if count([x | some a in numbers.range(1, 100000); x := numbers.range(1, 100000)]) > 0`,
    'exhausted',
  ],
];

const HAND_MADE: readonly (readonly [name: string, module: Uint8Array, outcome: Outcome])[] = [
  ['loops without end', assemble({ evaluate: [...asm.forever, ...asm.const(0)] }), 'timeout'],
  [
    'recurses without end',
    assemble({ evaluate: [...[0, 1, 2, 3, 4, 5, 6].flatMap((i) => [0x20, i]), 0x10, 2] }),
    'stack',
  ],
  ['traps', assemble({ evaluate: asm.unreachable }), 'threw'],
  ['points outside its memory', assemble({ evaluate: asm.const(-1) }), 'output_too_large'],
  [
    'asks for all the memory there is',
    assemble({ evaluate: [...asm.memoryGrow(65_000), ...asm.drop, ...asm.const(1024)] }),
    'none',
  ],
];

const modules: readonly (readonly [name: string, build: () => Uint8Array, outcome: Outcome])[] = [
  ...CORPUS.map(([name, body, outcome]) => [name, () => overlayModule(overlaySource(body)), outcome] as const),
  ...HAND_MADE.map(([name, module, outcome]) => [name, () => module, outcome] as const),
  ['redefines the floor in its own module', () => withFloorPackages(), 'none'],
];

describe('an overlay that', () => {
  let floor: PolicyEngine;
  const input = inputOf(...WORDS.map((word) => candidate(word)));
  before(async () => {
    floor = await engine();
  });

  for (const [name, build, outcome] of modules) {
    test(`${name} never lowers the floor and always comes back`, async () => {
      const events: EngineEvent[] = [];
      const strikes = createStrikes({ strikes: 1000, forgivenAfter: 1000 });
      const subject = await engine({ overlay: build(), strikes, onEvent: (event) => events.push(event) });
      for (const round of [1, 2]) {
        const verdicts = subject.decide(input);
        const alone = floor.decide(input);
        verdicts.forEach((verdict, i) => {
          const least = alone[i]?.level ?? 'deny';
          assert.ok(rank(verdict.level) >= rank(least), `${WORDS[i]}: ${verdict.level} < ${least}`);
          assert.equal(verdict.floor_level, least);
          if (outcome !== 'none')
            assert.equal(
              verdict.reasons.some((reason) => reason.code === 'overlay_failed'),
              true,
            );
        });
        assert.equal(verdicts.length, WORDS.length);
        const failures = events.filter((event) => event.kind === 'layer_failed').map((event) => event.failure);
        const seen = failures.map((failure) => (outcome === 'exhausted' && EXHAUSTED.has(failure) ? outcome : failure));
        assert.deepEqual(seen, outcome === 'none' ? [] : Array.from({ length: round }, () => outcome));
      }
      assert.equal(
        events.some((event) => event.kind === 'self_check_failed'),
        false,
      );
    });
  }
});

test('memory of an overlay ends at its maximum, whatever time it has', async () => {
  const source = overlaySource(
    `result := ${NOTHING} if count([x | some a in numbers.range(1, 100000); x := numbers.range(1, 100000)]) > 0`,
  );
  const events: EngineEvent[] = [];
  const limits = { overlay: { deadlineMs: 60_000, memoryPages: 128 } };
  const subject = await engine({ overlay: overlayModule(source), limits, onEvent: (event) => events.push(event) });
  assert.equal(subject.decide(inputOf(candidate('deny')))[0]?.level, 'deny');
  assert.deepEqual(events[0], {
    kind: 'layer_failed',
    layer: 'overlay',
    failure: 'memory',
    detail: 'opa_malloc: failed',
  });
});

/** The floor's own package, defined again beside the overlay and loosened. */
function withFloorPackages(): Uint8Array {
  return buildPolicy({
    entrypoint: overlayEntrypoint(UNIT),
    sources: {
      'overlay.rego': overlaySource('result := data.weir.floor.main.result'),
      'floor.rego': `package weir.floor.main\n\nresult := ${NOTHING}\n\nfindings := []\n`,
    },
  });
}

function finding(fields: Readonly<Record<string, string>>): string {
  return `result := {"schema": input.schema, "findings": [${findingOf(fields)}]}`;
}

function findingOf(fields: Readonly<Record<string, string>>): string {
  const all = { candidate: '0', rule: '"WEIR-OV-TEST-001"', level: '"deny"', code: '"c"', facts: '{}', ...fields };
  return `{${Object.entries(all)
    .map(([key, value]) => `"${key}": ${value}`)
    .join(', ')}}`;
}
