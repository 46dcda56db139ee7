// What the verifier refuses, and by which code. Every byte of an envelope counts.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { readEnvelope } from '@weir/shared/bundle/envelope.ts';
import { verifyEnvelope, type VerifyOptions } from '@weir/shared/bundle/verify.ts';
import { encodeTrustRoot, parseTrustRoot, trustRootOf } from '@weir/shared/bundle/trust-root.ts';
import type { Manifest } from '@weir/shared/bundle/manifest.ts';
import { BundleRefused, type NackCode } from '@weir/shared/bundle/refusal.ts';
import { canonicalJson } from '@weir/shared/crypto/canonical-json.ts';
import { digestOf } from '@weir/shared/domain/digest.ts';
import { forge, signAnything, withPayload, type LooseBundle } from './forge.ts';
import { newSigner, WORKSPACE } from './memory-hub.ts';

const NOW = 1_800_000_000;
const signer = newSigner();
const stranger = newSigner();
const trustRoot = trustRootOf(WORKSPACE, signer.publicKeyPem, NOW - 1000);
const options: VerifyOptions = {
  trustRoot,
  workspace: WORKSPACE,
  unit: 'payments',
  now: NOW,
  highWater: null,
  engineLevel: 1,
};

const LAYERS = ['floor', 'rules', 'intel', 'exceptions', 'identities', 'settings', 'selftest'] as const;
const skeleton: LooseBundle = {
  digest: digestOf(''),
  envelope: new Uint8Array(),
  layers: new Map(),
  manifest: {
    schema: 'weir.manifest/v1',
    workspace: WORKSPACE,
    unit: 'payments',
    epoch: 1,
    version: 5,
    prev: null,
    issued_at: NOW,
    expires: NOW + 1000,
    layers: LAYERS.map((name) => ({
      name,
      media_type: name === 'floor' ? 'application/wasm' : `application/vnd.weir.${name}.v1+json`,
      digest: digestOf(name),
      size: 1,
    })),
    min_engine: 'weir/1',
    reads_version: false,
  },
};
let genuine: LooseBundle;
before(async () => {
  genuine = await forge(skeleton, signer, {});
});

function nackOf(work: () => unknown): NackCode {
  try {
    work();
  } catch (thrown) {
    assert.ok(thrown instanceof BundleRefused, `threw ${String(thrown)}`);
    return thrown.nack;
  }
  return assert.fail('was accepted');
}

/** The genuine statement, changed. */
function statement(change: (value: Record<string, unknown>) => void): Uint8Array {
  const value = JSON.parse(new TextDecoder().decode(readEnvelope(genuine.envelope).payload)) as Record<string, unknown>;
  change(value);
  return new TextEncoder().encode(canonicalJson(value));
}

test('a genuine envelope passes every check, in order', () => {
  const verified = verifyEnvelope(genuine.envelope, options);
  assert.deepEqual(verified.manifest, skeleton.manifest);
  assert.equal(verified.digest, genuine.digest);
  assert.equal(verified.keyId, signer.keyId);
  assert.deepEqual(verified.steps, [
    'size',
    'envelope',
    'key',
    'signature',
    'statement',
    'manifest',
    'engine',
    'audience',
    'validity',
    'rollback',
  ]);
});

test('no byte of an envelope can be changed', () => {
  for (let at = 0; at < genuine.envelope.length; at += 1) {
    for (const bit of [1, 0x20, 0x80]) {
      const flipped = genuine.envelope.slice();
      flipped[at] = (flipped[at] ?? 0) ^ bit;
      assert.throws(() => verifyEnvelope(flipped, options), BundleRefused, `byte ${at}, bit ${bit}`);
    }
  }
});

test('no byte can be added or taken away', () => {
  const spaced = Buffer.concat([genuine.envelope, Buffer.from('\n')]);
  assert.equal(
    nackOf(() => verifyEnvelope(spaced, options)),
    'bad_envelope',
  );
  assert.equal(
    nackOf(() => verifyEnvelope(genuine.envelope.slice(0, -1), options)),
    'bad_envelope',
  );
  assert.equal(
    nackOf(() => verifyEnvelope(new Uint8Array(2 << 20), options)),
    'bad_envelope',
  );
  assert.equal(
    nackOf(() => verifyEnvelope(new Uint8Array(), options)),
    'bad_envelope',
  );
});

