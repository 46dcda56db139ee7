// The two ports that spokes dial, on grpc-js: federation (mutual TLS, every service) and join (server TLS, only the methods
// that need no certificate). Adapts the plain handlers of hub/rpc: reads streams by pulling, writes them no faster than the
// peer takes them, and turns errors into statuses.

import { once } from 'node:events';
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import { create, type DescMethod, type Message } from '@bufbuild/protobuf';
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import { type GrpcMethod, grpcMethods } from '@weir/shared/wire/grpc-methods.ts';
import type { CertificateAuthority, KeyAndChain } from '../enrollment/certificate-authority.ts';
import { rpcStatus } from '../rpc/error-map.ts';
import type { MachineContext, Peer } from '../rpc/handler.ts';
import type { AnyHandler, MachineService } from '../rpc/service.ts';
import { checkFieldCount } from './message-fields.ts';
import { contextOf, createPeerSockets, SOCKET_LIMITS } from './peer-sockets.ts';

export const MACHINE_LIMITS = {
  messageBytes: 8 << 20,
  streamsPerConnection: 64,
  keepAliveMs: 30_000,
  keepAliveTimeoutMs: 10_000,
  drainMs: 3_000,
} as const;

export interface MachineServerOptions {
  readonly authority: CertificateAuthority;
  readonly tls: KeyAndChain;
  readonly services: readonly MachineService[];
  readonly graceMs: number;
  readonly isDenied: (peer: Peer) => boolean;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface BoundPort {
  readonly host: string;
  readonly port: number;
}

export interface MachineServer {
  listenFederation(host: string, port: number): Promise<BoundPort>;
  listenJoin(host: string, port: number): Promise<BoundPort>;
  /** Closes the connections of peers that are denied by now. */
  dropDenied(): void;
  /** Presents another certificate to new connections; open ones stay. */
  replaceCertificate(tls: KeyAndChain): void;
  /** Takes no new connection, ends the streams, lets calls finish for a moment, then closes everything. */
  close(): Promise<void>;
}

export function createMachineServer(options: MachineServerOptions): MachineServer {
  const { authority, logger, metrics } = options;
  const draining = new AbortController();
  const adapter = { draining: draining.signal, logger, metrics };

  const federation = newGrpcServer();
  const peers = createPeerSockets({
    authority,
    tls: options.tls,
    graceMs: options.graceMs,
    isDenied: options.isDenied,
    logger,
    metrics,
    onSocket: (socket) => federationInjector.injectConnection(socket),
  });
  for (const one of options.services) {
    add(federation, one, adapter, (method, remote) => {
      const peer = peers.peerAt(remote);
      if (peer === undefined || options.isDenied(peer))
        throw new WeirError('forbidden', 'this identity is not accepted');
      if (peer.expired && !one.grace.includes(method)) {
        throw new WeirError('unauthenticated', 'the certificate has expired', { next: 'renew it first' });
      }
      return peer;
    });
  }
  const federationInjector = federation.createConnectionInjector(ServerCredentials.createInsecure());

  const join = newGrpcServer();
  for (const one of options.services) {
    if (one.open.length > 0) {
      add(join, one, adapter, (method) => {
        if (one.open.includes(method)) return undefined;
        throw new WeirError('unauthenticated', 'this call needs a certificate and the federation port');
      });
    }
  }
  const joinInjector = join.createConnectionInjector(ServerCredentials.createInsecure());
  const joinSockets = new Set<TLSSocket>();
  const joinTls = createTlsServer({
    ...contextOf(options.tls, authority.certificate),
    ALPNProtocols: ['h2'],
    handshakeTimeout: SOCKET_LIMITS.handshakeTimeoutMs,
  });
  joinTls.maxConnections = 1000;
  joinTls.on('secureConnection', (socket) => {
    socket.on('error', () => socket.destroy());
    joinSockets.add(socket);
    socket.once('close', () => joinSockets.delete(socket));
    // A spoke that looks at the certificate first, or leaves again, has no ALPN or no frames; HTTP/2 handles the rest.
    if (socket.alpnProtocol === 'h2') joinInjector.injectConnection(socket);
    else socket.destroy();
  });
  joinTls.on('tlsClientError', (error) => logger.debug({ error: error.message }, 'a TLS handshake failed'));

  return {
    listenFederation: (host, port) => listen(peers.server, host, port, 'federation'),
    listenJoin: (host, port) => listen(joinTls, host, port, 'join'),
    dropDenied: () => peers.dropDenied(),
    replaceCertificate(tls) {
      peers.replaceCertificate(tls);
      joinTls.setSecureContext(contextOf(tls, authority.certificate));
    },
    async close() {
      peers.server.close();
      joinTls.close();
      draining.abort();
      await Promise.all([federation, join].map(shutDown));
      peers.destroyAll();
      for (const socket of joinSockets) socket.destroy();
    },
  };
}

function newGrpcServer(): Server {
  return new Server({
    'grpc.max_receive_message_length': MACHINE_LIMITS.messageBytes,
    'grpc.max_send_message_length': MACHINE_LIMITS.messageBytes,
    'grpc.max_concurrent_streams': MACHINE_LIMITS.streamsPerConnection,
    'grpc.keepalive_time_ms': MACHINE_LIMITS.keepAliveMs,
    'grpc.keepalive_timeout_ms': MACHINE_LIMITS.keepAliveTimeoutMs,
    'grpc.enable_channelz': 0,
  });
}

function shutDown(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, MACHINE_LIMITS.drainMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

async function listen(server: TlsServer, host: string, port: number, name: string): Promise<BoundPort> {
  try {
    server.listen({ host, port });
    await once(server, 'listening');
  } catch (cause) {
    const busy = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
    throw new WeirError('unavailable', `the ${name} port ${host}:${port} ${busy ? 'is in use' : 'cannot be opened'}`, {
      cause,
      next: busy ? 'stop what uses it or choose another port' : `check the address: ${describeThrown(cause)}`,
    });
  }
  const address = server.address();
  return { host, port: typeof address === 'object' && address !== null ? address.port : port };
}

interface Adapter {
  readonly draining: AbortSignal;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Says who calls, throws when the call is not admitted; undefined for a call that needs no identity. */
type Admit = (method: string, remote: string) => Peer | undefined;

function add(server: Server, one: MachineService, adapter: Adapter, admit: Admit): void {
  const methods: Record<string, GrpcMethod<Message, Message>> = { ...grpcMethods(one.service) };
  const implementation: Record<string, UntypedHandleCall> = {};
  for (const method of one.service.methods) {
    const handler = one.handlers[method.localName];
    if (handler === undefined) throw new WeirError('internal', `${method.name} has no handler`);
    implementation[method.localName] = adapt(method, handler.bind(one.handlers), adapter, admit);
    const coded = methods[method.localName];
    if (coded !== undefined) methods[method.localName] = { ...coded, requestDeserialize: guarded(method, coded) };
  }
  server.addService(methods, implementation);
}

function guarded(method: DescMethod, { requestDeserialize }: Pick<GrpcMethod<Message, Message>, 'requestDeserialize'>) {
  return (bytes: Buffer): Message => {
    checkFieldCount(method.input, bytes);
    return requestDeserialize(bytes);
  };
}

interface Call {
  getPeer(): string;
  on(event: 'cancelled', listener: () => void): unknown;
}

function adapt(
  method: DescMethod,
  handler: AnyHandler<MachineContext>,
  adapter: Adapter,
  admit: Admit,
): UntypedHandleCall {
  const name = `${method.parent.name}.${method.name}`;

  /** One call's life: who it is from, what ends it, and how it is counted. */
  function track(call: Call) {
    const started = performance.now();
    const gone = new AbortController();
    call.on('cancelled', () => gone.abort());
    return {
      /** @throws WeirError when the caller is not admitted */
      context(): MachineContext {
        const remote = call.getPeer();
        const peer = admit(method.localName, remote);
        const signal = AbortSignal.any([gone.signal, adapter.draining]);
        // Open methods are typed to take no peer, so that its absence is never read.
        return { remoteAddress: remote.slice(0, remote.lastIndexOf(':')), signal, peer } as MachineContext;
      },
      done(): void {
        count(0);
      },
      failed(thrown: unknown) {
        const status = statusOf(thrown, adapter.draining.aborted);
        count(status.code);
        if (status.unexpected) {
          const fields = { method: name, error: describeThrown(thrown), stack: (thrown as Error | undefined)?.stack };
          adapter.logger.error(fields, 'an rpc failed unexpectedly');
        }
        return status;
      },
    };

    function count(code: number): void {
      // Ends what the handler may still be waiting for.
      gone.abort();
      const seconds = (performance.now() - started) / 1000;
      adapter.metrics.observe('weir_hub_rpc_seconds', seconds, { method: name, code: String(code) });
    }
  }

  async function answerOne(call: ServerUnaryCall<unknown, object>, reply: sendUnaryData<object>): Promise<void> {
    const tracked = track(call);
    try {
      const result = create(method.output, (await handler(call.request, tracked.context())) as Record<string, unknown>);
      tracked.done();
      reply(null, result);
    } catch (thrown) {
      reply(tracked.failed(thrown));
    }
  }

  async function answerMany(
    call: ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>,
    input: unknown,
  ): Promise<void> {
    const tracked = track(call);
    try {
      const context = tracked.context();
      for await (const item of handler(input, context) as AsyncIterable<Record<string, unknown> | Uint8Array>) {
        if (call.cancelled) break;
        const message = item instanceof Uint8Array ? item : create(method.output, item);
        if (!call.write(message)) await once(call, 'drain', { signal: context.signal });
      }
      if (adapter.draining.aborted) throw new WeirError('unavailable', 'the hub is shutting down', { retry: 'now' });
      tracked.done();
      if (!call.cancelled) call.end();
    } catch (thrown) {
      const status = tracked.failed(thrown);
      if (!call.cancelled) call.emit('error', status);
    }
  }

  switch (method.methodKind) {
    case 'unary': {
      const unary: handleUnaryCall<unknown, object> = (call, reply) => void answerOne(call, reply);
      return unary as UntypedHandleCall;
    }
    case 'server_streaming': {
      const streaming: handleServerStreamingCall<unknown, unknown> = (call) => void answerMany(call, call.request);
      return streaming as UntypedHandleCall;
    }
    case 'bidi_streaming': {
      const bidi: handleBidiStreamingCall<unknown, unknown> = (call) =>
        // Kept open when the handler stops reading: its last answers and the status still have to leave.
        void answerMany(call, call.iterator({ destroyOnReturn: false }));
      return bidi as UntypedHandleCall;
    }
    case 'client_streaming':
      throw new WeirError('unsupported', `${name}: client streaming is not used`);
    default:
      throw new WeirError('internal', `${name} has an unknown kind`);
  }
}

function statusOf(thrown: unknown, draining: boolean) {
  const aborted = (thrown as { name?: unknown } | undefined)?.name === 'AbortError';
  const cause = aborted
    ? new WeirError(
        draining ? 'unavailable' : 'cancelled',
        draining ? 'the hub is shutting down' : 'the call was cancelled',
      )
    : thrown;
  const status = rpcStatus(cause);
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(status.trailers)) metadata.set(key, value);
  const code: number = status.code;
  return Object.assign(new Error(status.message), {
    code,
    details: status.message,
    metadata,
    unexpected: status.unexpected,
  });
}
