// Whom the spoke accepts as its hub: whoever holds a certificate of the pinned CA that names the hub's own SPIFFE ID. Host
// names and addresses play no part, so replicas, load balancers and renumbering need no new certificates, and a spoke's
// certificate, though from the same CA, can never pass for a hub's.

import type { PeerCertificate } from 'node:tls';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import type { StoredIdentity } from './identity-store.ts';

/** Sent as server name: TLS wants one, and addresses are not allowed there. */
export const HUB_CHANNEL_OPTIONS = { 'grpc.ssl_target_name_override': 'hub.weir.internal' } as const;

const ANY_HUB = /^URI:spiffe:\/\/[a-z][a-z0-9-]{0,39}\.weir\/hub$/;

/** For an enrolled spoke: mutual TLS with the hub of its own workspace. */
export function hubCredentials(identity: StoredIdentity): ChannelCredentials {
  const wanted = `URI:spiffe://${identity.workspace}.weir/hub`;
  return credentials.createSsl(
    Buffer.from(identity.ca_bundle),
    Buffer.from(identity.tls_key),
    Buffer.from(identity.certificate_chain),
    { checkServerIdentity: (_host, certificate) => requireName(certificate, (name) => name === wanted) },
  );
}

/** For joining: any hub of the CA whose key was pinned; the workspace is learnt from it. */
export function joinCredentials(ca: string): ChannelCredentials {
  return credentials.createSsl(Buffer.from(ca), null, null, {
    checkServerIdentity: (_host, certificate) => requireName(certificate, (name) => ANY_HUB.test(name)),
  });
}

/** The names are of our own CA's making: no value of them holds the separator. */
function requireName(certificate: PeerCertificate, accept: (name: string) => boolean): Error | undefined {
  const names = (certificate.subjectaltname ?? '').split(', ');
  return names.some(accept) ? undefined : new Error('the certificate presented is not that of the hub');
}
