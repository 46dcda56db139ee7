// A minimal spoke for the hub's tests: keys, a CSR, the join, and calls over mutual TLS, with nothing of the product's own
// spoke in it, so that the hub is tested against an independent client.

import 'reflect-metadata';
import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, sign, webcrypto } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Client, type ClientReadableStream, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { cryptoProvider, Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import type { Hub } from '@weir/hub/main.ts';
import {
  EnrollmentService,
  type JoinRequest,
  JoinRequestSchema,
  type JoinResponse,
  RenewRequestSchema,
} from '@weir/proto/weir/enrollment/v1/enrollment_pb.ts';
import { type GrpcMethod, grpcMethods } from '@weir/shared/wire/grpc-methods.ts';

cryptoProvider.set(webcrypto as never);
const enrollment = grpcMethods(EnrollmentService);
const DEADLINE_MS = 10_000;
/** grpc-js sends the address as TLS server name, which may not be an IP address. */
const TARGET = { 'grpc.ssl_target_name_override': 'localhost', 'grpc.use_local_subchannel_pool': 1 };

export interface TlsKey {
  readonly pem: string;
  readonly csr: Uint8Array;
}

export async function tlsKey(curve: 'P-256' | 'P-384' = 'P-256', subject = 'CN=ignored'): Promise<TlsKey> {
  const algorithm = { name: 'ECDSA', namedCurve: curve, hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const csr = await Pkcs10CertificateRequestGenerator.create({ name: subject, keys, signingAlgorithm: algorithm });
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  const pem = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' });
  return { pem, csr: new Uint8Array(csr.rawData) };
}

export async function caOf(hub: Hub): Promise<string> {
  const text = await readFile(join(dirname(hub.operatorTokenFile), 'ca', 'ca.pem'), 'utf8');
  return /-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----\n/.exec(text)?.[0] ?? '';
}

/** A well-formed join request; `change` alters it. */
export async function joinRequest(
  token: string,
  spoke: string,
  change: Partial<MessageInitShape<typeof JoinRequestSchema>> = {},
): Promise<{ readonly request: JoinRequest; readonly key: TlsKey; readonly logKey: KeyObject }> {
  const key = await tlsKey();
  const log = generateKeyPairSync('ed25519');
  const request = create(JoinRequestSchema, {
    joinToken: token,
    spoke,
    csr: key.csr,
    logKey: new Uint8Array(log.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)),
    logKeyProof: new Uint8Array(sign(null, createHash('sha256').update(token).digest(), log.privateKey)),
    site: 'here',
    engine: 'weir/1',
    ...change,
  });
  return { request, key, logKey: log.privateKey };
}

export async function callJoin(hub: Hub, request: JoinRequest): Promise<JoinResponse> {
  const client = new Client(
    `127.0.0.1:${hub.addresses.join.port}`,
    credentials.createSsl(Buffer.from(await caOf(hub))),
    TARGET,
  );
  try {
    return await unary(client, enrollment.join, request);
  } finally {
    client.close();
  }
}

export interface SpokeUnderTest {
  readonly unit: string;
  readonly name: string;
  readonly certificateChain: string;
  readonly keyPem: string;
  readonly notAfter: number;
  call<Request, Response>(method: GrpcMethod<Request, Response>, request: Request): Promise<Response>;
  stream<Request, Response>(method: GrpcMethod<Request, Response>, request: Request): ClientReadableStream<Response>;
  /** Resolves with every message of a stream that ends. */
  collect<Request, Response>(method: GrpcMethod<Request, Response>, request: Request): Promise<readonly Response[]>;
  renew(): Promise<SpokeUnderTest>;
  close(): void;
}

export async function joinAs(
  hub: Hub,
  { token, name }: { readonly token: string; readonly name: string },
): Promise<SpokeUnderTest> {
  const { request, key } = await joinRequest(token, name);
  const { identity } = await callJoin(hub, request);
  if (identity === undefined) throw new Error('no identity');
  return spokeWith(hub, await caOf(hub), key.pem, identity);
}

export function spokeWith(
  hub: Hub,
  ca: string,
  keyPem: string,
  identity: {
    readonly unit: string;
    readonly spoke: string;
    readonly certificateChain: string;
    readonly notAfter: bigint;
  },
): SpokeUnderTest {
  const client = new Client(
    `127.0.0.1:${hub.addresses.federation.port}`,
    credentials.createSsl(Buffer.from(ca), Buffer.from(keyPem), Buffer.from(identity.certificateChain)),
    { ...TARGET, 'grpc.enable_retries': 0, 'grpc.initial_reconnect_backoff_ms': 100 },
  );
  const stream = <Request, Response>(method: GrpcMethod<Request, Response>, request: Request) =>
    client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new Metadata(),
    );
  return {
    unit: identity.unit,
    name: identity.spoke,
    certificateChain: identity.certificateChain,
    keyPem,
    notAfter: Number(identity.notAfter),
    call: (method, request) => unary(client, method, request),
    stream,
    collect: (method, request) => stream(method, request).toArray(),
    async renew() {
      const key = await tlsKey();
      const { identity: renewed } = await unary(client, enrollment.renew, create(RenewRequestSchema, { csr: key.csr }));
      if (renewed === undefined) throw new Error('no identity');
      return spokeWith(hub, ca, key.pem, renewed);
    },
    close: () => client.close(),
  };
}

export function unary<Request, Response>(
  client: Client,
  method: GrpcMethod<Request, Response>,
  request: Request,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new Metadata(),
      { deadline: Date.now() + DEADLINE_MS },
      (error: ServiceError | null, response) => {
        if (error !== null) reject(error);
        else resolve(response as Response);
      },
    );
  });
}
