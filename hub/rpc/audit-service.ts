// AuditService: a spoke's upload stream and where the hub's copy of a log ends.

import type { AuditService } from '@weir/proto/weir/audit/v1/audit_pb.ts';
import { decodeBatch, encodeAnswer } from '@weir/shared/wire/audit.ts';
import type { Ingest } from '../audit/ingest.ts';
import type { MachineHandlers } from './handler.ts';

export function auditService(ingest: Ingest): MachineHandlers<typeof AuditService> {
  return {
    async *upload(requests, { peer }) {
      // One batch at a time per stream: the next is read only when this one is committed or refused.
      for await (const request of requests) yield encodeAnswer(await ingest.take(peer, decodeBatch(request)));
    },
    async position({ log }, { peer }) {
      return { nextIndex: BigInt(await ingest.position(peer, log)), receipt: new Uint8Array() };
    },
  };
}
