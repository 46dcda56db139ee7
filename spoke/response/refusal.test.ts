import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Rules } from '@weir/shared/bundle/layers.ts';
import type { RequestCode } from '@weir/shared/domain/request-code.ts';
import type { Reason, Verdict } from '@weir/shared/domain/verdict.ts';
import { ERROR_CODES, WeirError } from '@weir/shared/errors/weir-error.ts';
import {
  advisedVersion,
  hiddenVersion,
  refusalOfAuthentication,
  refusalOfError,
  refusalOfRoute,
  refusalOfVerdict,
  viewEffect,
} from './refusal.ts';

const subject = { ecosystem: 'npm', namespace: '@acme', name: 'paint', version: '1.1.0' } as const;
const context = {
  code: '7K3MQ9ZD' as RequestCode,
  subject,
  requestUrl: 'https://weir.example.test/r/{code}',
  bundle: 'sha256:b',
};
const rules = {
  schema: 'weir.rules/v1',
  rules: [],
  texts: {
    cooldown: { title: 'Published too recently', detail: '{subject} is {hours} hours old.' },
    denied_licence: { title: 'Licence is not allowed', detail: 'Its licence is {licence}.' },
  },
} as unknown as Rules;

function reason(over: Partial<Reason>): Reason {
  return {
    layer: 'floor',
    rule: 'WEIR-AGE-001',
    code: 'cooldown',
    facts: { hours: 3 },
    level: 'deny',
    effective: 'deny',
    effect: 'hide+notice',
    override: 'hub',
    exception: '',
    ...over,
  };
}

function verdict(reasons: readonly Reason[], over: Partial<Verdict> = {}): Verdict {
  return {
    level: 'deny',
    floor_level: 'deny',
    overlay_level: 'allow',
    reasons,
    obligations: [],
    exceptions: [],
    bundle: 'sha256:b' as Verdict['bundle'],
    input: 'sha256:i' as Verdict['input'],
    engine: 'weir/1',
    valid_until: 1_800_000_000,
    ...over,
  };
}

const base = {
  code: '7K3MQ9ZD',
  purl: 'pkg:npm/%40acme/paint@1.1.0',
  rules: [],
  allowedInstead: '',
  retryAt: null,
  requestUrl: 'https://weir.example.test/r/7K3MQ9ZD',
  bundle: 'sha256:b',
};

test('one rule: its words, what instead, and when time lifts it', () => {
  assert.deepEqual(refusalOfVerdict(verdict([reason({})]), rules, '1.0.0', context), {
    ...base,
    status: 403,
    title: 'Published too recently',
    detail: '@acme/paint@1.1.0 is 3 hours old.',
    rules: ['WEIR-AGE-001'],
    allowedInstead: '1.0.0',
    retryAt: 1_800_000_000,
  });
});

const licence = {
  rule: 'WEIR-LIC-001',
  code: 'denied_licence',
  facts: { licence: 'SSPL-1.0' },
  effect: 'refuse',
} as const;

test('several rules: the heaviest speaks, floor before overlay, and time alone lifts nothing', () => {
  const reasons = [
    reason({ effective: 'warn', rule: 'WEIR-X-001' }),
    reason({ effective: 'pending', level: 'pending' }),
    reason({ ...licence, layer: 'overlay' }),
    reason({ ...licence, layer: 'floor', rule: 'WEIR-LIC-002' }),
  ];
  const refusal = refusalOfVerdict(verdict(reasons), rules, '', context);
  assert.equal(refusal.title, 'Licence is not allowed');
  assert.equal(refusal.detail, 'Its licence is SSPL-1.0. 2 other rules refuse it too.');
  assert.deepEqual(refusal.rules, ['WEIR-LIC-002', 'WEIR-LIC-001', 'WEIR-AGE-001']);
  assert.equal(refusal.retryAt, null);
});

test('a pending verdict says that it waits', () => {
  const pending = verdict([reason({ effective: 'pending', level: 'pending' })], { level: 'pending' });
  assert.match(refusalOfVerdict(pending, rules, '', context).detail, /hours old\. It waits for an approval\.$/);
});

test('a host reason and a verdict without reasons still have words', () => {
  const host = verdict([reason({ layer: 'host', rule: 'HOST', code: 'overlay_timeout', facts: {} })]);
  assert.equal(refusalOfVerdict(host, rules, '', context).title, 'Refused: overlay timeout');
  assert.notEqual(refusalOfVerdict(verdict([]), rules, '', context).detail, '');
});

