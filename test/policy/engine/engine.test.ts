// The engine as its callers see it: levels, reasons, exceptions, batches, failures, over modules that the real OPA built.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '@weir/shared/domain/digest.ts';
import type { Exception } from '@weir/shared/domain/exception.ts';
import type { Level } from '@weir/shared/domain/level.ts';
import type { Verdict } from '@weir/shared/domain/verdict.ts';
import type { EngineEvent } from '@weir/shared/policy/engine.ts';
import type { Candidate } from '@weir/shared/policy/input.ts';
import { createStrikes } from '@weir/shared/policy/strikes.ts';
import {
  BUNDLE,
  NOW,
  STRICT_OVERLAY,
  candidate,
  engine,
  exception,
  exceptionsLayer,
  floorModule,
  inputOf,
  overlayModule,
  overlaySource,
  settings,
} from './fixtures.ts';

test('a candidate without findings is allowed', async () => {
  const input = inputOf(candidate('nothing'));
  const subject = await engine();
  const [verdict, ...rest] = subject.decide(input);
  assert.deepEqual(rest, []);
  assert.deepEqual(verdict, {
    level: 'allow',
    floor_level: 'allow',
    overlay_level: 'allow',
    reasons: [],
    obligations: [],
    exceptions: [],
    bundle: BUNDLE,
    input: digestOf(subject.inputBytes(input)),
    engine: 'weir/1',
    valid_until: null,
  });
});

const LEVELS: readonly (readonly [text: string, level: Level])[] = [
  ['nothing', 'allow'],
  ['warn', 'warn'],
  ['pending', 'pending'],
  ['deny', 'deny'],
];
for (const [text, level] of LEVELS) {
  test(`a floor finding of level ${level} gives a verdict of level ${level}`, async () => {
    const [verdict] = (await engine()).decide(inputOf(candidate(text)));
    assert.equal(verdict?.level, level);
    assert.equal(verdict?.floor_level, level);
  });
}

test('the overlay raises the level and the floor level stays its own', async () => {
  const subject = await engine({ overlay: overlayModule(STRICT_OVERLAY) });
  const verdicts = subject.decide(inputOf(candidate('strict'), candidate('warn')));
  assert.deepEqual(
    verdicts.map(({ level, floor_level, overlay_level }) => [level, floor_level, overlay_level]),
    [
      ['deny', 'allow', 'deny'],
      ['warn', 'warn', 'allow'],
    ],
  );
});

test('settings reach both layers as data.settings', async () => {
  const source = overlaySource(`
result := {"schema": input.schema, "findings": findings}
findings contains {"candidate": 0, "rule": "WEIR-OV-TEST-001", "level": "warn", "code": "c", "facts": {"unit": data.settings.unit}}
`);
  const [verdict] = (await engine({ overlay: overlayModule(source) })).decide(inputOf(candidate('nothing')));
  assert.deepEqual(verdict?.reasons[0]?.facts, { unit: 'payments' });
});

test('equal bundle and input give equal verdicts on another engine, byte for byte', async () => {
  const overlay = overlayModule(STRICT_OVERLAY);
  const input = inputOf(candidate('deny'), candidate('strict'), candidate('pending'));
  const [one, two] = await Promise.all([engine({ overlay }), engine({ overlay })]);
  const first = JSON.stringify(one.decide(input));
  one.decide(inputOf(candidate('warn')));
  assert.equal(JSON.stringify(one.decide(input)), first);
  assert.equal(JSON.stringify(two.decide(input)), first);
});

test('a pending verdict asks for one approval, named by subject and rules', async () => {
  const subject = await engine();
  const [one] = subject.decide(inputOf(candidate('pending')));
  const [again] = subject.decide({
    ...inputOf(candidate('pending')),
    actor: { id: 'b', kind: 'token', groups: [], mfa: true },
  });
  const [other] = subject.decide(inputOf(candidate('pending', { version: '2.0.0' })));
  assert.equal(one?.obligations.length, 1);
  assert.equal(one?.obligations[0]?.kind, 'require_approval');
  assert.deepEqual(again?.obligations, one?.obligations);
  assert.notEqual(other?.obligations[0]?.key, one?.obligations[0]?.key);
});

