import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { bindLogKey, openBinding } from './log-binding.ts';
import { logOrigin, spokeKeyName } from './names.ts';
import { COSIGNATURE_V1, createNoteSigner, rawPublicKey, signNote } from './note.ts';

const WORKSPACE = 'weir';
const LOG = 'payments.edge-1.w0.e1';
const spokeKey = generateKeyPairSync('ed25519').privateKey;
const logKey = generateKeyPairSync('ed25519').privateKey;
const spoke = { workspace: WORKSPACE, unit: 'payments', spoke: 'edge-1' };
const { vkey } = createNoteSigner(logOrigin(WORKSPACE, LOG), logKey);
const binding = bindLogKey({ ...spoke, log: LOG, vkey }, spokeKey);
const publicKey = rawPublicKey(spokeKey);
const signer = createNoteSigner(spokeKeyName(WORKSPACE, 'payments', 'edge-1'), spokeKey);

test('a log’s key is believed on the word of the enrolled key', () => {
  assert.deepEqual(openBinding(binding, { ...spoke, publicKey }), { log: LOG, vkey });
});

for (const [name, change] of [
  ['another unit', { unit: 'research' }],
  ['another spoke', { spoke: 'edge-2' }],
  ['another workspace', { workspace: 'other' }],
  ['another enrolled key', { publicKey: rawPublicKey(logKey) }],
  ['a key of low order', { publicKey: Buffer.alloc(32) }],
  ['a key of 31 bytes', { publicKey: publicKey.subarray(1) }],
] as const) {
  test(`for ${name} the binding is refused`, () => {
    assert.throws(() => openBinding(binding, { ...spoke, publicKey, ...change }), { code: 'untrusted' });
  });
}

const HEADER = 'weir-log-binding/v1';
const vkeyOf = (log: string, type?: typeof COSIGNATURE_V1) =>
  createNoteSigner(logOrigin(WORKSPACE, log), logKey, type).vkey;
for (const [name, text] of [
  ['another header', `weir-log-binding/v2\n${LOG}\n${vkey}\n`],
  ['no key', `${HEADER}\n${LOG}\n`],
  ['a line too many', `${HEADER}\n${LOG}\n${vkey}\nmore\n`],
  ['a log of another spoke', `${HEADER}\npayments.edge-2.w0.e1\n${vkeyOf('payments.edge-2.w0.e1')}\n`],
  ['a log of another unit', `${HEADER}\nresearch.edge-1.w0.e1\n${vkeyOf('research.edge-1.w0.e1')}\n`],
  ['no log id', `${HEADER}\npayments.edge-1\n${vkeyOf('payments.edge-1')}\n`],
  ['the key of another log', `${HEADER}\n${LOG}\n${vkeyOf('payments.edge-1.w1.e1')}\n`],
  ['a cosigning key', `${HEADER}\n${LOG}\n${vkeyOf(LOG, COSIGNATURE_V1)}\n`],
  ['a key that is none', `${HEADER}\n${LOG}\n${vkey.slice(0, -4)}\n`],
] as const) {
  test(`a note with ${name} binds nothing, though the spoke signed it`, () => {
    assert.throws(() => openBinding(signNote(text, signer), { ...spoke, publicKey }), { code: 'untrusted' });
  });
}

for (const [name, log, key] of [
  ['of another spoke', 'payments.edge-2.w0.e1', vkeyOf('payments.edge-2.w0.e1')],
  ['that is none', 'payments', vkey],
  ['with the key of another', 'payments.edge-1.w1.e1', vkey],
] as const) {
  test(`a log ${name} is not bound`, () => {
    assert.throws(() => bindLogKey({ ...spoke, log, vkey: key }, spokeKey), { code: 'invalid_argument' });
  });
}
