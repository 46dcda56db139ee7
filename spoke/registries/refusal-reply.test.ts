import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestCode } from '@weir/shared/domain/request-code.ts';
import type { Refusal } from './adapter.ts';
import { PHRASE_CHARS_MAX, problemBody, reasonPhrase, refusalHeaders, refusalMessage } from './refusal-reply.ts';

const refusal: Refusal = {
  status: 403,
  title: 'Published too recently',
  detail: 'It is 3 hours old.',
  code: '7K3MQ9ZD' as RequestCode,
  purl: 'pkg:npm/%40acme/paint@2.0.0',
  rules: ['WEIR-AGE-001'],
  allowedInstead: '1.1.0',
  retryAt: null,
  requestUrl: '',
  bundle: '',
};

const phrases: readonly { name: string; over: Partial<Refusal>; expected: string }[] = [
  {
    name: 'everything fits',
    over: {},
    expected: 'Weir refused @acme/paint@2.0.0: Published too recently [WEIR-AGE-001], allowed 1.1.0, code 7K3MQ9ZD',
  },
  {
    name: 'a title that does not fit is left out whole',
    over: { title: 'x'.repeat(60) },
    expected: 'Weir refused @acme/paint@2.0.0 [WEIR-AGE-001], allowed 1.1.0, code 7K3MQ9ZD',
  },
  {
    name: 'a long name is cut, its version is not',
    over: { purl: `pkg:npm/${'n'.repeat(200)}@10.20.30-rc.1` },
    expected: `Weir refused ${'n'.repeat(32)}..@10.20.30-rc.1: Published too recently, code 7K3MQ9ZD`,
  },
  {
    name: 'no subject',
    over: { purl: '', rules: [], allowedInstead: '' },
    expected: 'Weir refused this request: Published too recently, code 7K3MQ9ZD',
  },
  {
    name: 'a failure',
    over: { status: 502, title: 'Upstream registry failed', rules: [], allowedInstead: '' },
    expected: 'Weir: Upstream registry failed for @acme/paint@2.0.0, code 7K3MQ9ZD',
  },
  {
    name: 'letters beyond ASCII',
    over: { title: 'Zu jung für uns' },
    expected: 'Weir refused @acme/paint@2.0.0: Zu jung f?r uns [WEIR-AGE-001], allowed 1.1.0, code 7K3MQ9ZD',
  },
];
for (const { name, over, expected } of phrases) {
  test(`reason phrase: ${name}`, () => {
    assert.equal(reasonPhrase({ ...refusal, ...over }), expected);
  });
}

test('a reason phrase is always one short line of ASCII', () => {
  const wild = {
    ...refusal,
    title: '\r\né'.repeat(100),
    purl: `pkg:npm/${'%F0%9F%98%80'.repeat(50)}@${'9'.repeat(300)}`,
    rules: ['\n'.repeat(300)],
  };
  for (const status of [401, 403, 502]) {
    const phrase = reasonPhrase({ ...wild, status });
    assert.ok(phrase.length <= PHRASE_CHARS_MAX && /^[\x20-\x7e]+$/.test(phrase), phrase);
  }
});

test('the message ends with what to do', () => {
  const full = { ...refusal, retryAt: 1_800_000_000, requestUrl: 'https://weir.example.test/r/7K3MQ9ZD' };
  assert.equal(
    refusalMessage(full),
    'It is 3 hours old. It may be allowed from 2027-01-15 08:00 UTC. Nearest allowed version: 1.1.0. ' +
      'Read more or ask: https://weir.example.test/r/7K3MQ9ZD The whole story: weir why 7K3MQ9ZD',
  );
  assert.equal(refusalMessage({ ...refusal, code: '', allowedInstead: '' }), 'It is 3 hours old.');
});

test('body and headers say the same, and nothing may keep them', () => {
  const body = JSON.parse(problemBody(refusal).toString()) as Record<string, unknown>;
  for (const alias of ['detail', 'error', 'message']) assert.equal(body[alias], refusalMessage(refusal));
  assert.equal(body['instance'], '/r/7K3MQ9ZD');
  assert.deepEqual(refusalHeaders({ ...refusal, rules: ['A', 'B\r\nX: 1'] }), [
    ['content-type', 'application/problem+json'],
    ['cache-control', 'no-store'],
    ['x-weir-code', '7K3MQ9ZD'],
    ['x-weir-rule', 'A, B??X: 1'],
  ]);
});
