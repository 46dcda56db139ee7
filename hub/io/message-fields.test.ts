import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { UploadRequestSchema } from '@weir/proto/weir/audit/v1/audit_pb.ts';
import { checkFieldCount } from './message-fields.ts';

function upload(rows: number): Uint8Array {
  const batch = {
    log: 'payments.edge-1.w0.e1',
    firstIndex: 7n,
    rows: Array.from({ length: rows }, () => new Uint8Array()),
  };
  return toBinary(UploadRequestSchema, create(UploadRequestSchema, { batch }));
}

test('a message with as many fields as are allowed passes, one more does not', () => {
  // The batch, its log, its first index, and the rows.
  checkFieldCount(UploadRequestSchema, upload(97), 100);
  assert.throws(() => checkFieldCount(UploadRequestSchema, upload(98), 100), { code: 'too_large' });
  checkFieldCount(UploadRequestSchema, new Uint8Array(), 0);
});

test('fields that nobody knows count as well', () => {
  const unknown = Buffer.alloc(400);
  for (let at = 0; at < unknown.length; at += 4) unknown.set([0xf8, 0x07, 0x80, 0x01], at);
  checkFieldCount(UploadRequestSchema, unknown, 100);
  assert.throws(() => checkFieldCount(UploadRequestSchema, unknown, 99), { code: 'too_large' });
});

test('the count ends where the limit does, and bytes that are no message are refused', () => {
  assert.throws(() => checkFieldCount(UploadRequestSchema, Buffer.alloc(8 << 20, Buffer.from([0x1a, 0]))), {
    code: 'too_large',
  });
  for (const bytes of [[0x0a, 0xff], [0x0f], [0x0a, 0x02, 0x1a]]) {
    assert.throws(() => checkFieldCount(UploadRequestSchema, Uint8Array.from(bytes)));
  }
});
