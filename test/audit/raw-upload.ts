// Uploads of a signing log over a real channel, batch by batch as the hub asks for them; any trouble is answered by opening the
// log again, as a spoke does.

import { once } from 'node:events';
import { create } from '@bufbuild/protobuf';
import {
  AuditService,
  PositionRequestSchema,
  type UploadResponse,
  UploadRequestSchema,
} from '@weir/proto/weir/audit/v1/audit_pb.ts';
import type { HubChannel } from '@weir/spoke/io/hub-channel.ts';
import {
  decodeAnswer,
  decodePosition,
  encodeBatch,
  encodeOpening,
  type LogPosition,
  type UploadAnswer,
} from '@weir/shared/wire/audit.ts';
import { grpcMethods } from '@weir/shared/wire/grpc-methods.ts';
import type { SigningLog } from './signing-spoke.ts';

const methods = grpcMethods(AuditService);

export async function openLog(
  channel: HubChannel,
  log: SigningLog,
  change?: Parameters<SigningLog['opening']>[0],
): Promise<LogPosition> {
  const request = create(PositionRequestSchema, encodeOpening(log.opening(change)));
  return decodePosition(await channel.unary(methods.position, request, new AbortController().signal));
}

/** One session: from the hub's position to the log's end, several batches under way. Throws when the stream breaks. */
async function session(channel: HubChannel, log: SigningLog, batchRows: number): Promise<UploadAnswer> {
  const { nextIndex, receipt } = await openLog(channel, log);
  const call = channel.duplex(methods.upload);
  const broken = once(call, 'error').then(([error]) => Promise.reject(error as Error));
  broken.catch(() => undefined);
  try {
    let sent = 0;
    for (let from = nextIndex; from < log.rows.length; from += batchRows) {
      const batch = await log.batch(from, Math.min(log.rows.length, from + batchRows));
      call.write(create(UploadRequestSchema, encodeBatch(batch)));
      sent += 1;
    }
    let last: UploadAnswer = { kind: 'ack', log: log.id, nextIndex, receipt };
    const answers = call[Symbol.asyncIterator]() as AsyncIterator<UploadResponse>;
    for (; sent > 0; sent -= 1) {
      const next = await Promise.race([answers.next(), broken]);
      if (next.done === true) throw new Error('the hub ended the stream');
      last = decodeAnswer(next.value);
      if (last.kind === 'nack') return last;
    }
    return last;
  } finally {
    call.cancel();
  }
}

/** Uploads until every row is receipted; returns the last acknowledgement. Fails on an answer that is for good. */
export async function uploadAll(channel: HubChannel, log: SigningLog, batchRows = 20): Promise<UploadAnswer> {
  for (;;) {
    try {
      const answer = await session(channel, log, batchRows);
      if (answer.kind === 'ack' && answer.nextIndex >= log.rows.length) return answer;
      if (answer.kind === 'nack' && !['gap', 'unavailable', 'overloaded'].includes(answer.code)) {
        throw new TypeError(`${answer.code}: ${answer.detail}`);
      }
    } catch (thrown) {
      if (thrown instanceof TypeError) throw thrown;
      channel.failOver();
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
