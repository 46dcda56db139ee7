import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FACTS_DEPTH_MAX, rowSchema } from '../audit/row-schema.ts';
import { decodeOutput } from './decode-output.ts';
import { INPUT_SCHEMA } from './input.ts';

/** A result with one finding whose facts are a list nested so many levels deep inside their object. */
function withLists(levels: number): { readonly text: string; readonly facts: unknown } {
  const facts = `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`;
  const finding = `{"candidate":0,"rule":"WEIR-DEEP-001","level":"deny","code":"deep","facts":${facts}}`;
  return {
    text: `[{"result":{"schema":"${INPUT_SCHEMA}","findings":[${finding}]}}]`,
    facts: JSON.parse(facts),
  };
}

for (const levels of [1, FACTS_DEPTH_MAX - 1, FACTS_DEPTH_MAX, FACTS_DEPTH_MAX + 20]) {
  test(`facts with ${levels} levels of lists are answered only if a row can hold them`, () => {
    const { text, facts } = withLists(levels);
    const answer = decodeOutput(text, 1);
    assert.equal(answer.ok, levels < FACTS_DEPTH_MAX);
    assert.equal(rowSchema.shape.rules.element.shape.facts.safeParse(facts).success, answer.ok);
    if (!answer.ok) assert.equal(answer.failure, 'bad_output');
  });
}
