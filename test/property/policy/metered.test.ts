// Metering a module changes when it stops and nothing else: the metered module gives the very text that the original gives
// in the SDK, and the decision of OPA's own evaluator.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Json } from '@weir/shared/domain/json.ts';
import { encodeJson } from '@weir/shared/policy/input-bytes.ts';
import { FLOOR_ENTRYPOINT } from '@weir/shared/policy/input.ts';
import { meter } from '@weir/shared/policy/meter.ts';
import { OVERLAY_LIMITS, loadWasmLayer } from '@weir/shared/policy/wasm-layer.ts';
import { THREAD_TIME } from '../../policy/engine/fixtures.ts';
import { buildPolicy, opaPath } from '../../policy/engine/opa.ts';

/** Uses what Rego has, except what shows the order of hash tables (json.marshal of an object): regular expressions, sorting, strings, big arithmetic, sets, objects, recursion over JSON, base64. */
const SOURCE = `package weir.floor.main

result := {"schema": input.schema, "answers": answers}

answers contains {"sorted": sort([x | some x in input.list])}
answers contains {"matches": [x | some x in input.list; regex.match("^[a-f]+(1|2)?$", x)]}
answers contains {"upper": [upper(x) | some x in input.list; contains(x, "a")]}
answers contains {"sum": sum([n | some n in input.numbers]), "product": product([n | some n in input.numbers])}
answers contains {"div": [x | some n in input.numbers; x := 1000 / n]}
answers contains {"joined": concat("-", sort([x | some x in input.list]))}
answers contains {"walked": count([p | walk(input.deep, [p, _])])}
answers contains {"json": json.marshal(input.list), "base64": base64.encode(json.marshal(input.list))}
answers contains {"glob": [x | some x in input.list; glob.match("a*", [], x)]}
answers contains {"keys": sort([k | some k in object.keys(input.deep)])} if is_object(input.deep)
answers contains {"split": [part | some x in input.list; some part in split(x, "a")]}
answers contains {"cidr": net.cidr_contains("10.0.0.0/8", "10.1.2.3")}
`;
const MODULE = buildPolicy({ entrypoint: FLOOR_ENTRYPOINT, sources: { 'p.rego': SOURCE } });

const word = fc.string({ unit: fc.constantFrom('a', 'b', 'f', '1', '2', 'é', '😀', ' '), maxLength: 6 });
const { deep } = fc.letrec<{ deep: Json }>((tie) => ({
  deep: fc.oneof(
    { maxDepth: 3 },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    word,
    fc.array(tie('deep'), { maxLength: 3 }),
    fc.dictionary(word, tie('deep'), { maxKeys: 3, noNullPrototype: true }),
  ),
}));
const document = fc.record({
  schema: fc.constant('weir.input/v1'),
  list: fc.array(word, { maxLength: 8 }),
  numbers: fc.array(fc.integer({ min: -50, max: 50 }), { maxLength: 6 }),
  deep,
}) as fc.Arbitrary<Json>;

const layer = await loadWasmLayer({
  module: MODULE,
  entrypoint: FLOOR_ENTRYPOINT,
  data: encodeJson({}),
  limits: { ...OVERLAY_LIMITS, deadlineMs: 10_000 },
  clock: THREAD_TIME,
});

test('the metered module answers what the original answers, byte for byte', () => {
  const original = unmetered(MODULE);
  fc.assert(
    fc.property(document, (it) => {
      const input = encodeJson(it);
      assert.equal(layer.evaluateRaw(input), original(input.bytes));
    }),
    { numRuns: 500 },
  );
});

test("the metered module answers what OPA's own evaluator answers", () => {
  const documents = fc.sample(document, { numRuns: 20, seed: 7 });
  const folder = mkdtempSync(join(tmpdir(), 'weir-oracle-'));
  try {
    writeFileSync(join(folder, 'p.rego'), SOURCE);
    writeFileSync(join(folder, 'data.json'), JSON.stringify({ cases: documents }));
    const query = 'results := [r | some c in data.cases; r := data.weir.floor.main.result with input as c]';
    const args = ['eval', '-f', 'json', '-d', join(folder, 'p.rego'), '-d', join(folder, 'data.json'), query];
    const output = JSON.parse(execFileSync(opaPath(), args, { encoding: 'utf8' })) as {
      readonly result: readonly [{ readonly bindings: { readonly results: readonly unknown[] } }];
    };
    documents.forEach((it, i) => {
      const text = layer.evaluateRaw(encodeJson(it));
      assert.ok(typeof text === 'string');
      const [set] = JSON.parse(text) as readonly [{ readonly result: unknown }];
      assert.deepEqual(unordered(set.result), unordered(output.result[0].bindings.results[i]));
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a module that was cut off or altered anywhere is refused or stays valid wasm, and never throws', () => {
  fc.assert(
    fc.property(fc.nat({ max: MODULE.length - 1 }), fc.nat({ max: 255 }), fc.boolean(), (at, byte, cut) => {
      const altered = cut ? MODULE.slice(0, at) : Uint8Array.from(MODULE).fill(byte, at, at + 1);
      const metered = meter(altered);
      if (metered.ok && WebAssembly.validate(altered)) assert.equal(WebAssembly.validate(metered.bytes), true);
    }),
    { numRuns: 40 },
  );
});

/** Wasm lists sets and object keys in the order of its hash tables, OPA sorted: compared in one order. */
function unordered(value: unknown): unknown {
  const { answers } = value as { readonly answers: readonly unknown[] };
  return answers.map((answer) => JSON.stringify(sortKeys(answer))).toSorted();
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, inner]) => [key, sortKeys(inner)] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function refuse(): never {
  throw new Error('called the host');
}

/** The original in the plainest host there can be. */
function unmetered(bytes: Uint8Array): (input: Uint8Array) => string {
  const memory = new WebAssembly.Memory({ initial: 5, maximum: 512 });
  const env: WebAssembly.ModuleImports = { memory, opa_abort: refuse, opa_println: refuse };
  for (const n of [0, 1, 2, 3, 4]) env[`opa_builtin${n}`] = refuse;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env });
  const call = (name: string, ...args: readonly number[]): number =>
    (exports[name] as (...args: readonly number[]) => number)(...args);
  const place = (text: Uint8Array, at: number): void => new Uint8Array(memory.buffer, at, text.length).set(text);
  const data = call('opa_malloc', 2);
  place(Buffer.from('{}'), data);
  const dataAddress = call('opa_json_parse', data, 2);
  const heap = call('opa_heap_ptr_get');
  return (input) => {
    place(input, heap);
    const result = call('opa_eval', 0, 0, dataAddress, heap, input.length, heap + input.length, 0);
    const all = Buffer.from(memory.buffer);
    return all.toString('utf8', result, all.indexOf(0, result));
  };
}
