// A batch that no honest spoke sends, brought to the hub with a real spoke's certificate for its open log: the hub has to
// stop that log, keep the batch and go on with all others.

import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { AuditService, type UploadResponse, UploadRequestSchema } from '@weir/proto/weir/audit/v1/audit_pb.ts';
import { HASH_BYTES } from '@weir/shared/audit/tlog/hash.ts';
import { signCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { logOrigin } from '@weir/shared/audit/tlog/names.ts';
import { createNoteSigner } from '@weir/shared/audit/tlog/note.ts';
import { decodeAnswer, encodeBatch, type UploadAnswer } from '@weir/shared/wire/audit.ts';
import { grpcMethods } from '@weir/shared/wire/grpc-methods.ts';
import { createHubChannel } from '@weir/spoke/io/hub-channel.ts';
import { createIdentityStore } from '@weir/spoke/io/identity-store.ts';

export const POISONS = ['forged signature', 'no row', 'row too large', 'row of another unit'] as const;
export type Poison = (typeof POISONS)[number];

const ROW_TOO_LARGE = 17 << 10;
const ANSWER_MS = 5_000;

/** What the hub answers; rejects when it cannot be reached. */
export async function sendPoison(
  spoke: { readonly home: string; readonly epoch: string; readonly hub: string },
  poison: Poison,
  row: Buffer,
): Promise<UploadAnswer> {
  const identity = createIdentityStore(spoke.home).read();
  const { log } = JSON.parse(readFileSync(join(spoke.epoch, 'log.json'), 'utf8')) as { log: string };
  const origin = logOrigin(identity.workspace, log);
  const key =
    poison === 'forged signature'
      ? generateKeyPairSync('ed25519').privateKey
      : createPrivateKey(readFileSync(join(spoke.epoch, 'log-key.pem')));
  const root = randomBytes(HASH_BYTES);
  const checkpoint = signCheckpoint({ origin, size: 1, root }, createNoteSigner(origin, key));
  const channel = createHubChannel([spoke.hub], identity);
  const call = channel.duplex(grpcMethods(AuditService).upload);
  const broken = once(call, 'error', { signal: AbortSignal.timeout(ANSWER_MS) }).then(([error]) =>
    Promise.reject(error as Error),
  );
  broken.catch(() => undefined);
  try {
    const batch = { log, firstIndex: 0, rows: [poisoned(row, poison, identity.unit)], checkpoint, proof: [] };
    call.write(create(UploadRequestSchema, encodeBatch(batch)));
    const answers = call[Symbol.asyncIterator]() as AsyncIterator<UploadResponse>;
    const next = await Promise.race([answers.next(), broken]);
    if (next.done === true) throw new Error('the hub ended the stream');
    return decodeAnswer(next.value);
  } finally {
    call.cancel();
    channel.close();
  }
}

function poisoned(row: Buffer, poison: Poison, unit: string): Buffer {
  if (poison === 'no row') return Buffer.from('{"v":1}');
  if (poison === 'row too large') return Buffer.concat([row, Buffer.alloc(ROW_TOO_LARGE, ' ')]);
  if (poison === 'row of another unit')
    return Buffer.from(row.toString('utf8').replace(`"unit":"${unit}"`, '"unit":"nobody"'));
  return row;
}
