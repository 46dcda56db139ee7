// Every way in which OPA's wasm SDK or ABI is known to fail open, hang or corrupt itself, and what the wrapper does instead.

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { INPUT_LIMITS, encodeInput, encodeJson } from '@weir/shared/policy/input-bytes.ts';
import { FLOOR_ENTRYPOINT, type PolicyInput } from '@weir/shared/policy/input.ts';
import type { LayerFailure } from '@weir/shared/policy/layer-answer.ts';
import { type LayerLimits, OVERLAY_LIMITS, type WasmLayer, loadWasmLayer } from '@weir/shared/policy/wasm-layer.ts';
import { ABORT, EVAL, PRINTLN, asm, assemble } from './assemble.ts';
import { THREAD_TIME, candidate, floorModule, inputOf, word } from './fixtures.ts';
import { buildPolicy } from './opa.ts';

const ONE = encodeInput(inputOf(candidate('deny'))).whole;

function layerOf(module: Uint8Array, limits: Partial<LayerLimits> = {}, data = encodeJson({})): Promise<WasmLayer> {
  const all = { ...OVERLAY_LIMITS, ...limits };
  return loadWasmLayer({ module, entrypoint: FLOOR_ENTRYPOINT, data, limits: all, clock: THREAD_TIME });
}

function policy(body: string, flags: readonly string[] = []): Uint8Array {
  return buildPolicy({
    entrypoint: FLOOR_ENTRYPOINT,
    sources: { 'p.rego': `package weir.floor.main\n\n${body}\n` },
    flags,
  });
}

async function failureOf(module: Uint8Array, limits: Partial<LayerLimits> = {}): Promise<LayerFailure | 'none'> {
  const answer = (await layerOf(module, limits)).evaluate(ONE, 1);
  return answer.ok ? 'none' : answer.failure;
}

const NOT_INPUTS: readonly (readonly [string, unknown])[] = [
  ['malformed JSON in an ArrayBuffer', new TextEncoder().encode('{"schema":').buffer],
  ['well-formed JSON in an ArrayBuffer', new TextEncoder().encode('{"schema":"weir.input/v1"}').buffer],
  ['a Buffer', Buffer.from('{"schema":"weir.input/v1"}')],
  ['a Uint8Array', new TextEncoder().encode('{"schema":"weir.input/v1"}')],
  ['a string', '{"schema":"weir.input/v1"}'],
  ['an object', { schema: 'weir.input/v1' }],
  ['an object that looks like canonical bytes', { bytes: Buffer.from('{}') }],
  ['null', null],
  ['false', false],
  ['0', 0],
  ['the empty string', ''],
  ['undefined', undefined],
];
for (const [name, value] of NOT_INPUTS) {
  test(`${name} is no input`, async () => {
    const layer = await layerOf(floorModule());
    assert.deepEqual(layer.evaluate(value as never, 1), {
      ok: false,
      failure: 'bad_output',
      detail: 'input is not canonical bytes',
    });
  });
}

const UNSPEAKABLE: readonly (readonly [string, (input: PolicyInput) => PolicyInput, string])[] = [
  ['NaN', (input) => ({ ...input, context: { ...input.context, now: Number.NaN } }), 'invalid_argument'],
  ['infinity', (input) => ({ ...input, context: { ...input.context, now: Infinity } }), 'invalid_argument'],
  [
    'an integer beyond 2^53',
    (input) => ({ ...input, context: { ...input.context, now: 2 ** 53 } }),
    'invalid_argument',
  ],
  ['a lone surrogate', (input) => ({ ...input, actor: { ...input.actor, id: '\ud800' } }), 'invalid_argument'],
  ['undefined', (input) => ({ ...input, actor: { ...input.actor, id: undefined as never } }), 'invalid_argument'],
  ['a nesting of 20,000', (input) => withValue(input, nested(20_000)), 'too_large'],
  ['a function', (input) => withValue(input, (() => 1) as never), 'invalid_argument'],
];
for (const [name, change, code] of UNSPEAKABLE) {
  test(`${name} never becomes input bytes`, () => {
    assert.throws(() => encodeInput(change(inputOf(candidate('nothing')))), { code });
  });
}

test('a nesting within the limit is spoken and evaluated', async () => {
  const input = withValue(inputOf(candidate('nothing')), nested(INPUT_LIMITS.depth - 2));
  assert.deepEqual((await layerOf(floorModule())).evaluate(encodeInput(input).whole, 1), { ok: true, findings: [] });
});

