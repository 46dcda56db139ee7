// A receipt says what is stored and signed; a database that says something else gets none.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReceipts } from '@weir/hub/audit/receipts.ts';
import type { LogHead } from '@weir/hub/store/audit-store.ts';
import { openReceipt } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { newReceiptKey } from './hub-ledger.ts';
import { type SigningLog, signingSpoke } from './signing-spoke.ts';

type Head = Parameters<ReturnType<typeof createReceipts>['of']>[0];

const clock = { nowMs: () => 1_800_000_000_000 };
const receipts = createReceipts(newReceiptKey(), clock);

function edgeOf(log: SigningLog): Buffer {
  const edge = new TreeEdge();
  for (const row of log.rows) edge.append(leafHash(row));
  return edge.encode();
}

function headOf(log: SigningLog): Head {
  const checkpoint = log.checkpoint();
  const receipt = receipts.cosign(checkpoint);
  return { log: log.id, vkey: log.signer.vkey, nextIndex: log.rows.length, edge: edgeOf(log), checkpoint, receipt };
}

function logOf(rows: number): SigningLog {
  const log = signingSpoke().log();
  log.add(rows);
  return log;
}

test('the stored receipt is told, and one under another key is given anew', () => {
  const head = headOf(logOf(5));
  assert.equal(receipts.of(head), head.receipt);
  const other = createReceipts(newReceiptKey(), clock);
  const anew = other.of(head);
  assert.notDeepEqual(anew, head.receipt);
});

test('an empty log has no receipt, nor has one from before logs had keys', () => {
  const nothing = Buffer.alloc(0);
  const { log, vkey } = headOf(logOf(1));
  assert.equal(
    receipts.of({ log, vkey, nextIndex: 0, edge: nothing, checkpoint: nothing, receipt: nothing }).length,
    0,
  );
});

test('a receipt for another end than the stored one is replaced by one for the stored end', () => {
  const log = logOf(5);
  const head: Head = { ...headOf(log), receipt: receipts.cosign(log.checkpoint(3)) };
  const keys = { log: log.key, hub: receipts.hub };
  assert.equal(openReceipt(receipts.of(head), keys).checkpoint.size, 5);
});

function isRefusal(thrown: unknown): boolean {
  return ['integrity', 'untrusted'].includes(String((thrown as { readonly code?: unknown }).code));
}

const log = logOf(5);
const forked = log.forked(2);
const sound = headOf(log);
const wrong: Readonly<Record<string, Partial<LogHead>>> = {
  'the checkpoint of another log': { checkpoint: logOf(5).checkpoint() },
  'a checkpoint for fewer rows': { checkpoint: log.checkpoint(4) },
  'a checkpoint of another history': { checkpoint: forked.checkpoint() },
  'the edge of another history': { edge: edgeOf(forked) },
  'fewer rows': { nextIndex: 4 },
  'rows without a checkpoint': { checkpoint: Buffer.alloc(0) },
  'a checkpoint that is none': { checkpoint: Buffer.from('audit.trial.weir/x\n5\n') },
};
for (const [what, change] of Object.entries(wrong)) {
  test(`a head with ${what} gets no receipt, whether or not it has one`, () => {
    assert.throws(() => receipts.of({ ...sound, ...change }), isRefusal);
    assert.throws(() => receipts.of({ ...sound, ...change, receipt: Buffer.alloc(0) }), isRefusal);
  });
}
