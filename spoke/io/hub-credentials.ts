// TLS credentials for the hub: the spoke's certificate, the pinned CAs and nothing else. Made anew after each renewal.

import { credentials, type ChannelCredentials } from '@grpc/grpc-js';
import type { StoredIdentity } from './identity-store.ts';

export function hubCredentials(identity: StoredIdentity): ChannelCredentials {
  return credentials.createSsl(
    Buffer.from(identity.ca_bundle),
    Buffer.from(identity.tls_key),
    Buffer.from(identity.certificate_chain),
  );
}
