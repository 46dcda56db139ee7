import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asciiLine, printableLine } from './sanitise.ts';

const cases: readonly { name: string; text: string; printable: string; ascii: string }[] = [
  { name: 'plain', text: 'left-pad 1.3.0', printable: 'left-pad 1.3.0', ascii: 'left-pad 1.3.0' },
  { name: 'line breaks', text: 'a\r\nSet-Cookie: b', printable: 'a Set-Cookie: b', ascii: 'a Set-Cookie: b' },
  { name: 'terminal escape', text: 'a\u001b[2Jb', printable: 'a?[2Jb', ascii: 'a?[2Jb' },
  { name: 'NUL', text: 'a\0b', printable: 'a?b', ascii: 'a?b' },
  { name: 'right-to-left override', text: 'a\u202eb', printable: 'a?b', ascii: 'a?b' },
  { name: 'C1 control', text: 'a\u009bb', printable: 'a?b', ascii: 'a?b' },
  { name: 'letters of the world', text: 'grüße 界', printable: 'grüße 界', ascii: 'gr??e ?' },
  { name: 'surrogate half', text: 'a\ud800b', printable: 'a?b', ascii: 'a?b' },
  { name: 'only blanks', text: ' \t\n ', printable: '', ascii: '' },
];
for (const { name, text, printable, ascii } of cases) {
  test(`sanitise: ${name}`, () => {
    assert.equal(printableLine(text, 100), printable);
    assert.equal(asciiLine(text, 100), ascii);
  });
}

test('cuts to the limit, never through a character', () => {
  assert.equal(printableLine('abcdef', 4), 'abc…');
  assert.equal(asciiLine('abcdef', 5), 'ab...');
  assert.equal(printableLine('ab😀cd', 4), 'ab…');
  assert.equal(printableLine('x'.repeat(1_000_000), 10).length, 10);
});