const EXCEPTIONS: readonly (readonly [name: string, exception: Partial<Exception>, level: Level])[] = [
  ['for exactly this version', {}, 'allow'],
  ['for the whole package', { subject: 'pkg:npm/left-pad' }, 'allow'],
  ['for this digest', { digest: 'sha512:00' }, 'allow'],
  ['lowering to warn', { to: 'warn' }, 'warn'],
  ['for this unit', { scope: { units: ['payments'] } }, 'allow'],
  ['for another version', { subject: 'pkg:npm/left-pad@1.0.1' }, 'deny'],
  ['for a name that merely starts alike', { subject: 'pkg:npm/left' }, 'deny'],
  ['for another digest', { digest: 'sha512:01' }, 'deny'],
  ['for another unit', { scope: { units: ['research'] } }, 'deny'],
  ['for another rule', { rule: 'WEIR-TEST-002' }, 'deny'],
  ['for a rule that no longer exists', { rule: 'WEIR-GONE-001' }, 'deny'],
  ['for another major of the rule', { rule_major: 2 }, 'deny'],
  ['not yet in force', { not_before: NOW + 1 }, 'deny'],
  ['in force from this very second', { not_before: NOW }, 'allow'],
  ['expired this very second', { expires: NOW }, 'deny'],
  ['older than its rule lets any exception be', { not_before: NOW - 31 * 86_400 }, 'deny'],
  ['by the spoke, which may not lower the floor', { authority: 'spoke' }, 'deny'],
];
for (const [name, overrides, level] of EXCEPTIONS) {
  test(`an exception ${name} leaves ${level}`, async () => {
    const subject = await engine({ exceptions: exceptionsLayer([exception(overrides)]) });
    const [verdict] = subject.decide(inputOf(candidate('deny')));
    assert.equal(verdict?.level, level);
    assert.equal(verdict?.reasons[0]?.level, 'deny', 'the finding itself stays');
    assert.deepEqual(verdict?.exceptions, level === 'deny' ? [] : ['ex-1']);
  });
}

test('no exception lowers a rule that is not overridable', async () => {
  const subject = await engine({ exceptions: exceptionsLayer([exception({ rule: 'WEIR-TEST-004' })]) });
  assert.equal(subject.decide(inputOf(candidate('forbidden')))[0]?.level, 'deny');
});

test("a spoke's exception lowers an overlay rule that lets it", async () => {
  const exceptions = exceptionsLayer([exception({ rule: 'WEIR-OV-TEST-001', authority: 'spoke' })]);
  const subject = await engine({ overlay: overlayModule(STRICT_OVERLAY), exceptions });
  assert.equal(subject.decide(inputOf(candidate('strict')))[0]?.level, 'allow');
});

test('an overlay that names a floor rule gets no exception of that rule', async () => {
  const source = overlaySource(`
result := {"schema": input.schema, "findings": [{"candidate": 0, "rule": "WEIR-TEST-001", "level": "deny", "code": "c", "facts": {}}]}
`);
  const subject = await engine({ overlay: overlayModule(source), exceptions: exceptionsLayer([exception()]) });
  const [verdict] = subject.decide(inputOf(candidate('nothing')));
  assert.equal(verdict?.level, 'deny');
  assert.equal(verdict?.reasons[0]?.override, 'none');
});

test('staleness raises every verdict and no exception lowers it', async () => {
  const subject = await engine({ exceptions: exceptionsLayer([exception()]) });
  const levels = (['fresh', 'warn', 'restrict', 'deny'] as const).map((staleness) => {
    const input = inputOf(candidate('deny'));
    return subject.decide({ ...input, context: { ...input.context, staleness } })[0]?.level;
  });
  assert.deepEqual(levels, ['allow', 'warn', 'pending', 'deny']);
});

test('a verdict says when time alone may change it', async () => {
  const young = candidate('nothing', { published_at: NOW - 3600 });
  const known = await engine({ exceptions: exceptionsLayer([exception({ expires: NOW + 600 })]) });
  const hidden = await engine({
    exceptions: exceptionsLayer([exception({ not_before: NOW + 60, expires: NOW + 600 })]),
  });
  const plain = await engine({ settings: settings({ policy: { ...settings().policy, cooldown_hours: 0 } }) });
  assert.equal((await engine()).decide(inputOf(young))[0]?.valid_until, NOW - 3600 + 72 * 3600);
  assert.equal(known.decide(inputOf(young))[0]?.valid_until, NOW + 600);
  assert.equal(hidden.decide(inputOf(young))[0]?.valid_until, NOW + 60);
  assert.equal(plain.decide(inputOf(young))[0]?.valid_until, null);
});

test('a batch gives each candidate what it would get alone', async () => {
  const overlay = overlayModule(STRICT_OVERLAY);
  const words = ['nothing', 'warn', 'deny', 'strict', 'pending'];
  const many = Array.from({ length: 700 }, (_, i) =>
    candidate(words[i % words.length] as string, { version: `1.${i}.0` }),
  );
  const exceptions = exceptionsLayer([exception({ subject: 'pkg:npm/left-pad@1.2.0' })]);
  const [collapsing, plain] = await Promise.all(
    [false, true].map((readsVersion) => engine({ overlay, readsVersion, exceptions })),
  );
  const together = collapsing?.decide(inputOf(...many)) ?? [];
  assert.deepEqual(plain?.decide(inputOf(...many)), together);
  assert.equal(together.length, many.length);
  assert.equal(new Set(together.map((verdict) => verdict.input)).size, 1);
  for (const i of [0, 1, 2, 3, 4, 345, 699]) {
    const alone: Verdict | undefined = plain?.decide(inputOf(many[i] as Candidate))[0];
    assert.deepEqual({ ...together[i], input: '' }, { ...alone, input: '' });
  }
  assert.equal(together[2]?.level, 'allow', 'the one version with an exception');
  assert.equal(together[7]?.level, 'deny', 'its neighbours of equal evidence');
});

