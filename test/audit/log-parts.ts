// What every audit log in a test needs besides its disk: an owner, a key to be bound to, and a hub's key to receipt it with.

import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { cosignCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { receiptKeyName } from '@weir/shared/audit/tlog/names.ts';
import {
  COSIGNATURE_V1,
  createNoteSigner,
  type NoteSigner,
  parseVkey,
  type Verifier,
} from '@weir/shared/audit/tlog/note.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import type { AuditLog, AuditLogOptions } from '@weir/spoke/audit/audit-log.ts';
import type { HeldReceipt } from '@weir/spoke/audit/log-notes.ts';
import { quiet } from '../hub/database.ts';
import { uncounted } from './doubles.ts';
import { uuid } from './sample-rows.ts';

export const WORKSPACE = 'trial';

export const testRandom: Random = { uuid, bytes: (size) => randomBytes(size), unit: () => 0.5 };

/** Real monotonic time; waiting is real too. */
export const realClock = {
  monotonicMs: () => performance.now(),
  sleep: (ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      signal?.addEventListener('abort', () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      });
    }),
};

/** An enrolled audit key that is the same in every process of a test. */
export const auditKey: KeyObject = ed25519(Buffer.alloc(32, 7));

export function ed25519(seed: Buffer): KeyObject {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}

export const logParts = {
  workspace: WORKSPACE,
  unit: 'payments',
  spoke: 'edge-1',
  site: 'oslo',
  worker: 'w0',
  auditKey,
  clock: realClock,
  random: testRandom,
  logger: quiet,
  metrics: uncounted,
} as const satisfies Omit<AuditLogOptions, 'disk'>;

export const hubSigner: NoteSigner = createNoteSigner(
  receiptKeyName(WORKSPACE),
  ed25519(Buffer.alloc(32, 9)),
  COSIGNATURE_V1,
);
export const hubVerifier: Verifier = parseVkey(hubSigner.vkey);

/** As a hub would give it for the first `size` rows. */
export async function receiptFor(
  log: Pick<AuditLog, 'checkpointAt'>,
  size: number,
  timeS = 1_800_000_000,
): Promise<HeldReceipt> {
  return { bytes: cosignCheckpoint(await log.checkpointAt(size), hubSigner, timeS), size, timeS };
}

export function otherHubSigner(): NoteSigner {
  return createNoteSigner(receiptKeyName(WORKSPACE), generateKeyPairSync('ed25519').privateKey, COSIGNATURE_V1);
}
