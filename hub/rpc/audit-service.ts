// AuditService: a spoke's upload stream and the opening of its logs.

import type { AuditService } from '@weir/proto/weir/audit/v1/audit_pb.ts';
import {
  decodeBatch,
  decodeLeavesQuestion,
  decodeOpening,
  encodeAnswer,
  encodeLeaves,
  encodePosition,
} from '@weir/shared/wire/audit.ts';
import { inOrder } from '../audit/in-order.ts';
import type { Ingest } from '../audit/ingest.ts';
import type { OwnLeaves } from '../audit/own-leaves.ts';
import type { MachineHandlers } from './handler.ts';

export function auditService(ingest: Ingest, leaves: OwnLeaves): MachineHandlers<typeof AuditService> {
  return {
    async *upload(requests, { peer }) {
      const answers = inOrder(requests, ingest.window, async (request) => ingest.take(peer, decodeBatch(request)));
      for await (const answer of answers) yield encodeAnswer(answer);
    },
    async position(request, { peer, signal }) {
      return encodePosition(await ingest.open(peer, decodeOpening(request), signal));
    },
    async leaves(request, { peer }) {
      const { log, from } = decodeLeavesQuestion(request);
      return encodeLeaves(await leaves(peer, log, from));
    },
  };
}
