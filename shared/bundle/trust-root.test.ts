import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import { COSIGNATURE_V1, ED25519, formatVkey, rawPublicKey, type SignatureType } from '../audit/tlog/note.ts';
import { encodeTrustRoot, parseTrustRoot, receiptKeysOf, TRUST_ROOT_LIMITS, trustRootOf } from './trust-root.ts';

const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = publicKey.export({ format: 'pem', type: 'spki' });

function receiptKey(name = 'hub.trial.weir/audit-mirror', type: SignatureType = COSIGNATURE_V1): string {
  return formatVkey(name, rawPublicKey(generateKeyPairSync('ed25519').publicKey), type);
}

describe('receipt keys of a trust root', () => {
  test('are kept through writing and reading', () => {
    const keys = [receiptKey(), receiptKey()];
    const root = parseTrustRoot(encodeTrustRoot(trustRootOf('trial', pem, 0, keys)));
    assert.deepEqual(root.receipt_keys, keys);
    assert.deepEqual(
      receiptKeysOf(root).map(({ name, type }) => [name, type]),
      keys.map(() => ['hub.trial.weir/audit-mirror', COSIGNATURE_V1]),
    );
  });

  test('are absent from old documents, whose bytes stay what they were', () => {
    const root = trustRootOf('trial', pem, 0);
    assert.equal('receipt_keys' in root, false);
    assert.deepEqual(receiptKeysOf(parseTrustRoot(encodeTrustRoot(root))), []);
  });

  const twice = receiptKey();
  for (const [what, keys] of [
    ['of another workspace', [receiptKey('hub.other.weir/audit-mirror')]],
    ['that signs logs', [receiptKey(undefined, ED25519)]],
    ['named twice', [twice, twice]],
    ['that is no key', ['hub.trial.weir/audit-mirror+00000000+BA==']],
    ['beyond the limit', Array.from({ length: TRUST_ROOT_LIMITS.receiptKeys + 1 }, () => receiptKey())],
  ] as const) {
    test(`are refused: one ${what}`, () => {
      const text = JSON.stringify({ ...trustRootOf('trial', pem, 0), receipt_keys: keys });
      assert.throws(() => parseTrustRoot(Buffer.from(text)), { code: 'untrusted' });
    });
  }
});
