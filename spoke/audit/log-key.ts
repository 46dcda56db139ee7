// The key of one log and its binding to the spoke's enrolled key. The key is made with the log and never leaves its folder;
// a log whose key is gone can sign nothing more and has to be followed by another.

import { createPrivateKey, type KeyObject } from 'node:crypto';
import { bindLogKey } from '@weir/shared/audit/tlog/log-binding.ts';
import { logOrigin } from '@weir/shared/audit/tlog/names.ts';
import { type NoteSigner, type Verifier, createNoteSigner, parseVkey } from '@weir/shared/audit/tlog/note.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import { damagedFile } from './damaged-file.ts';
import type { SpoolDisk } from './spool-disk.ts';

export const KEY_FILE = 'log-key.pem';
export const BINDING_FILE = 'binding';

const SEED_BYTES = 32;
/** PKCS #8 around an Ed25519 seed (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

export interface LogOwner {
  readonly workspace: string;
  readonly unit: string;
  readonly spoke: string;
  /** The enrolled audit key, private half. */
  readonly auditKey: KeyObject;
}

export interface LogKey {
  readonly signer: NoteSigner;
  readonly verifier: Verifier;
  /** Signed note by the enrolled key that names the log and its key. */
  readonly binding: Buffer;
}

/**
 * Reads the log's key, or makes it when the log is new. The binding is by the key that is enrolled now: a spoke that was
 * enrolled again vouches for its old logs with its new key. Throws `corrupt`.
 */
export async function openLogKey(
  disk: Pick<SpoolDisk, 'load' | 'replace'>,
  options: LogOwner & { readonly log: string; readonly isNew: boolean; readonly random: Pick<Random, 'bytes'> },
): Promise<LogKey> {
  const stored = await disk.load(KEY_FILE);
  if (stored === undefined && !options.isNew) throw damagedFile(KEY_FILE, 'missing_file');
  const pem = stored ?? makeKey(options.random);
  const signer = signerOf(pem, logOrigin(options.workspace, options.log));
  if (stored === undefined) await disk.replace(KEY_FILE, pem);
  const { workspace, unit, spoke, log, auditKey } = options;
  const binding = bindLogKey({ workspace, unit, spoke, log, vkey: signer.vkey }, auditKey);
  const known = await disk.load(BINDING_FILE);
  if (known?.equals(binding) !== true) await disk.replace(BINDING_FILE, binding);
  return { signer, verifier: parseVkey(signer.vkey), binding };
}

function makeKey(random: Pick<Random, 'bytes'>): Buffer {
  const der = Buffer.concat([PKCS8_PREFIX, random.bytes(SEED_BYTES)]);
  return Buffer.from(
    createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' }),
  );
}

function signerOf(pem: Buffer, origin: string): NoteSigner {
  try {
    // A changed byte can make it a key of another kind, too.
    return createNoteSigner(origin, createPrivateKey(pem));
  } catch (cause) {
    throw damagedFile(KEY_FILE, 'damaged_file', cause);
  }
}
