// Two ways to ask a layer: the compiled module in the engine that spokes run, and OPA over the sources. That both give the
// same answer is what the self-test vectors are about.

import type { Settings } from '@weir/shared/bundle/layers.ts';
import type { Json } from '@weir/shared/domain/json.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { encodeJson } from '@weir/shared/policy/input-bytes.ts';
import { FLOOR_LIMITS, loadWasmLayer, type WasmLayer } from '@weir/shared/policy/wasm-layer.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { OpaFolder } from './opa.ts';
import type { AnswerAll, Question } from './vectors.ts';

/** Throws `engine_failed`, saying why, for a module that a spoke's engine would not load. */
export async function acceptModule(
  module: Uint8Array,
  entrypoint: string,
  clock: Pick<Clock, 'monotonicMs'>,
): Promise<void> {
  (await loadWasmLayer({ module, entrypoint, data: encodeJson({}), limits: FLOOR_LIMITS, clock })).close();
}

/** Asks the compiled module; a failure of any kind is no answer. Throws `engine_failed` for a module that spokes would refuse. */
export function wasmAnswers(module: Uint8Array, entrypoint: string, clock: Pick<Clock, 'monotonicMs'>): AnswerAll {
  return async (questions) => {
    const layers = new Map<Settings, WasmLayer>();
    try {
      const answers: (Json | undefined)[] = [];
      for (const { settings, input } of questions) {
        let layer = layers.get(settings);
        if (layer === undefined) {
          const data = encodeJson({ settings: settings as unknown as Json });
          layer = await loadWasmLayer({ module, entrypoint, data, limits: FLOOR_LIMITS, clock });
          layers.set(settings, layer);
        }
        const text = layer.evaluateRaw(encodeJson(input));
        answers.push(typeof text === 'string' ? resultOf(text) : undefined);
      }
      return answers;
    } finally {
      for (const layer of layers.values()) layer.close();
    }
  };
}

/** Asks `opa eval` over the folder's sources, all questions in one run. */
export function opaAnswers(folder: OpaFolder, sources: readonly string[], entrypoint: string): AnswerAll {
  return async (questions) => {
    if (questions.length === 0) return [];
    const target = `data.${entrypoint.replaceAll('/', '.')}`;
    // The values are bound to variables first: `with input as q.input` silently yields nothing in OPA 1.22.
    const query = `{key: r | some i, q in input.questions; key := format_int(i, 10); document := q.input; under := q.settings; r := ${target} with input as document with data.settings as under}`;
    const { status, stdout, stderr } = await folder.run(
      [
        'eval',
        '--format',
        'json',
        '--stdin-input',
        '--strict-builtin-errors',
        ...sources.flatMap((path) => ['--data', path]),
        query,
      ],
      JSON.stringify({ questions } satisfies { questions: readonly Question[] }),
    );
    if (status !== 0) {
      throw new WeirError('engine_failed', 'opa could not evaluate the self-test vectors', {
        internal: { stdout, stderr },
      });
    }
    const answered = JSON.parse(stdout) as {
      result?: readonly [{ expressions: readonly [{ value: Record<string, Json> }] }];
    };
    const byIndex = answered.result?.[0].expressions[0].value ?? {};
    return questions.map((_, index) => byIndex[String(index)]);
  };
}

function resultOf(text: string): Json | undefined {
  const [set] = JSON.parse(text) as readonly [{ readonly result: Json }?];
  return set?.result;
}