describe('envelopes of another shape are refused', () => {
  type Mutable = Record<string, Record<string, unknown>>;
  const changes: readonly [string, (envelope: Mutable) => void][] = [
    ['an unknown field', (e) => void (e['extra'] = {})],
    ['an unknown field inside', (e) => void ((e['dsseEnvelope'] as Mutable)['extra'] = {})],
    [
      'another media type',
      (e) => void ((e as Record<string, unknown>)['mediaType'] = 'application/vnd.dev.sigstore.bundle.v9.9+json'),
    ],
    [
      'an older media type',
      (e) =>
        void ((e as Record<string, unknown>)['mediaType'] = 'application/vnd.dev.sigstore.bundle+json;version=0.2'),
    ],
    ['no signature', (e) => void ((e['dsseEnvelope'] as Record<string, unknown>)['signatures'] = [])],
    [
      'two signatures',
      (e) => {
        const dsse = e['dsseEnvelope'] as Record<string, unknown[]>;
        dsse['signatures'] = [...(dsse['signatures'] ?? []), ...(dsse['signatures'] ?? [])];
      },
    ],
    [
      'another payload type',
      (e) => void ((e['dsseEnvelope'] as Record<string, unknown>)['payloadType'] = 'application/json'),
    ],
    [
      'a certificate',
      (e) => void ((e['verificationMaterial'] as Record<string, unknown>)['certificate'] = { rawBytes: 'AAAA' }),
    ],
    ['a log entry', (e) => void ((e['verificationMaterial'] as Record<string, unknown>)['tlogEntries'] = [{}])],
    [
      'a timestamp',
      (e) =>
        void ((e['verificationMaterial'] as Record<string, unknown>)['timestampVerificationData'] = {
          rfc3161Timestamps: [],
        }),
    ],
  ];
  for (const [name, change] of changes) {
    test(name, () => {
      const envelope = JSON.parse(new TextDecoder().decode(genuine.envelope)) as Mutable;
      change(envelope);
      const bytes = new TextEncoder().encode(canonicalJson(envelope));
      assert.equal(
        nackOf(() => verifyEnvelope(bytes, options)),
        'bad_envelope',
      );
    });
  }
  for (const text of ['null', '[]', '{}', '"x"', 'not json']) {
    test(text, () =>
      assert.equal(
        nackOf(() => verifyEnvelope(Buffer.from(text), options)),
        'bad_envelope',
      ),
    );
  }
});

describe('keys', () => {
  test('a stranger’s key is unknown', async () => {
    const forged = await forge(skeleton, stranger, {});
    assert.equal(
      nackOf(() => verifyEnvelope(forged.envelope, options)),
      'unknown_key',
    );
  });
  test('a stranger’s signature under a trusted hint does not verify', async () => {
    const forged = await signAnything(Buffer.from('{}'), { ...stranger, keyId: signer.keyId });
    assert.equal(
      nackOf(() => verifyEnvelope(forged, options)),
      'bad_signature',
    );
  });
  test('another statement under a genuine signature does not verify', () => {
    const swapped = withPayload(genuine.envelope, Buffer.from('{"a":1}'));
    assert.equal(
      nackOf(() => verifyEnvelope(swapped, options)),
      'bad_signature',
    );
  });
  const [key] = trustRoot.keys;
  assert.ok(key !== undefined);
  const roots: readonly [string, Partial<typeof key>, NackCode][] = [
    ['a revoked key', { status: 'revoked' }, 'revoked_key'],
    ['a key of the past', { not_after: NOW - 1 }, 'revoked_key'],
    ['a key of the future', { not_before: NOW + 1000 }, 'revoked_key'],
  ];
  for (const [name, change, nack] of roots) {
    test(`${name} is refused`, () => {
      const root = { ...trustRoot, keys: [{ ...key, ...change }] };
      assert.equal(
        nackOf(() => verifyEnvelope(genuine.envelope, { ...options, trustRoot: root })),
        nack,
      );
    });
  }
  test('the trust root of another workspace is refused', () => {
    const root = { ...trustRoot, workspace: 'other' };
    assert.equal(
      nackOf(() => verifyEnvelope(genuine.envelope, { ...options, trustRoot: root })),
      'wrong_workspace',
    );
  });
});