test('text that looks like JSON stays text', async () => {
  const name = '"},"evidence":{"word":{"value":{"text":"deny"}}},"x":{"y":"';
  const input = inputOf(candidate('nothing', { name }));
  assert.equal(JSON.parse(Buffer.from(encodeInput(input).whole.bytes).toString()).candidates[0].subject.name, name);
  assert.deepEqual((await layerOf(floorModule())).evaluate(encodeInput(input).whole, 1), { ok: true, findings: [] });
});

test('a policy that is undefined for the input has no result', async () => {
  assert.equal(
    await failureOf(policy('result := {"schema": input.schema, "findings": []} if input.nowhere')),
    'no_result',
  );
});

const NO_ECHO = ['true', '{"findings": []}', '{"schema": "weir.input/v2", "findings": []}', '[]', '"allow"', 'null'];
for (const result of NO_ECHO) {
  test(`the result ${result} does not echo the schema`, async () => {
    assert.equal(await failureOf(policy(`result := ${result}`)), 'no_echo');
  });
}

test('an echo that was written down instead of read is still held to its findings', async () => {
  assert.equal(await failureOf(policy('result := {"schema": "weir.input/v1"}')), 'bad_output');
});

const FINDING = '{"candidate": 0, "rule": "WEIR-A-001", "level": "deny", "code": "c", "facts": {}}';
const BAD_OUTPUTS: readonly (readonly [string, string])[] = [
  ['an unknown field beside the findings', '{"schema": input.schema, "findings": [], "allow": true}'],
  ['findings that are an object', '{"schema": input.schema, "findings": {"a": 1}}'],
  ['a finding that is a string', '{"schema": input.schema, "findings": ["deny"]}'],
  ['a finding without facts', withFinding({}, ['facts'])],
  ['a finding with a field of its own', withFinding({ lower: '"allow"' })],
  ['a finding of level allow', withFinding({ level: '"allow"' })],
  ['a finding of level Deny', withFinding({ level: '"Deny"' })],
  ['a finding of a numeric level', withFinding({ level: '-1' })],
  ['a finding of a negative candidate', withFinding({ candidate: '-1' })],
  ['a finding of a candidate past the end', withFinding({ candidate: '1' })],
  ['a finding of half a candidate', withFinding({ candidate: '0.5' })],
  ['a finding of candidate "0"', withFinding({ candidate: '"0"' })],
  ['a finding of a rule of the host', withFinding({ rule: '"WEIR-HOST-002"' })],
  ['a finding of a rule with a foreign name', withFinding({ rule: '"allow-everything"' })],
  ['a finding with a code of markup', withFinding({ code: '"<b>"' })],
  ['facts that are a list', withFinding({ facts: '[]' })],
  ['facts with a prototype key', withFinding({ facts: '{"__proto__": {"level": "allow"}}' })],
  [
    'facts over their size',
    withFinding({ facts: '{"a": concat("", [x | some i in numbers.range(1, 3000); x := "a"])}' }),
  ],
  [
    'facts with too many keys',
    withFinding({ facts: '{k: 1 | some i in numbers.range(1, 40); k := concat("", ["k", format_int(i, 10)])}' }),
  ],
];
for (const [name, result] of BAD_OUTPUTS) {
  test(`${name} fails the whole answer`, async () => {
    assert.equal(await failureOf(policy(`result := ${result}`)), 'bad_output');
  });
}

test('a well-formed finding passes', async () => {
  const layer = await layerOf(policy(`result := {"schema": input.schema, "findings": [${FINDING}]}`));
  assert.deepEqual(layer.evaluate(ONE, 1), {
    ok: true,
    findings: [{ candidate: 0, rule: 'WEIR-A-001', level: 'deny', code: 'c', facts: {} }],
  });
});

test('after a throw the instance is made anew and keeps its data', async () => {
  const module = policy(`
result := {"schema": input.schema, "findings": findings}
findings contains {"candidate": 0, "rule": "WEIR-A-001", "level": "deny", "code": data.code, "facts": {}} if not bomb
bomb if count([x | input.candidates[0].evidence.word.value.text == "bomb"; some a in numbers.range(1, 3000); x := numbers.range(1, 3000)]) > 1
`);
  const layer = await layerOf(module, { memoryPages: 64, deadlineMs: 60_000 }, encodeJson({ code: 'kept' }));
  const bomb = encodeInput(inputOf(candidate('bomb'))).whole;
  const codes = [ONE, bomb, ONE, bomb, bomb, ONE].map((input) => {
    const answer = layer.evaluate(input, 1);
    return answer.ok ? answer.findings[0]?.code : answer.failure;
  });
  assert.deepEqual(codes, ['kept', 'memory', 'kept', 'memory', 'memory', 'kept']);
});

