import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Identities, Settings } from '@weir/shared/bundle/layers.ts';
import { formatToken, tokenHash } from '@weir/shared/domain/token.ts';
import { AUTHORIZATION_BYTES_MAX, createAuthenticator } from './authenticate.ts';

const NOW = 1_800_000_000;
const good = formatToken('payments', new Uint8Array(32).fill(1));
const old = formatToken('payments', new Uint8Array(32).fill(2));
const revoked = formatToken('payments', new Uint8Array(32).fill(3));
const foreign = formatToken('research', new Uint8Array(32).fill(4));

const identities: Identities = {
  schema: 'weir.identities/v1',
  unit: 'payments',
  tokens: [
    { id: 't1', sha256: tokenHash(good), principal: 'ci', kind: 'token', groups: ['builders'], expires: null },
    { id: 't2', sha256: tokenHash(old), principal: 'old', kind: 'token', groups: [], expires: NOW },
  ],
};

function settings(anonymous: boolean): Settings {
  return { unit: 'payments', anonymous } as Settings;
}

const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

const cases: readonly { name: string; header: string | undefined; anonymous?: boolean; expected: string }[] = [
  { name: 'bearer', header: `Bearer ${good}`, expected: 'ci' },
  { name: 'scheme in any case', header: `bearer ${good}`, expected: 'ci' },
  { name: 'basic with any user', header: basic('__token__', good), expected: 'ci' },
  { name: 'basic with the token as user', header: basic(good, ''), expected: 'ci' },
  { name: 'no credentials where tokens are required', header: undefined, expected: '401 missing' },
  { name: 'no credentials where anonymous is signed', header: undefined, anonymous: true, expected: 'anonymous' },
  {
    name: 'a wrong token is refused even where anonymous is signed',
    header: `Bearer ${revoked}`,
    anonymous: true,
    expected: '401 unknown',
  },
  { name: 'expired at this very second', header: `Bearer ${old}`, expected: '401 expired' },
  { name: 'another unit', header: `Bearer ${foreign}`, expected: '403 other_unit' },
  { name: 'not a token', header: 'Bearer hunter2', expected: '401 malformed' },
  { name: 'unknown scheme', header: `Digest ${good}`, expected: '401 malformed' },
  { name: 'basic without a colon', header: `Basic ${Buffer.from(good).toString('base64')}`, expected: '401 malformed' },
  { name: 'two tokens', header: `Bearer ${good} ${good}`, expected: '401 malformed' },
  { name: 'over-long', header: `Bearer ${'a'.repeat(AUTHORIZATION_BYTES_MAX)}`, expected: '401 malformed' },
];

for (const { name, header, anonymous = false, expected } of cases) {
  test(`authenticate: ${name}`, () => {
    const authenticator = createAuthenticator(identities, settings(anonymous));
    for (let round = 0; round < 2; round += 1) {
      const outcome = authenticator.authenticate(header, NOW);
      const text = outcome.kind === 'principal' ? outcome.principal.id : `${outcome.status} ${outcome.reason}`;
      assert.equal(text, expected);
    }
  });
}
