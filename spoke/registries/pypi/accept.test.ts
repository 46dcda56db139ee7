import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseRepresentation } from './accept.ts';

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';
const HTML_TYPE = 'application/vnd.pypi.simple.v1+html';

const CASES: readonly (readonly [accept: string | undefined, expected: string])[] = [
  [undefined, 'html'],
  ['', 'html'],
  ['*/*', 'html'],
  ['text/html', 'html'],
  ['text/*', 'html'],
  [JSON_TYPE, 'json'],
  [HTML_TYPE, 'html-v1'],
  [`${JSON_TYPE}, ${HTML_TYPE}; q=0.1, text/html; q=0.01`, 'json'],
  [`${JSON_TYPE},${HTML_TYPE};q=0.2,text/html;q=0.01`, 'json'],
  [`text/html, ${JSON_TYPE};q=0.5`, 'html'],
  [`${HTML_TYPE};q=0.9, ${JSON_TYPE};q=0.8`, 'html-v1'],
  [`text/html;q=0.5, ${JSON_TYPE};q=0.5`, 'json'],
  [`${JSON_TYPE};q=0, */*`, 'html'],
  [`${JSON_TYPE};q=0`, 'html'],
  [`*/*, ${JSON_TYPE}`, 'json'],
  [`${JSON_TYPE};q=0.5, */*`, 'html'],
  ['application/vnd.pypi.simple.latest+json', 'json'],
  ['image/png', 'html'],
  [`${JSON_TYPE};q=many`, 'html'],
  [`${JSON_TYPE};q=-1, text/html;q=0.1`, 'html'],
  [',,;q=1,;;', 'html'],
  ['application/json', 'html'],
];

for (const [accept, expected] of CASES) {
  test(`Accept: ${accept ?? '(none)'} is answered in ${expected}`, () => {
    assert.equal(chooseRepresentation(accept, ''), expected);
  });
}

test('the format parameter wins over the header when it names a form', () => {
  assert.equal(chooseRepresentation('text/html', `format=${encodeURIComponent(JSON_TYPE)}`), 'json');
  assert.equal(chooseRepresentation(JSON_TYPE, 'format=nonsense'), 'json');
});