test('data beyond the maximum memory refuses the module', async () => {
  const data = encodeJson({ list: Array.from({ length: 50_000 }, (_, i) => `name-${i}`) });
  await assert.rejects(layerOf(floorModule(), { memoryPages: 16 }, data), { code: 'engine_failed' });
});

test('an input beyond the maximum memory fails as memory and the next one is answered', async () => {
  const layer = await layerOf(floorModule(), { memoryPages: 8, inputBytes: 1 << 30, deadlineMs: 60_000 });
  const large = Array.from({ length: 4000 }, (_, i) => candidate('nothing', { version: `1.0.${i}` }));
  const answer = layer.evaluate(encodeInput(inputOf(...large)).whole, large.length);
  assert.equal(answer.ok ? 'none' : answer.failure, 'memory');
  assert.equal(layer.evaluate(ONE, 1).ok, true);
});

test('an input over the limit is not evaluated', async () => {
  assert.equal(await failureOf(floorModule(), { inputBytes: 10 }), 'input_too_large');
});

for (const call of [
  'semver.compare("1.0.0", "2.0.0")',
  'time.now_ns()',
  'sprintf("%d", [1])',
  'regex.split("a", "b")',
]) {
  test(`a module that needs ${call.split('(')[0]} from the host is refused at load`, async () => {
    const module = policy(`result := {"schema": input.schema, "findings": [], "x": ${call}}`);
    await assert.rejects(layerOf(module), { code: 'engine_failed', message: /needs built-ins of the host/ });
  });
}

test('a call of a host built-in that the table hides ends the evaluation', async () => {
  const module = assemble({ evaluate: [...asm.const(7), ...asm.call(ABORT), ...asm.const(0)] });
  assert.equal(await failureOf(module), 'threw');
});

test('printing goes nowhere', async (context) => {
  const log = context.mock.method(console, 'log', () => undefined);
  const error = context.mock.method(console, 'error', () => undefined);
  const layer = await layerOf(assemble({ evaluate: [...asm.const(1024), ...asm.call(PRINTLN), ...asm.const(1024)] }));
  assert.deepEqual(layer.evaluate(ONE, 1), { ok: true, findings: [] });
  assert.equal(log.mock.callCount() + error.mock.callCount(), 0);
  mock.reset();
});

test('an abort, which the SDK throws as a string, is a failure with its text', async () => {
  const module = policy(`
result := {"schema": input.schema, "findings": [{k: v | some i, k in ["a", "a"]; v := i}]}
`);
  const answer = (await layerOf(module)).evaluate(ONE, 1);
  assert.equal(answer.ok, false);
  assert.deepEqual(answer.ok ? {} : { failure: answer.failure, text: answer.detail.length > 0 }, {
    failure: 'threw',
    text: true,
  });
});

test('a result over its byte cap is not read', async () => {
  const module = policy('result := {"schema": input.schema, "findings": numbers.range(1, 100000)}');
  assert.equal(await failureOf(module, { outputBytes: 65_536, deadlineMs: 60_000 }), 'output_too_large');
});

const HAND_MADE: readonly (readonly [string, Uint8Array, LayerFailure])[] = [
  ['loops without end', assemble({ evaluate: [...asm.forever, ...asm.const(0)] }), 'timeout'],
  [
    'loops without end through printing',
    assemble({ evaluate: [...asm.repeat([...asm.const(64), ...asm.call(PRINTLN)]), ...asm.const(0)] }),
    'timeout',
  ],
  [
    'loops without end asking for no memory',
    assemble({ evaluate: [...asm.repeat([...asm.memoryGrow(0), ...asm.drop]), ...asm.const(0)] }),
    'timeout',
  ],
  [
    'asks for fuel itself for ever',
    assemble({ evaluate: [...asm.repeat([...asm.const(-1), ...asm.call(ABORT)]), ...asm.const(0)] }),
    'timeout',
  ],
  [
    'recurses without end',
    assemble({ evaluate: [...[0, 1, 2, 3, 4, 5, 6].flatMap((i) => [0x20, i]), ...asm.call(EVAL)] }),
    'stack',
  ],
  ['traps', assemble({ evaluate: asm.unreachable }), 'threw'],
  ['points behind its memory', assemble({ evaluate: asm.const(0x7fff_ffff) }), 'output_too_large'],
  ['points before its memory', assemble({ evaluate: asm.const(-5) }), 'output_too_large'],
  [
    'aborts with a text outside its memory',
    assemble({ evaluate: [...asm.const(-5), ...asm.call(ABORT), ...asm.const(0)] }),
    'threw',
  ],
  ['answers what is not JSON', assemble({ answer: 'NaN' }), 'bad_output'],
  ['answers two results', assemble({ answer: '[{"result":1},{"result":2}]' }), 'bad_output'],
  ['answers an object', assemble({ answer: '{"result":1}' }), 'bad_output'],
  ['answers nothing', assemble({ answer: '' }), 'bad_output'],
];
for (const [name, module, failure] of HAND_MADE) {
  test(`a module that ${name} ends as ${failure}, and so does its next evaluation`, async () => {
    const layer = await layerOf(module);
    const answers = [layer.evaluate(ONE, 1), layer.evaluate(ONE, 1)];
    assert.deepEqual(
      answers.map((answer) => (answer.ok ? 'none' : answer.failure)),
      [failure, failure],
    );
  });
}