test('the end of an exception is not a moment at which time lifts a refusal', () => {
  const lowered = verdict([reason({})], { exceptions: ['e1'] });
  assert.equal(refusalOfVerdict(lowered, rules, '', context).retryAt, null);
});

test('what time does not lift speaks first among equals', () => {
  const both = verdict([reason({}), reason({ ...licence, effective: 'deny' })]);
  const refusal = refusalOfVerdict(both, rules, '', context);
  assert.equal(refusal.title, 'Licence is not allowed');
  assert.deepEqual(refusal.rules, ['WEIR-LIC-001', 'WEIR-AGE-001']);
});

test('views: what hides, what hides with a word, what is shown', () => {
  assert.equal(viewEffect(verdict([reason({})])), 'hide+notice');
  assert.equal(viewEffect(verdict([reason({ effect: 'hide' })])), 'hide');
  assert.equal(viewEffect(verdict([reason({ effect: 'hide' }), reason({})])), 'hide+notice');
  assert.equal(viewEffect(verdict([reason(licence)])), 'show');
  assert.equal(viewEffect(verdict([reason({ effective: 'allow' })])), 'show');
  assert.deepEqual(hiddenVersion(verdict([reason({})]), rules, subject, context.code), {
    version: '1.1.0',
    code: '7K3MQ9ZD',
    rule: 'WEIR-AGE-001',
    why: 'Published too recently',
    notice: true,
  });
});

test('advice: what would have been refused, and warnings whose rule wants to be heard', () => {
  const told = { code: context.code, allowedInstead: '1.0.0' };
  const refused = verdict([reason({ ...licence, effective: 'warn' }), reason({})]);
  assert.deepEqual(advisedVersion(refused, rules, subject, told), {
    kind: 'would_refuse',
    version: '1.1.0',
    code: '7K3MQ9ZD',
    rule: 'WEIR-AGE-001',
    why: 'Published too recently',
    allowedInstead: '1.0.0',
  });
  const warned = verdict([reason({ ...licence, effective: 'warn', effect: 'warn' })], { level: 'warn' });
  assert.deepEqual(advisedVersion(warned, rules, subject, told), {
    kind: 'warned',
    version: '1.1.0',
    code: '7K3MQ9ZD',
    rule: 'WEIR-LIC-001',
    why: 'Licence is not allowed',
    allowedInstead: '',
  });
  const quiet = verdict([reason({ ...licence, effective: 'warn' })], { level: 'warn' });
  assert.equal(advisedVersion(quiet, rules, subject, told), undefined);
  assert.equal(advisedVersion(verdict([], { level: 'allow' }), rules, subject, told), undefined);
});

test('routes: publishing, unknown, unparsable, method', () => {
  const bare = { ...context, subject: undefined };
  const statusOf = (reasonCode: 'publish' | 'unknown_route' | 'unparsable' | 'method', mounted: boolean): number =>
    refusalOfRoute({ kind: 'refused', reason: reasonCode, detail: 'x' }, bare, mounted).status;
  assert.deepEqual(
    (['publish', 'unknown_route', 'unparsable', 'method'] as const).map((name) => statusOf(name, true)),
    [403, 403, 400, 405],
  );
  assert.equal(statusOf('unknown_route', false), 404);
  const route = { kind: 'refused', reason: 'unparsable', detail: 'the path has a \u0000 in it' } as const;
  assert.deepEqual(refusalOfRoute(route, bare, true), {
    ...base,
    purl: '',
    status: 400,
    title: 'Request is unparsable',
    detail: 'The path has a ? in it.',
  });
});

test('sign-in: every reason has its own words and keeps its status', () => {
  const reasons = ['missing', 'malformed', 'unknown', 'expired', 'other_unit'] as const;
  const texts = reasons.map((name) => refusalOfAuthentication({ reason: name, status: 401 }, context).detail);
  assert.equal(new Set(texts).size, reasons.length);
  assert.equal(refusalOfAuthentication({ reason: 'other_unit', status: 403 }, context).status, 403);
  // npm would take it for a one-time password prompt.
  for (const text of texts) assert.ok(!text.includes('one-time pass'));
});

test('errors: each code has a status; internals and causes stay out', () => {
  for (const code of ERROR_CODES) {
    const error = new WeirError(code, 'it broke', {
      cause: new Error('https://user:secret@internal.example.test'),
      internal: { host: 'internal.example.test' },
      next: 'try again later',
    });
    const refusal = refusalOfError(error, context);
    assert.ok(refusal.status >= 400 && refusal.status < 600);
    assert.equal(refusal.detail, 'It broke. Try again later.');
    assert.ok(!JSON.stringify(refusal).includes('internal.example.test'));
  }
});
