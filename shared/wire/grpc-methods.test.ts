import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { BundleService, CurrentResponseSchema } from '@weir/proto/weir/bundle/v1/bundle_pb.ts';
import { AuditService } from '@weir/proto/weir/audit/v1/audit_pb.ts';
import { grpcMethods } from './grpc-methods.ts';

test('every method is listed under its local name with its path and stream kinds', () => {
  const bundle = grpcMethods(BundleService);
  assert.deepEqual(
    Object.entries(bundle).map(([name, m]) => [name, m.path, m.requestStream, m.responseStream]),
    [
      ['current', '/weir.bundle.v1.BundleService/Current', false, false],
      ['watch', '/weir.bundle.v1.BundleService/Watch', false, true],
      ['fetchEnvelope', '/weir.bundle.v1.BundleService/FetchEnvelope', false, false],
      ['fetchLayer', '/weir.bundle.v1.BundleService/FetchLayer', false, true],
      ['report', '/weir.bundle.v1.BundleService/Report', false, false],
    ],
  );
  const { upload } = grpcMethods(AuditService);
  assert.deepEqual([upload.requestStream, upload.responseStream], [true, true]);
});

test('a message survives encoding and decoding, and encoded bytes pass through untouched', () => {
  const { current } = grpcMethods(BundleService);
  const message = create(CurrentResponseSchema, { offer: { hubTimeMs: 17n, bundle: { epoch: 1n, version: 2n } } });
  const bytes = toBinary(CurrentResponseSchema, message);
  assert.deepEqual(current.responseDeserialize(current.responseSerialize(message)), message);
  assert.deepEqual(new Uint8Array(current.responseSerialize(bytes as never)), bytes);
});
