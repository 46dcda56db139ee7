import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { cosignCheckpoint, signCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { EMPTY_ROOT } from '@weir/shared/audit/tlog/hash.ts';
import { COSIGNATURE_V1, createNoteSigner } from '@weir/shared/audit/tlog/note.ts';
import { receiptedAtMs } from './audit-messages.ts';

const key = () => generateKeyPairSync('ed25519').privateKey;
const origin = 'audit.weir.weir/payments.edge-1.w0.e1';
const checkpoint = signCheckpoint({ origin, size: 0, root: EMPTY_ROOT }, createNoteSigner(origin, key()));
const hub = createNoteSigner('hub.weir.weir/audit-mirror', key(), COSIGNATURE_V1);

for (const [what, receipt, ms] of [
  ['a receipt', cosignCheckpoint(checkpoint, hub, 1_800_000_000), 1_800_000_000_000],
  ['no receipt', Buffer.alloc(0), 0],
  ['a checkpoint that nobody cosigned', checkpoint, 0],
  ['a damaged receipt', Buffer.from('damaged'), 0],
] as const) {
  test(`the time of ${what}`, () => assert.equal(receiptedAtMs(receipt), ms));
}
