// The hub's receipt key in a file: created once in the hub's home, readable by its owner only, and the same for all replicas.
// Spokes pin its public half at enrolment; a receipt under another key is none.

import { createPrivateKey, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { link, open, readFile, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { receiptKeyName } from '@weir/shared/audit/tlog/names.ts';
import { COSIGNATURE_V1, createNoteSigner, type NoteSigner } from '@weir/shared/audit/tlog/note.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

/**
 * The signer of receipts whose key is in `path` (PKCS #8 PEM, mode 0600), making the key when there is none. Throws
 * `corrupt` for anything but an Ed25519 key and `forbidden` when others can read the file.
 */
export async function loadOrCreateReceiptKey(path: string, workspace: string): Promise<NoteSigner> {
  const key = (await readKey(path)) ?? (await createKey(path));
  return createNoteSigner(receiptKeyName(workspace), key, COSIGNATURE_V1);
}

async function readKey(path: string): Promise<KeyObject | undefined> {
  let pem: string;
  try {
    pem = await readFile(path, 'utf8');
    const { mode } = await stat(path);
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new WeirError('forbidden', 'the receipt key can be read by others', { next: `chmod 600 ${path}` });
    }
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  }
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch (cause) {
    throw new WeirError('corrupt', 'the receipt key cannot be read', { cause });
  }
  throw new WeirError('corrupt', 'the receipt key is not an ed25519 key');
}

/** Writes a new key completely before it gets its name, and never over an existing one: two starts agree on one key. */
async function createKey(path: string): Promise<KeyObject> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const temporary = join(dirname(path), `.receipt-key.${randomUUID()}.tmp`);
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
  if (key === undefined) throw new WeirError('internal', 'the receipt key vanished while it was made');
  return key;
}
