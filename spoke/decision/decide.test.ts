// The input document that the decision stage builds, whole.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Settings } from '@weir/shared/bundle/layers.ts';
import type { PolicyInput } from '@weir/shared/policy/input.ts';
import { type DecisionRequest, policyInput, promisedDigest } from './decide.ts';

const SETTINGS = { mode: 'warn', environment: 'ci', labels: { tier: 'gold' } } as unknown as Settings;
const PLACE = { workspace: 'acme', unit: 'payments', site: 'berlin' };
const REQUEST: DecisionRequest = {
  action: 'install',
  enforcementPoint: 'registry-proxy',
  ecosystem: 'npm',
  registry: 'npm',
  client: 'pnpm',
  principal: { id: 'token-1', kind: 'token', groups: ['payments-devs'], mfa: false },
  at: 1_800_000_000,
  staleness: 'warn',
  candidates: [
    {
      coordinate: { ecosystem: 'npm', namespace: '@scope', name: 'name', version: '1.0.0' },
      digest: 'sha512:ab',
      size: 10,
      publishedAt: null,
      evidence: { age: { state: 'unknown', severity: 'none', value: {}, reason: 'no_publish_time' } },
      approvals: [],
    },
  ],
};

test('the input says who asks for what, where, when and what is known of it', () => {
  const expected: PolicyInput = {
    schema: 'weir.input/v1',
    request: {
      action: 'install',
      enforcement_point: 'registry-proxy',
      ecosystem: 'npm',
      registry: 'npm',
      client: 'pnpm',
    },
    actor: { id: 'token-1', kind: 'token', groups: ['payments-devs'], mfa: false },
    unit: { workspace: 'acme', unit: 'payments', site: 'berlin', environment: 'ci', labels: { tier: 'gold' } },
    context: { now: 1_800_000_000, staleness: 'warn', mode: 'warn' },
    candidates: [
      {
        subject: {
          purl: 'pkg:npm/%40scope/name@1.0.0',
          namespace: '@scope',
          name: 'name',
          version: '1.0.0',
          digest: 'sha512:ab',
          size: 10,
          published_at: null,
        },
        evidence: { age: { state: 'unknown', severity: 'none', value: {}, reason: 'no_publish_time' } },
        approvals: [],
      },
    ],
  };
  assert.deepEqual(policyInput(SETTINGS, PLACE, REQUEST), expected);
});

test('the strongest promised digest is the one that counts', () => {
  assert.equal(promisedDigest({ sha1: 'a', sha256: 'b', sha512: 'c' }), 'sha512:c');
  assert.equal(promisedDigest({ sha1: 'a', sha256: 'b' }), 'sha256:b');
  assert.equal(promisedDigest({ sha1: 'a' }), 'sha1:a');
  assert.equal(promisedDigest({}), '');
});
