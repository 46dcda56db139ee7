// Keys of the simulated federation: a handful, made once.

import { createPrivateKey, type KeyObject } from 'node:crypto';
import { receiptKeyName } from '@weir/shared/audit/tlog/names.ts';
import {
  COSIGNATURE_V1,
  createNoteSigner,
  type NoteSigner,
  parseVkey,
  rawPublicKey,
  type Verifier,
} from '@weir/shared/audit/tlog/note.ts';

export const WORKSPACE = 'sim';

const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

function keyFrom(seed: number): KeyObject {
  const key = Buffer.concat([PKCS8_PREFIX, Buffer.alloc(32, seed)]);
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}

/** The audit key of the one spoke, and what the hub knows of it. */
export const auditKey: KeyObject = keyFrom(7);
export const enrolledKey: Buffer = rawPublicKey(auditKey);
export const hubSigner: NoteSigner = createNoteSigner(receiptKeyName(WORKSPACE), keyFrom(9), COSIGNATURE_V1);
export const hubVerifier: Verifier = parseVkey(hubSigner.vkey);

/** Seeds that log keys are made from: as many logs as a run has at once, and few enough to be known. */
const LOG_KEYS = 64;

export function logKeySeed(unit: number): Uint8Array {
  const seed = Buffer.alloc(32, 3);
  seed.writeUInt32BE(Math.floor(unit * LOG_KEYS), 0);
  return seed;
}
