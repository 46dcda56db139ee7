// A spoke's side of mutual TLS without an enrolment: a certificate straight from the trial's authority.

import { createPrivateKey, generateKeyPairSync, webcrypto } from 'node:crypto';
import type { CertificateAuthority } from '@weir/hub/enrollment/certificate-authority.ts';
import { type HubChannel, createHubChannel } from '@weir/spoke/io/hub-channel.ts';
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509';

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A channel to the hub on this port in a spoke's name. */
export async function channelOf(
  authority: CertificateAuthority,
  { unit, spoke }: { readonly unit: string; readonly spoke: string },
  port: number,
): Promise<HubChannel> {
  const keys = await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify']);
  const request = await Pkcs10CertificateRequestGenerator.create({ keys, name: 'CN=spoke', signingAlgorithm: EC });
  const validity = { fromMs: Date.now(), ttlMs: 3_600_000 };
  const { chain, notAfterMs } = await authority.issueSpoke(
    { workspace: 'trial', unit, spoke },
    new Uint8Array(request.rawData),
    validity,
  );
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return createHubChannel([`localhost:${port}`], {
    schema: 'weir.identity/v1',
    workspace: 'trial',
    unit,
    spoke,
    certificate_chain: chain,
    tls_key: key.export({ format: 'pem', type: 'pkcs8' }),
    ca_bundle: authority.certificate,
    not_after_ms: notAfterMs,
    log_key: generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }),
    unit_salt: '00'.repeat(32),
    trust_root: '{}',
  });
}
