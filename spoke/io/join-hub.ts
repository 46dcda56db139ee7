// Enrollment and renewal: a one-time token and a pinned CA hash become a certificate. The pin is checked on the raw TLS
// connection before the token leaves this machine; keys are made here and never do.

import 'reflect-metadata';
import { createHash, createPrivateKey, generateKeyPairSync, sign, webcrypto, X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { create } from '@bufbuild/protobuf';
import { Client, Metadata } from '@grpc/grpc-js';
import { cryptoProvider, Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import {
  EnrollmentService,
  JoinRequestSchema,
  RenewRequestSchema,
  type Identity,
} from '@weir/proto/weir/enrollment/v1/enrollment_pb.ts';
import { ENGINE } from '@weir/shared/bundle/manifest.ts';
import { WeirError, asWeirError } from '@weir/shared/errors/weir-error.ts';
import { grpcMethods } from '@weir/shared/wire/grpc-methods.ts';
import { fromServiceError, type HubChannel } from './hub-channel.ts';
import { HUB_CHANNEL_OPTIONS, joinCredentials } from './hub-credentials.ts';
import type { StoredIdentity } from './identity-store.ts';

const enrollment = grpcMethods(EnrollmentService);
const CONNECT_TIMEOUT_MS = 10_000;
const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
cryptoProvider.set(webcrypto as never);

export interface JoinOptions {
  /** host:port of the hub's join port. */
  readonly address: string;
  /** `sha256:` of the CA's SubjectPublicKeyInfo. */
  readonly caPin: string;
  readonly joinToken: string;
  readonly spoke: string;
  readonly site: string;
}

export interface Joined {
  readonly identity: StoredIdentity;
  readonly federationAddresses: readonly string[];
}

/** @throws WeirError `untrusted` on a pin mismatch (the token was not sent), else the hub's own refusal */
export async function joinHub(options: JoinOptions): Promise<Joined> {
  const caPem = await fetchPinnedCa(options.address, options.caPin);
  const tls = await makeTlsKey();
  const log = generateKeyPairSync('ed25519');
  const proofOf = createHash('sha256').update(options.joinToken).digest();
  const client = new Client(options.address, joinCredentials(caPem), HUB_CHANNEL_OPTIONS);
  try {
    const method = enrollment.join;
    const request = create(JoinRequestSchema, {
      joinToken: options.joinToken,
      spoke: options.spoke,
      csr: new Uint8Array(tls.csr),
      logKey: new Uint8Array(log.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)),
      logKeyProof: new Uint8Array(sign(null, proofOf, log.privateKey)),
      site: options.site,
      engine: ENGINE,
    });
    const response = await new Promise<Awaited<ReturnType<typeof method.responseDeserialize>>>((resolve, reject) => {
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        new Metadata(),
        { deadline: Date.now() + CONNECT_TIMEOUT_MS },
        (error, value) => {
          if (error !== null) reject(fromServiceError(error));
          else if (value === undefined) reject(new WeirError('internal', 'the hub answered nothing'));
          else resolve(value);
        },
      );
    });
    if (response.identity === undefined) throw new WeirError('internal', 'the hub issued no identity');
    const logKey = log.privateKey.export({ format: 'pem', type: 'pkcs8' });
    return {
      identity: toStored(response.identity, response.trustRoot, tls.key, logKey),
      federationAddresses: response.federationAddresses,
    };
  } finally {
    client.close();
  }
}

/** A renewed identity over the present one's channel; the log key, the salt and the trust root stay. */
export async function renewAtHub(
  channel: HubChannel,
  present: StoredIdentity,
  signal: AbortSignal,
): Promise<StoredIdentity> {
  const tls = await makeTlsKey();
  const request = create(RenewRequestSchema, { csr: new Uint8Array(tls.csr) });
  const response = await channel.unary(enrollment.renew, request, signal);
  if (response.identity === undefined) throw new WeirError('internal', 'the hub issued no identity');
  const renewed = toStored(response.identity, response.trustRoot, tls.key, present.log_key);
  if (renewed.unit !== present.unit || renewed.spoke !== present.spoke || renewed.workspace !== present.workspace) {
    throw new WeirError('untrusted', 'the hub renewed another identity than this one');
  }
  // The keys that may sign policy were pinned at enrollment. Whoever holds the hub's TLS side renews certificates, and must
  // not be able to name another signing key with the same breath.
  return { ...renewed, trust_root: present.trust_root };
}

function toStored(identity: Identity, trustRoot: Uint8Array, tlsKey: string, logKey: string): StoredIdentity {
  return {
    schema: 'weir.identity/v1',
    workspace: identity.workspace,
    unit: identity.unit,
    spoke: identity.spoke,
    certificate_chain: identity.certificateChain,
    tls_key: tlsKey,
    ca_bundle: identity.caBundle,
    not_after_ms: Number(identity.notAfter) * 1000,
    log_key: logKey,
    unit_salt: Buffer.from(identity.unitSalt).toString('hex'),
    trust_root: Buffer.from(trustRoot).toString('utf8'),
  };
}

async function makeTlsKey(): Promise<{ readonly key: string; readonly csr: ArrayBuffer }> {
  const keys = await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify']);
  const request = await Pkcs10CertificateRequestGenerator.create({ name: 'CN=weir-spoke', keys, signingAlgorithm: EC });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' });
  return { key, csr: request.rawData };
}

/** The CA certificate that the hub presents, if and only if its public key has the pinned hash. */
async function fetchPinnedCa(address: string, pin: string): Promise<string> {
  if (!/^sha256:[0-9a-f]{64}$/.test(pin)) {
    throw new WeirError('invalid_argument', 'the CA pin is not `sha256:` and 64 hex digits', {
      next: 'copy the whole line that `weir spoke invite` printed',
    });
  }
  const { host, port } = splitAddress(address);
  const certificates = await presentedChain(host, port);
  for (const certificate of certificates) {
    const found = createHash('sha256')
      .update(certificate.publicKey.export({ format: 'der', type: 'spki' }))
      .digest('hex');
    if (certificate.ca && `sha256:${found}` === pin) return certificate.toString();
  }
  throw new WeirError(
    'untrusted',
    'the hub at that address does not present the pinned CA; the join token was not sent',
    {
      next: 'check the address and the pin; somebody may be between this spoke and the hub',
    },
  );
}

function presentedChain(host: string, port: number): Promise<readonly X509Certificate[]> {
  return new Promise((resolve, reject) => {
    // Nothing is trusted yet: this connection only reads the chain and is closed before a byte of ours is sent.
    const socket = connect(
      { host, port, rejectUnauthorized: false, ALPNProtocols: ['h2'], timeout: CONNECT_TIMEOUT_MS },
      () => {
        const chain: X509Certificate[] = [];
        const seen = new Set<string>();
        let peer = socket.getPeerCertificate(true);
        while (peer?.raw !== undefined && !seen.has(peer.fingerprint256) && chain.length < 8) {
          seen.add(peer.fingerprint256);
          chain.push(new X509Certificate(peer.raw));
          peer = peer.issuerCertificate;
        }
        socket.destroy();
        resolve(chain);
      },
    );
    const fail = (cause: unknown): void => {
      socket.destroy();
      reject(asWeirError(cause, 'unavailable', `the hub could not be reached at ${host}:${port}`));
    };
    socket.on('error', fail);
    socket.on('timeout', () => fail(new Error('timed out')));
  });
}

function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  const port = Number(address.slice(colon + 1));
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  if (colon < 1 || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new WeirError('invalid_argument', `${address} is not host:port`, {
      next: 'give the join address as the invitation printed it',
    });
  }
  return { host, port };
}