test('a rule that reads the version is asked about every version when the bundle says so', async () => {
  const source = overlaySource(`
result := {"schema": input.schema, "findings": findings}
findings contains {"candidate": i, "rule": "WEIR-OV-TEST-001", "level": "deny", "code": "c", "facts": {}} if {
	some i, c in input.candidates
	c.subject.version == "1.0.1"
}
`);
  const input = inputOf(candidate('nothing'), candidate('nothing', { version: '1.0.1' }));
  const subject = await engine({ overlay: overlayModule(source), readsVersion: true });
  assert.deepEqual(
    subject.decide(input).map(({ level }) => level),
    ['allow', 'deny'],
  );
});

test('a floor that fails denies, whatever exceptions there are', async () => {
  const events: EngineEvent[] = [];
  const subject = await engine({ exceptions: exceptionsLayer([exception()]), onEvent: (event) => events.push(event) });
  const input = { ...inputOf(candidate('nothing')), schema: 'weir.input/v9' as 'weir.input/v1' };
  const [verdict] = subject.decide(input);
  assert.equal(verdict?.level, 'deny');
  assert.equal(verdict?.floor_level, 'deny');
  assert.deepEqual(
    verdict?.reasons.map(({ layer, code, facts, override }) => ({ layer, code, facts, override })),
    [{ layer: 'host', code: 'floor_failed', facts: { failure: 'no_result' }, override: 'none' }],
  );
  assert.deepEqual(events, [
    { kind: 'layer_failed', layer: 'floor', failure: 'no_result', detail: 'result is undefined' },
  ]);
});

for (const level of ['pending', 'deny'] as const) {
  test(`an overlay that fails counts as ${level} where the settings say so`, async () => {
    const overlay = overlayModule(overlaySource('result := {"findings": []}'));
    const subject = await engine({ overlay, settings: settings({ on_overlay_error: level }) });
    const verdicts = subject.decide(inputOf(candidate('nothing'), candidate('forbidden')));
    assert.deepEqual(
      verdicts.map((verdict) => [verdict.level, verdict.floor_level, verdict.overlay_level]),
      [
        [level, 'allow', level],
        ['deny', 'deny', level],
      ],
    );
  });
}

test('an overlay that keeps failing is quarantined, also for the next bundle, and is not asked again', async () => {
  const overlay = overlayModule(overlaySource('result := {"findings": []}'));
  const strikes = createStrikes({ strikes: 3, forgivenAfter: 10 });
  const events: EngineEvent[] = [];
  const options = { overlay, strikes, onEvent: (event: EngineEvent) => void events.push(event) };
  const subject = await engine(options);
  const codes = Array.from(
    { length: 4 },
    () => subject.decide(inputOf(candidate('nothing')))[0]?.reasons[0]?.facts['failure'],
  );
  assert.deepEqual(codes, ['no_echo', 'no_echo', 'no_echo', 'quarantined']);
  assert.deepEqual(
    events
      .filter(({ kind }) => kind !== 'layer_failed')
      .map((event) => ('strikes' in event ? event.strikes : event.kind)),
    [1, 2, 3, 'quarantined'],
  );
  const next = await engine(options);
  const [verdict] = next.decide(inputOf(candidate('warn')));
  assert.equal(verdict?.level, 'pending');
  assert.equal(verdict?.floor_level, 'warn');
});

test('good answers make up for an old strike', async () => {
  const strikes = createStrikes({ strikes: 2, forgivenAfter: 3 });
  const digest = digestOf('an overlay');
  strikes.failed(digest);
  for (let i = 0; i < 3; i += 1) strikes.answered(digest);
  strikes.failed(digest);
  assert.equal(strikes.quarantined(digest), false);
  strikes.failed(digest);
  assert.equal(strikes.quarantined(digest), true);
});

test('an engine that was closed denies', async () => {
  const subject = await engine();
  subject.close();
  assert.equal(subject.decide(inputOf(candidate('nothing')))[0]?.level, 'deny');
});

test('no candidates give no verdicts', async () => {
  assert.deepEqual((await engine()).decide(inputOf()), []);
});

test('a self-test vector gets the layer output whole', async () => {
  const subject = await engine();
  const input = inputOf(candidate('warn')) as unknown as Parameters<typeof subject.evaluateLayer>[1];
  assert.deepEqual(subject.evaluateLayer('floor', input), {
    ok: true,
    output: {
      schema: 'weir.input/v1',
      findings: [{ candidate: 0, rule: 'WEIR-TEST-003', level: 'warn', code: 'noted', facts: {} }],
    },
  });
  assert.equal(subject.evaluateLayer('overlay', input).ok, false);
});

test('a module without the unit entrypoint is refused', async () => {
  await assert.rejects(engine({ overlay: floorModule() }), { code: 'engine_failed', message: /no entrypoint/ });
});
