// The TLS side of the federation port: TLS 1.3, client certificates from the hub's own CA, no session tickets (a resumed
// session would skip the certificate's expiry and revocation). Every accepted socket has a verified peer; it is closed when
// the certificate expires or the peer is denied.

import { constants } from 'node:crypto';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { CertificateAuthority, KeyAndChain, SpokeCertificate } from '../enrollment/certificate-authority.ts';
import type { Peer } from '../rpc/handler.ts';

export const SOCKET_LIMITS = { connections: 20_000, connectionsPerSpoke: 64, handshakeTimeoutMs: 10_000 } as const;

/** A peer as its connection shows it. */
export interface ConnectedPeer extends Peer {
  /** True when the certificate has run out, within the grace in which it may still be renewed. */
  readonly expired: boolean;
}

export interface PeerSocketsOptions {
  readonly authority: CertificateAuthority;
  readonly tls: KeyAndChain;
  /** How long after its expiry a certificate is still accepted, for renewal only. */
  readonly graceMs: number;
  readonly isDenied: (peer: Peer) => boolean;
  readonly onSocket: (socket: TLSSocket) => void;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface PeerSockets {
  readonly server: Server;
  /** Who is at `address:port`; undefined once the connection is gone. */
  peerAt(remote: string): ConnectedPeer | undefined;
  /** Closes the connections of peers that are denied by now. */
  dropDenied(): void;
  replaceCertificate(tls: KeyAndChain): void;
  destroyAll(): void;
}

/** Key of a socket in the peer table: what grpc-js calls the peer of a call. */
export function remoteOf(socket: Pick<TLSSocket, 'remoteAddress' | 'remotePort'>): string {
  return `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
}

export function contextOf(tls: KeyAndChain, ca: string) {
  return {
    key: tls.key,
    cert: tls.chain,
    ca,
    minVersion: 'TLSv1.3' as const,
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

export function createPeerSockets(options: PeerSocketsOptions): PeerSockets {
  const { authority, logger, metrics } = options;
  const sockets = new Map<string, { readonly socket: TLSSocket; readonly peer: ConnectedPeer }>();
  const perSpoke = new Map<string, number>();

  const server = createServer({
    ...contextOf(options.tls, authority.certificate),
    ALPNProtocols: ['h2'],
    requestCert: true,
    // The handshake is judged below, where the reason can be told and recorded; nothing unjudged is passed on.
    rejectUnauthorized: false,
    handshakeTimeout: SOCKET_LIMITS.handshakeTimeoutMs,
  });
  server.maxConnections = SOCKET_LIMITS.connections;

  function refuse(socket: TLSSocket, reason: string, spoke = ''): void {
    metrics.count('weir_hub_connections_refused_total', { reason });
    logger.warn({ remote: socket.remoteAddress, reason, spoke }, 'refused a federation connection');
    socket.destroy();
  }

  server.on('secureConnection', (socket) => {
    socket.on('error', () => socket.destroy());
    const judged = judge(socket);
    if (typeof judged === 'string') {
      refuse(socket, judged);
      return;
    }
    const { notAfterMs, ...peer } = judged;
    const name = `${peer.unit}/${peer.spoke}`;
    if (options.isDenied(peer)) {
      refuse(socket, 'denied', name);
      return;
    }
    const open = perSpoke.get(name) ?? 0;
    if (open >= SOCKET_LIMITS.connectionsPerSpoke) {
      refuse(socket, 'too_many_connections', name);
      return;
    }
    const remote = remoteOf(socket);
    if (sockets.has(remote)) {
      // The same address and port over two of the hub's own addresses: calls could be taken for the other connection's.
      refuse(socket, 'ambiguous_address', name);
      return;
    }
    sockets.set(remote, { socket, peer });
    perSpoke.set(name, open + 1);
    metrics.gauge('weir_hub_federation_connections', sockets.size);
    // A stream outlives the certificate it was opened with unless its connection is closed at the latest then.
    const closeAtMs = (peer.expired ? notAfterMs + options.graceMs : notAfterMs) - Date.now();
    const expiry = setTimeout(() => socket.destroy(), Math.min(closeAtMs, 2 ** 31 - 1));
    expiry.unref();
    socket.once('close', () => {
      clearTimeout(expiry);
      sockets.delete(remote);
      const left = (perSpoke.get(name) ?? 1) - 1;
      if (left === 0) perSpoke.delete(name);
      else perSpoke.set(name, left);
      metrics.gauge('weir_hub_federation_connections', sockets.size);
    });
    options.onSocket(socket);
  });
  server.on('tlsClientError', (error) => {
    metrics.count('weir_hub_connections_refused_total', { reason: 'handshake' });
    logger.debug({ error: error.message }, 'a TLS handshake failed');
  });

  /** The peer, or in one word why the connection is refused. */
  function judge(socket: TLSSocket): (ConnectedPeer & Pick<SpokeCertificate, 'notAfterMs'>) | string {
    const { raw } = socket.getPeerCertificate();
    if (raw === undefined) return 'no_certificate';
    if (socket.alpnProtocol !== 'h2') return 'not_http2';
    const expired = String(socket.authorizationError) === 'CERT_HAS_EXPIRED';
    if (!socket.authorized && !expired) return 'untrusted';
    // Checked again by ourselves: signed by our CA, and naming exactly one spoke of this workspace.
    const certificate = authority.readSpokeCertificate(raw);
    if (certificate === undefined) return 'not_a_spoke';
    if (expired && Date.now() - certificate.notAfterMs > options.graceMs) return 'expired';
    return { ...certificate, expired };
  }

  return {
    server,
    peerAt: (remote) => sockets.get(remote)?.peer,
    dropDenied() {
      for (const { socket, peer } of sockets.values()) {
        if (options.isDenied(peer)) refuse(socket, 'denied', `${peer.unit}/${peer.spoke}`);
      }
    },
    replaceCertificate(tls) {
      server.setSecureContext(contextOf(tls, authority.certificate));
    },
    destroyAll() {
      for (const { socket } of sockets.values()) socket.destroy();
    },
  };
}
