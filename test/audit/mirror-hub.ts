// A hub that answers a shipper from memory and misbehaves on request. What it stores it verifies as the real one does: the
// checkpoint's signature, the consistency proof, and the root that the rows give.

import assert from 'node:assert/strict';
import { cosignCheckpoint, openCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { type NoteSigner, parseVkey } from '@weir/shared/audit/tlog/note.ts';
import { verifyConsistency } from '@weir/shared/audit/tlog/proof.ts';
import type { LogOpening, LogPosition, NackCode, RowBatch, UploadAnswer } from '@weir/shared/wire/audit.ts';
import type { AuditUplink } from '@weir/spoke/audit/audit-uplink.ts';
import { hubSigner } from './log-parts.ts';

export interface MirrorHub extends AuditUplink {
  readonly rows: Uint8Array[];
  readonly openings: LogOpening[];
  readonly batches: RowBatch[];
  /** Most batches that were unanswered at once. */
  mostUnanswered: number;
  opened: number;
  receiptKey: NoteSigner;
  /** Answers in place of the hub; undefined lets it take the batch. */
  answer: (batch: RowBatch) => Promise<UploadAnswer | undefined>;
  /** Called before a position is told; what it returns is told instead. */
  onPosition: () => Promise<LogPosition | undefined>;
  /** Checks and stores. */
  take(batch: RowBatch): UploadAnswer;
  /** Forgets rows, as a hub restored from a backup. */
  forget(rows: number): void;
  /** The receipt for the rows it has. */
  receipt: () => Uint8Array;
}

export function mirrorHub(vkey: string): MirrorHub {
  const log = parseVkey(vkey);
  let edge = new TreeEdge();
  /** The spoke's checkpoints by size. */
  const checkpoints = new Map<number, Uint8Array>();

  function add(row: Uint8Array): void {
    hub.rows.push(row);
    edge.append(leafHash(row));
  }

  const hub: MirrorHub = {
    rows: [],
    openings: [],
    batches: [],
    mostUnanswered: 0,
    opened: 0,
    receiptKey: hubSigner,
    answer: async () => undefined,
    onPosition: async () => undefined,
    async position(opening) {
      hub.openings.push(opening);
      const told = await hub.onPosition();
      return told ?? { nextIndex: hub.rows.length, receipt: hub.receipt(), state: 'open', reason: '' };
    },
    leaves: async (_log, from) => hub.rows.slice(from, from + 100).map((row) => leafHash(row)),
    take(batch) {
      const { firstIndex, rows, checkpoint, proof } = batch;
      const held = hub.rows.length;
      if (firstIndex > held) return nack(batch.log, 'gap', held);
      const { size, root } = openCheckpoint(checkpoint, log);
      assert.equal(size, firstIndex + rows.length);
      if (firstIndex === held) {
        assert.ok(verifyConsistency({ oldSize: held, newSize: size, oldRoot: edge.root(), newRoot: root, proof }));
      }
      for (const row of rows.slice(held - firstIndex)) add(row);
      if (hub.rows.length === size) assert.deepEqual(edge.root(), root);
      checkpoints.set(size, checkpoint);
      return { kind: 'ack', log: batch.log, nextIndex: hub.rows.length, receipt: hub.receipt() };
    },
    forget(count) {
      const kept = hub.rows.slice(0, hub.rows.length - count);
      hub.rows.length = 0;
      edge = new TreeEdge();
      kept.forEach(add);
    },
    receipt: () => {
      const checkpoint = checkpoints.get(hub.rows.length);
      return checkpoint === undefined ? new Uint8Array() : cosignCheckpoint(checkpoint, hub.receiptKey, 1_800_000_000);
    },
    open(signal) {
      hub.opened += 1;
      const queue: RowBatch[] = [];
      let arrived = Promise.withResolvers<void>();
      let unanswered = 0;
      return {
        async send(batch) {
          signal.throwIfAborted();
          hub.batches.push(batch);
          queue.push(batch);
          unanswered += 1;
          hub.mostUnanswered = Math.max(hub.mostUnanswered, unanswered);
          arrived.resolve();
        },
        answers: (async function* () {
          for (;;) {
            if (signal.aborted) return;
            const batch = queue.shift();
            if (batch === undefined) {
              arrived = Promise.withResolvers<void>();
              signal.addEventListener('abort', () => arrived.resolve(), { once: true });
              await arrived.promise;
              continue;
            }
            const answer = (await hub.answer(batch)) ?? hub.take(batch);
            unanswered -= 1;
            yield answer;
          }
        })(),
        close: () => undefined,
      };
    },
  };
  return hub;
}

export function nack(log: string, code: NackCode, nextIndex = 0, retryAfterMs = 0): UploadAnswer {
  return { kind: 'nack', log, nextIndex, code, detail: 'because', retryAfterMs };
}
