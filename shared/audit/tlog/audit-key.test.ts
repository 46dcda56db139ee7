import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { auditKeyFault, checkAuditKey } from './audit-key.ts';
import { rawPublicKey } from './note.ts';

// Every 32-byte string whose point has low order, in every spelling.
const LOW_ORDER: readonly (readonly [string, string])[] = [
  ['neutral point', '0100000000000000000000000000000000000000000000000000000000000000'],
  ['neutral point, sign bit on x = 0', '0100000000000000000000000000000000000000000000000000000000000080'],
  ['order 2', 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
  ['order 2, sign bit on x = 0', 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff'],
  ['order 4', '0000000000000000000000000000000000000000000000000000000000000000'],
  ['order 4, other sign', '0000000000000000000000000000000000000000000000000000000000000080'],
  ['order 8', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
  ['order 8, other sign', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85'],
  ['order 8, other y', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
  ['order 8, other y and sign', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa'],
];

const NOT_CANONICAL: readonly (readonly [string, string])[] = [
  ['y = p, order 4', 'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
  ['y = p, other sign', 'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff'],
  ['y = p + 1, neutral point', 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
  ['y = p + 1, sign bit on x = 0', 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff'],
  ['y = p + 3', 'f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
  ['y = 2^255 - 1', 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
  ['all bits', 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff'],
];

for (const [name, hex] of LOW_ORDER) {
  test(`refuses ${name}`, () => assert.equal(auditKeyFault(Buffer.from(hex, 'hex')), 'its point is of low order'));
}

for (const [name, hex] of NOT_CANONICAL) {
  test(`refuses ${name}`, () => {
    assert.equal(auditKeyFault(Buffer.from(hex, 'hex')), 'its point is not in canonical form');
  });
}

for (const length of [0, 31, 33, 64]) {
  test(`refuses ${length} bytes`, () => {
    assert.equal(auditKeyFault(new Uint8Array(length)), `it is ${length} bytes, not 32`);
    assert.throws(() => checkAuditKey(new Uint8Array(length)), { code: 'invalid_argument' });
  });
}

test('accepts keys as they are made, the base point, and the neighbours of what it refuses', () => {
  for (let i = 0; i < 50; i += 1) {
    assert.equal(auditKeyFault(rawPublicKey(generateKeyPairSync('ed25519').publicKey)), undefined);
  }
  for (const hex of [
    '5866666666666666666666666666666666666666666666666666666666666666',
    '0300000000000000000000000000000000000000000000000000000000000000',
    'eaffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ]) {
    checkAuditKey(Buffer.from(hex, 'hex'));
  }
});

test('leaves the bytes it was given as they were', () => {
  const raw = Uint8Array.from({ length: 32 }, (_, at) => at);
  auditKeyFault(raw);
  assert.deepEqual(
    raw,
    Uint8Array.from({ length: 32 }, (_, at) => at),
  );
});
