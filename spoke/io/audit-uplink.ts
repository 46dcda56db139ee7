// The audit stream over gRPC: implements the shipper's port on the spoke's one channel to the hub.

import { once } from 'node:events';
import { create } from '@bufbuild/protobuf';
import {
  AuditService,
  LeavesRequestSchema,
  PositionRequestSchema,
  UploadRequestSchema,
} from '@weir/proto/weir/audit/v1/audit_pb.ts';
import { WeirError, asWeirError } from '@weir/shared/errors/weir-error.ts';
import {
  type UploadAnswer,
  decodeAnswer,
  decodeLeaves,
  decodePosition,
  encodeBatch,
  encodeOpening,
} from '@weir/shared/wire/audit.ts';
import { grpcMethods } from '@weir/shared/wire/grpc-methods.ts';
import type { AuditUplink } from '../audit/audit-uplink.ts';
import { type HubChannel, fromServiceError } from './hub-channel.ts';

const methods = grpcMethods(AuditService);

/** A hub that takes batches and answers none for so long is asked anew where the log stands, or another replica is. */
const ANSWER_MS = 5 * 60_000;

export function createAuditUplink(
  channel: Pick<HubChannel, 'unary' | 'duplex' | 'failOver'>,
  { answerMs = ANSWER_MS }: { readonly answerMs?: number } = {},
): AuditUplink {
  function explain(thrown: unknown): WeirError {
    const error = isServiceError(thrown)
      ? fromServiceError(thrown)
      : asWeirError(thrown, 'unavailable', 'the audit stream broke');
    if (error.code === 'unavailable' || error.code === 'timeout') channel.failOver();
    return error;
  }

  return {
    async position(opening, signal) {
      try {
        const request = create(PositionRequestSchema, encodeOpening(opening));
        return decodePosition(await channel.unary(methods.position, request, signal));
      } catch (thrown) {
        throw explain(thrown);
      }
    },
    async leaves(log, from, signal) {
      try {
        const request = create(LeavesRequestSchema, { log, from: BigInt(from) });
        return decodeLeaves(await channel.unary(methods.leaves, request, signal));
      } catch (thrown) {
        throw explain(thrown);
      }
    },
    open(signal) {
      const call = channel.duplex(methods.upload);
      const cancel = (): void => call.cancel();
      if (signal.aborted) cancel();
      signal.addEventListener('abort', cancel, { once: true });
      // A stream that breaks while nobody reads or writes is told to whoever does so next.
      call.on('error', () => undefined);

      let unanswered = 0;
      let late: NodeJS.Timeout | undefined;
      /** From each answer on, as long as another one is due. */
      function watch(): void {
        clearTimeout(late);
        if (unanswered === 0) return;
        late = setTimeout(() => {
          call.destroy(new WeirError('timeout', `the hub has answered no batch for ${answerMs / 1_000} seconds`));
          call.cancel();
        }, answerMs);
        late.unref();
      }

      async function* answers(): AsyncGenerator<UploadAnswer> {
        try {
          // Pulled one by one: the next answer is read when this one has been dealt with.
          for await (const response of call) {
            unanswered -= 1;
            watch();
            yield decodeAnswer(response);
          }
        } catch (thrown) {
          throw explain(thrown);
        }
      }

      return {
        async send(batch) {
          if (call.destroyed || call.writableEnded) throw new WeirError('unavailable', 'the audit stream is closed');
          unanswered += 1;
          if (unanswered === 1) watch();
          if (!call.write(create(UploadRequestSchema, encodeBatch(batch)))) await once(call, 'drain', { signal });
        },
        answers: answers(),
        close() {
          signal.removeEventListener('abort', cancel);
          clearTimeout(late);
          call.cancel();
        },
      };
    },
  };
}

function isServiceError(thrown: unknown): thrown is Parameters<typeof fromServiceError>[0] {
  return thrown instanceof Error && 'code' in thrown && 'details' in thrown;
}
