// Self-test vectors: documents with the exact answer that a layer must give. The author's vectors are checked when a tree
// is published, in the compiled module and in OPA itself; each bundle then carries the same documents with the answers
// under its own unit's settings, so that a spoke proves its engine before it trusts it.

import { z } from 'zod';
import { settingsSchema, type Settings } from '@weir/shared/bundle/layers.ts';
import { canonicalJson } from '@weir/shared/crypto/canonical-json.ts';
import type { Json } from '@weir/shared/domain/json.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { SourceFile } from '../store/policy-store.ts';
import type { GateFinding } from './gate-finding.ts';

export const VECTOR_LIMITS = {
  /** Vectors of one tree. */
  vectors: 200,
  /** Characters of one input. */
  inputCharacters: 64 << 10,
} as const;

const json = z.json() as z.ZodType<Json>;

const vectorFile = z.strictObject({
  schema: z.literal('weir.selftest/v1'),
  /** Settings under which the expected answers hold; each vector may bring its own. */
  settings: settingsSchema.optional(),
  vectors: z.array(
    z.strictObject({
      name: z.string().min(1).max(120),
      layer: z.enum(['floor', 'overlay']).optional(),
      settings: settingsSchema.optional(),
      input: json,
      output: json,
    }),
  ),
});

export interface Vector {
  readonly file: string;
  readonly name: string;
  readonly settings: Settings;
  readonly input: Json;
  readonly output: Json;
}

export type VectorLayer = 'floor' | 'overlay';

/** Reads `selftest/*.json`. */
export function readVectors(
  files: readonly SourceFile[],
  layer: VectorLayer,
): { readonly vectors: readonly Vector[]; readonly findings: readonly GateFinding[] } {
  const vectors: Vector[] = [];
  const findings: GateFinding[] = [];
  const names = new Set<string>();
  for (const { path, content } of files) {
    const object = (message: string): void => void findings.push({ gate: 'selftest', file: path, line: 0, message });
    const parsed = vectorFile.safeParse(parseJson(content));
    if (!parsed.success) {
      for (const issue of parsed.error.issues.slice(0, 10)) object(`${issue.path.join('.')}: ${issue.message}`);
      continue;
    }
    for (const { name, settings, input, output, layer: of } of parsed.data.vectors) {
      const under = settings ?? parsed.data.settings;
      if (of !== undefined && of !== layer) object(`${name} is for the other layer`);
      else if (under === undefined) object(`${name} has no settings`);
      else if (names.has(name)) object(`${name} is there twice`);
      else if (canonicalJson(input).length > VECTOR_LIMITS.inputCharacters) object(`${name} has too large an input`);
      else vectors.push({ file: path, name, settings: under, input, output });
      names.add(name);
    }
  }
  if (vectors.length > VECTOR_LIMITS.vectors) {
    findings.push({ gate: 'selftest', file: '', line: 0, message: `more than ${VECTOR_LIMITS.vectors} vectors` });
  }
  return { vectors, findings };
}

/** One question to a layer. */
export interface Question {
  readonly settings: Settings;
  readonly input: Json;
}

/** Answers in the order of the questions; undefined where the layer has no result. */
export type AnswerAll = (questions: readonly Question[]) => Promise<readonly (Json | undefined)[]>;

/** Findings for vectors that the module or OPA answer otherwise than expected. */
export async function vectorFindings(
  vectors: readonly Vector[],
  engines: { readonly wasm: AnswerAll; readonly opa: AnswerAll },
): Promise<readonly GateFinding[]> {
  const findings: GateFinding[] = [];
  for (const engine of ['wasm', 'opa'] as const) {
    const answers = await engines[engine](vectors);
    for (const [index, vector] of vectors.entries()) {
      const answer = answers[index];
      if (answer !== undefined && canonicalJson(answer) === canonicalJson(vector.output)) continue;
      const got = answer === undefined ? 'nothing' : canonicalJson(answer).slice(0, 200);
      findings.push({
        gate: 'selftest',
        file: vector.file,
        line: 0,
        message: `vector ${vector.name}: ${engine === 'wasm' ? 'the compiled module' : 'opa'} answers ${got}`,
      });
    }
  }
  return findings;
}

/** A vector as a bundle carries it. */
export interface LayerVector {
  readonly name: string;
  readonly layer: VectorLayer;
  readonly input: Json;
  readonly output: Json;
}

/**
 * The vectors of a bundle: every document with the answer under these settings, on which module and OPA must agree.
 * Throws `engine_failed` when they do not.
 */
export async function vectorsUnder(
  settings: Settings,
  layer: VectorLayer,
  documents: readonly { readonly name: string; readonly input: Json }[],
  engines: { readonly wasm: AnswerAll; readonly opa: AnswerAll },
): Promise<readonly LayerVector[]> {
  const questions = documents.map(({ input }) => ({ settings, input }));
  const [wasm, opa] = [await engines.wasm(questions), await engines.opa(questions)];
  return documents.map(({ name, input }, index) => {
    const [a, b] = [wasm[index], opa[index]];
    if (a === undefined || b === undefined || canonicalJson(a) !== canonicalJson(b)) {
      throw new WeirError('engine_failed', `the compiled ${layer} and opa disagree on self-test vector ${name}`);
    }
    return { name, layer, input, output: a };
  });
}

function parseJson(content: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(content));
  } catch {
    return undefined; // the schema refuses it with a finding
  }
}
