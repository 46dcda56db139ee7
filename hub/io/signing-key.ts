// The bundle-signing key in a file: created once in the hub's home, readable by its owner only. A key service or an HSM takes
// its place by implementing the same port.

import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto';
import { link, open, readFile, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { isP256, keyIdOf } from '@weir/shared/crypto/key-id.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Signer } from '../bundle/signer.ts';

const signAsync = promisify(sign);

/**
 * The signer whose key is in `path` (PKCS #8 PEM, mode 0600), making the key when there is none. Throws `corrupt` for
 * anything but an ECDSA P-256 key and `forbidden` when others can read the file.
 */
export async function loadOrCreateSigningKey(path: string): Promise<Signer> {
  return fileSigner((await readKey(path)) ?? (await createKey(path)));
}

/** A signer over a private key held in memory. */
export function fileSigner(privateKey: KeyObject): Signer {
  const publicKey = createPublicKey(privateKey);
  return {
    keyId: keyIdOf(publicKey),
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }),
    sign: async (data) => signAsync('sha256', data, { key: privateKey, dsaEncoding: 'der' }),
  };
}

async function readKey(path: string): Promise<KeyObject | undefined> {
  let pem: string;
  try {
    pem = await readFile(path, 'utf8');
    const { mode } = await stat(path);
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new WeirError('forbidden', 'the signing key can be read by others', { next: `chmod 600 ${path}` });
    }
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  }
  try {
    const key = createPrivateKey(pem);
    if (isP256(key)) return key;
  } catch (cause) {
    throw new WeirError('corrupt', 'the signing key cannot be read', { cause });
  }
  throw new WeirError('corrupt', 'the signing key is not an ecdsa p-256 key');
}

/** Writes a new key completely before it gets its name, and never over an existing one: two starts agree on one key. */
async function createKey(path: string): Promise<KeyObject> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const temporary = join(dirname(path), `.signing-key.${randomUUID()}.tmp`);
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    await link(temporary, path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
  } finally {
    await unlink(temporary);
  }
  await using folder = await open(dirname(path), 'r');
  await folder.sync();
  const key = await readKey(path);
  if (key === undefined) throw new WeirError('internal', 'the signing key vanished while it was made');
  return key;
}
