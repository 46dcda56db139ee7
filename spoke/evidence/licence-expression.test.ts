import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isUsable, licencesIn, licenceText, parseLicence } from './licence-expression.ts';

test('expressions are read with AND before OR and written with the parentheses they need', () => {
  const rows: readonly (readonly [string, string, readonly string[]])[] = [
    ['MIT', 'MIT', ['MIT']],
    [' ( MIT ) ', 'MIT', ['MIT']],
    ['MIT or Apache-2.0', 'MIT OR Apache-2.0', ['Apache-2.0', 'MIT']],
    ['A OR B AND C', 'A OR B AND C', ['A', 'B', 'C']],
    ['(A OR B) AND C', '(A OR B) AND C', ['A', 'B', 'C']],
    ['((A AND (B)))', 'A AND B', ['A', 'B']],
    ['GPL-2.0-only WITH Classpath-exception-2.0', 'GPL-2.0-only', ['GPL-2.0-only']],
    ['LGPL-2.1+ OR MIT', 'LGPL-2.1-or-later OR MIT', ['LGPL-2.1-or-later', 'MIT']],
    ['Apache-2.0+', 'Apache-2.0', ['Apache-2.0']],
    ['MIT OR MIT', 'MIT OR MIT', ['MIT']],
    ['The MIT License', 'MIT', ['MIT']],
  ];
  for (const [text, want, ids] of rows) {
    const expression = parseLicence(text);
    assert.ok(expression, text);
    assert.equal(licenceText(expression), want);
    assert.deepEqual(licencesIn(expression), ids);
  }
});

test('text that is no expression is not read', () => {
  for (const text of [
    '',
    ' ',
    '()',
    '(MIT',
    'MIT)',
    'MIT OR',
    'OR MIT',
    'MIT Apache-2.0',
    'MIT AND OR ISC',
    'GPL-2.0 WITH',
    'MIT/ISC',
    'MIT;',
    '+',
    'WITH',
    'é',
    `${'('.repeat(40)}MIT${')'.repeat(40)}`,
    'A '.repeat(200),
  ])
    assert.equal(parseLicence(text), undefined, text);
});

test('one acceptable way of using a release is enough', () => {
  const rows: readonly (readonly [string, boolean])[] = [
    ['MIT', true],
    ['BAD', false],
    ['BAD OR MIT', true],
    ['BAD AND MIT', false],
    ['BAD OR MIT AND BAD', false],
    ['(BAD OR MIT) AND ISC', true],
    ['(BAD OR MIT) AND (BAD OR BAD)', false],
  ];
  for (const [text, want] of rows) {
    const expression = parseLicence(text);
    assert.ok(expression);
    assert.equal(
      isUsable(expression, (id) => id === 'BAD'),
      want,
      text,
    );
  }
});