test('a module of this making is accepted when it behaves', async () => {
  assert.deepEqual((await layerOf(assemble())).evaluate(ONE, 1), { ok: true, findings: [] });
});

/** Counts its calls at address 8: the first is answered with the table, every later one with an address outside the memory. */
const ONCE = [
  ...asm.const(8),
  ...asm.const(8),
  ...asm.load,
  ...asm.const(1),
  ...asm.addAndStore,
  ...asm.const(64),
  ...asm.const(0x7fff_ffff),
  ...asm.const(8),
  ...asm.load,
  ...asm.const(2),
  ...asm.lessThanSelect,
];

/** Its own time is over, or on a busy machine everybody's first. */
const PAST_A_LIMIT = /ran past its|did not return within/;
const REFUSED: readonly (readonly [string, Uint8Array, RegExp])[] = [
  ['is no wasm', Buffer.from('policy'), /not valid wasm/],
  ['ends early', assemble().subarray(0, 200), /not valid wasm/],
  ['has an older abi', assemble({ abiMinor: 1 }), /abi 1.2/],
  ['declares host built-ins', assemble({ builtins: '{"http.send":0}' }), /needs built-ins of the host: http.send/],
  ['loops while it names its entrypoints', assemble({ entrypoints: [...asm.forever, ...asm.const(0)] }), PAST_A_LIMIT],
  ['names its entrypoints outside its memory to the SDK alone', assemble({ entrypoints: ONCE }), /did not return/],
  ['names its entrypoints outside its memory', assemble({ entrypoints: asm.const(-5) }), /no readable table/],
  ['loops in its start function', assemble({ start: asm.forever }), /start function ran out of fuel/],
  ['brings its own memory', assemble({ extraSection: [5, [1, 0, 1]] }), /own memory/],
  ['imports from elsewhere', assemble({ extraImport: ['wasi', 'clock'] }), /imports from "wasi"/],
  ['imports a global', assemble({ extraImport: ['env', 'now'] }), /imports "now"/],
  [
    'moves memory in bulk',
    assemble({ evaluate: [...[0, 0, 0].flatMap(asm.const), 0xfc, 0x0b, 0x00, ...asm.const(0)] }),
    /bulk memory/,
  ],
  [
    'calls in tail position',
    assemble({ evaluate: [...[0, 1, 2, 3, 4, 5, 6].flatMap((i) => [0x20, i]), 0x12, EVAL] }),
    /instruction 0x12/,
  ],
  [
    'writes a global that only metering adds',
    assemble({ evaluate: [...asm.const(1), 0x24, 2, ...asm.const(0)] }),
    /not valid wasm/,
  ],
];
for (const [name, module, why] of REFUSED) {
  test(`a module that ${name} is refused`, async () => {
    await assert.rejects(layerOf(module), { code: 'engine_failed', message: why });
  });
}

function nested(depth: number): never {
  let value: unknown = 1;
  for (let i = 0; i < depth; i += 1) value = [value];
  return value as never;
}

function withValue(input: PolicyInput, value: never): PolicyInput {
  const evidence = {
    ...word('nothing'),
    odd: { state: 'hit', severity: 'low', value: { value }, reason: '' },
  } as const;
  return { ...input, candidates: input.candidates.map((one) => ({ ...one, evidence })) };
}

function withFinding(overrides: Readonly<Record<string, string>>, without: readonly string[] = []): string {
  const fields = { candidate: '0', rule: '"WEIR-A-001"', level: '"deny"', code: '"c"', facts: '{}', ...overrides };
  const entries = Object.entries(fields).filter(([key]) => !without.includes(key));
  return `{"schema": input.schema, "findings": [{${entries.map(([key, value]) => `"${key}": ${value}`).join(', ')}}]}`;
}
