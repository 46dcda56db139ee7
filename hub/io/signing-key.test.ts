import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readEnvelope } from '@weir/shared/bundle/envelope.ts';
import { loadOrCreateSigningKey } from './signing-key.ts';
import { signEnvelope } from './sign-envelope.ts';

const folder = await mkdtemp(join(tmpdir(), 'weir-key-'));
after(() => rm(folder, { recursive: true }));

test('the key is made once, readable by its owner only, and found again', async () => {
  const path = join(folder, 'made.pem');
  const [first, second] = await Promise.all([loadOrCreateSigningKey(path), loadOrCreateSigningKey(path)]);
  assert.equal(first.keyId, second.keyId);
  assert.equal((await loadOrCreateSigningKey(path)).keyId, first.keyId);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test('a key that others can read, is of another kind or is no key is refused', async () => {
  const open = join(folder, 'open.pem');
  await loadOrCreateSigningKey(open);
  await chmod(open, 0o644);
  await assert.rejects(loadOrCreateSigningKey(open), { code: 'forbidden' });

  const other = join(folder, 'other.pem');
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
  await writeFile(other, pem, { mode: 0o600 });
  await assert.rejects(loadOrCreateSigningKey(other), { code: 'corrupt' });

  const none = join(folder, 'none.pem');
  await writeFile(none, 'not a key', { mode: 0o600 });
  await assert.rejects(loadOrCreateSigningKey(none), { code: 'corrupt' });
});

test('an envelope is what the strict reader expects', async () => {
  const signer = await loadOrCreateSigningKey(join(folder, 'envelope.pem'));
  const statement = new TextEncoder().encode('{"a":1}');
  const envelope = readEnvelope(await signEnvelope(statement, signer));
  assert.deepEqual(new Uint8Array(envelope.payload), statement);
  assert.equal(envelope.hint, signer.keyId);
});
