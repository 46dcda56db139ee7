import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Rules } from '@weir/shared/bundle/layers.ts';
import type { JsonObject } from '@weir/shared/domain/json.ts';
import { DETAIL_CHARS_MAX, renderText, TITLE_CHARS_MAX } from './texts.ts';

const subject = { ecosystem: 'npm', namespace: '@acme', name: 'paint', version: '1.1.0' } as const;

function rules(title: string, detail: string): Rules {
  return {
    schema: 'weir.rules/v1',
    rules: [{ id: 'WEIR-AGE-001', title: 'Release is younger than the cooldown', description: 'Wait a little.' }],
    texts: { cooldown: { title, detail } },
  } as unknown as Rules;
}

const render = (detail: string, facts: JsonObject, title = 'T'): ReturnType<typeof renderText> =>
  renderText(rules(title, detail), { rule: 'WEIR-AGE-001', code: 'cooldown', facts }, subject);

const cases: readonly { name: string; template: string; facts: JsonObject; detail: string }[] = [
  {
    name: 'facts and subject',
    template: '{subject} is {hours} hours old, {required_hours} are required.',
    facts: { hours: 3.149, required_hours: 72 },
    detail: '@acme/paint@1.1.0 is 3.1 hours old, 72 are required.',
  },
  { name: 'purl', template: '{purl}', facts: {}, detail: 'pkg:npm/%40acme/paint@1.1.0.' },
  {
    name: 'a time',
    template: 'from {mature_at}',
    facts: { mature_at: 1_800_000_000 },
    detail: 'from 2027-01-15 08:00 UTC.',
  },
  { name: 'a list', template: '{names}', facts: { names: ['a', 'b', 3, true] }, detail: 'a, b, 3, yes.' },
  {
    name: 'a long list',
    template: '{n}',
    facts: { n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] },
    detail: '1, 2, 3, 4, 5, 6, 7, 8, 2 more.',
  },
  { name: 'a missing fact', template: '{gone}!', facts: {}, detail: 'unknown!' },
  { name: 'an object fact', template: '{o}', facts: { o: { a: 1 } }, detail: 'unknown.' },
  { name: 'a fact that plays the subject', template: '{name}', facts: { name: 'react' }, detail: '@acme/paint.' },
  { name: 'a fact that holds a placeholder', template: '{a}', facts: { a: '{version}' }, detail: '{version}.' },
  { name: 'a fact that holds an escape', template: '{a}', facts: { a: '\u001b[31mred\n' }, detail: '?[31mred.' },
  { name: 'an inherited name', template: '{constructor}', facts: {}, detail: 'unknown.' },
];
for (const { name, template, facts, detail } of cases) {
  test(`texts: ${name}`, () => {
    assert.equal(render(template, facts).detail, detail);
  });
}

test('a code without a text falls back to the rule, a rule without metadata to a plain sentence', () => {
  const catalogue = rules('T', 'D');
  assert.deepEqual(renderText(catalogue, { rule: 'WEIR-AGE-001', code: 'other', facts: {} }, subject), {
    title: 'Release is younger than the cooldown',
    detail: 'Wait a little.',
  });
  assert.deepEqual(renderText(catalogue, { rule: 'NONE', code: 'constructor', facts: {} }, subject), {
    title: 'Refused by policy',
    detail: 'A policy of this unit refuses it.',
  });
});

test('titles are short ASCII, details short', () => {
  const text = render('{a}'.repeat(100), { a: 'é'.repeat(500) }, '{a}{a}');
  assert.ok(text.title.length <= TITLE_CHARS_MAX && /^[\x20-\x7e]+$/.test(text.title));
  assert.ok(text.detail.length <= DETAIL_CHARS_MAX);
});