describe('manifests', () => {
  const [first, ...others] = skeleton.manifest.layers;
  assert.ok(first !== undefined);
  const cases: readonly [string, Partial<Record<keyof Manifest, unknown>>, NackCode][] = [
    ['for another unit', { unit: 'research' }, 'wrong_audience'],
    ['for another workspace', { workspace: 'other' }, 'wrong_workspace'],
    ['expired', { issued_at: NOW - 10, expires: NOW }, 'expired'],
    ['of the future', { issued_at: NOW + 301, expires: NOW + 1000 }, 'not_yet_valid'],
    ['for a newer engine', { min_engine: 'weir/2' }, 'engine_too_old'],
    ['with an unknown field', { extra: true } as Record<string, unknown>, 'bad_manifest'],
    ['of another schema', { schema: 'weir.manifest/v2' }, 'bad_manifest'],
    ['with version 0', { version: 0 }, 'bad_manifest'],
    ['with a broken version', { version: 1.5 }, 'bad_manifest'],
    ['with an epoch of text', { epoch: '1' }, 'bad_manifest'],
    ['that ends before it begins', { expires: NOW }, 'bad_manifest'],
    ['without a layer that is needed', { layers: others }, 'bad_manifest'],
    ['with a layer twice', { layers: [first, ...skeleton.manifest.layers] }, 'bad_manifest'],
    ['with a foreign media type', { layers: [{ ...first, media_type: 'text/plain' }, ...others] }, 'bad_manifest'],
    ['with an oversized layer', { layers: [{ ...first, size: (4 << 20) + 1 }, ...others] }, 'oversized_layer'],
    ['with a bad digest', { layers: [{ ...first, digest: 'sha256:00' }, ...others] }, 'bad_manifest'],
  ];
  for (const [name, manifest, nack] of cases) {
    test(`${name} is ${nack}`, async () => {
      const forged = await forge(skeleton, signer, { manifest }).catch((error: unknown) => assert.fail(String(error)));
      assert.equal(
        nackOf(() => verifyEnvelope(forged.envelope, options)),
        nack,
      );
    });
  }

  const statements: readonly [string, (statement: Record<string, unknown>) => void][] = [
    ['another statement type', (s) => void (s['_type'] = 'https://in-toto.io/Statement/v0.1')],
    ['another predicate type', (s) => void (s['predicateType'] = 'urn:other')],
    ['fewer subjects than layers', (s) => void (s['subject'] = (s['subject'] as unknown[]).slice(1))],
    ['subjects in another order', (s) => void (s['subject'] = (s['subject'] as unknown[]).toReversed())],
    ['an unknown field', (s) => void (s['extra'] = 1)],
  ];
  for (const [name, change] of statements) {
    test(`a signed statement with ${name} is refused`, async () => {
      const envelope = await signAnything(statement(change), signer);
      assert.equal(
        nackOf(() => verifyEnvelope(envelope, options)),
        'bad_manifest',
      );
    });
  }
  test('a signed statement that is not canonical is refused', async () => {
    const pretty = Buffer.from(
      JSON.stringify(JSON.parse(new TextDecoder().decode(statement(() => undefined))), null, 1),
    );
    const envelope = await signAnything(pretty, signer);
    assert.equal(
      nackOf(() => verifyEnvelope(envelope, options)),
      'bad_manifest',
    );
  });
});

describe('order', () => {
  const mark = { epoch: 1, version: 5, digest: digestOf('other') };
  const cases: readonly [string, Partial<Manifest>, NackCode | null][] = [
    ['an older version', { version: 4 }, 'rollback'],
    ['the same version with other content', { version: 5 }, 'rollback'],
    ['a newer version', { version: 6 }, null],
    ['a newer epoch with a lower version', { epoch: 2, version: 1 }, null],
  ];
  for (const [name, manifest, nack] of cases) {
    test(`${name} ${nack === null ? 'passes' : 'is a rollback'}`, async () => {
      const { envelope } = await forge(skeleton, signer, { manifest });
      if (nack === null) verifyEnvelope(envelope, { ...options, highWater: mark });
      else
        assert.equal(
          nackOf(() => verifyEnvelope(envelope, { ...options, highWater: mark })),
          nack,
        );
    });
  }
  test('an older epoch is a rollback whatever its version', async () => {
    const { envelope } = await forge(skeleton, signer, { manifest: { version: 99 } });
    const highWater = { ...mark, epoch: 2, version: 1 };
    assert.equal(
      nackOf(() => verifyEnvelope(envelope, { ...options, highWater })),
      'rollback',
    );
  });
  test('the marked bundle itself, and one known from disk, pass', () => {
    const highWater = { epoch: 1, version: 9, digest: genuine.digest };
    verifyEnvelope(genuine.envelope, { ...options, highWater });
    verifyEnvelope(genuine.envelope, {
      ...options,
      highWater: { ...mark, version: 9 },
      known: new Set([genuine.digest]),
    });
  });
});

describe('trust roots', () => {
  const text = new TextDecoder().decode(encodeTrustRoot(trustRoot));
  test('one is read as it was written', () => assert.deepEqual(parseTrustRoot(Buffer.from(text)), trustRoot));
  const [key] = trustRoot.keys;
  const bad: readonly [string, unknown][] = [
    ['without keys', { ...trustRoot, keys: [] }],
    ['with a key twice', { ...trustRoot, keys: [key, key] }],
    ['with a wrong id', { ...trustRoot, keys: [{ ...key, id: 'AAAA' }] }],
    ['with an unknown algorithm', { ...trustRoot, keys: [{ ...key, algorithm: 'rsa' }] }],
    ['with an unknown role', { ...trustRoot, keys: [{ ...key, role: 'witness' }] }],
    ['without a start', { ...trustRoot, keys: [{ ...key, not_before: undefined }] }],
    ['with an unknown field', { ...trustRoot, more: 1 }],
    ['with a key that is none', { ...trustRoot, keys: [{ ...key, public_key: 'x' }] }],
  ];
  for (const [name, root] of bad) {
    test(`one ${name} is refused`, () => {
      assert.throws(() => parseTrustRoot(Buffer.from(JSON.stringify(root))), { name: 'WeirError', code: 'untrusted' });
    });
  }
});
