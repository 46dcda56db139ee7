// A hub that takes batches and says nothing keeps no log waiting for ever.

import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { UploadResponseSchema } from '@weir/proto/weir/audit/v1/audit_pb.ts';
import { encodeAnswer } from '@weir/shared/wire/audit.ts';
import { createAuditUplink } from './audit-uplink.ts';
import type { HubChannel } from './hub-channel.ts';

const BATCH = { log: 'u.s.w0.e', firstIndex: 0, rows: [], checkpoint: new Uint8Array(), proof: [] };
const ACK = create(
  UploadResponseSchema,
  encodeAnswer({ kind: 'ack', log: 'u.s.w0.e', nextIndex: 1, receipt: new Uint8Array() }),
);

function channelOver(answered: number) {
  const told = { failOvers: 0, cancelled: 0 };
  const call = new Duplex({
    objectMode: true,
    read: () => undefined,
    write(_message, _encoding, done) {
      if (answered > 0) call.push(ACK);
      answered -= 1;
      done();
    },
  });
  const stream = Object.assign(call, { cancel: () => void (told.cancelled += 1) });
  const channel = { duplex: () => stream, failOver: () => void (told.failOvers += 1) };
  return { told, channel: channel as unknown as HubChannel };
}

test('a stream on which no answer comes ends with a timeout, and another address is taken', async () => {
  const { told, channel } = channelOver(1);
  const upload = createAuditUplink(channel, { answerMs: 20 }).open(new AbortController().signal);
  await upload.send(BATCH);
  await upload.send(BATCH);
  let answers = 0;
  await assert.rejects(
    async () => {
      for await (const answer of upload.answers) if (answer.kind === 'ack') answers += 1;
    },
    { code: 'timeout' },
  );
  assert.deepEqual([answers, told.failOvers, told.cancelled], [1, 1, 1]);
  upload.close();
});
