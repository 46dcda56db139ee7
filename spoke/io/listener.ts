// The registry port: accepts connections, keeps every client within limits, and hands each request to one handler. What
// cannot even be parsed is reported to the caller before it is turned away. HTTP/1.1 only, because the reason phrase is
// where many package managers look for why they were refused.

import {
  createServer as createPlainServer,
  type IncomingMessage,
  type Server as PlainServer,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import { createFileBuffers } from './file-buffers.ts';
import { LISTENER_LIMITS, type ListenerLimits } from './io-limits.ts';
import { createReply, type Reply } from './reply.ts';

/** A request as received; nothing in it has been judged or decoded. */
export interface ListenerRequest {
  readonly method: string;
  /** The request target as received. */
  readonly url: string;
  /** Names and values in turn, as received, duplicates included. */
  readonly rawHeaders: readonly string[];
  readonly remoteAddress: string;
  readonly encrypted: boolean;
  /** Aborts when the client leaves before the answer is complete. */
  readonly signal: AbortSignal;
  /** The whole body as sent. @throws WeirError `too_large`, `cancelled` */
  readBody(limitBytes: number): Promise<Buffer>;
}

/** Answers through `reply` before it settles; a rejection or a missing answer becomes a plain 500. */
export type RequestHandler = (request: ListenerRequest, reply: Reply) => Promise<void>;

/** Why a connection got its answer from the listener and not from the handler. */
export type TurnedAwayFault =
  | 'malformed'
  | 'tunnel'
  | 'header_too_large'
  | 'timeout'
  | 'overloaded'
  | 'expectation'
  /** The handler failed before it answered. */
  | 'failed';

export interface TurnedAway {
  readonly fault: TurnedAwayFault;
  readonly status: number;
  readonly remoteAddress: string;
}

export interface ListenerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer };
  readonly handler: RequestHandler;
  /**
   * Called before an answer that bypasses the handler; the answer waits for it, and is not sent when it rejects or says
   * false: the connection is then closed.
   */
  readonly onTurnedAway?: (event: TurnedAway) => Promise<false | void>;
  readonly limits?: Partial<ListenerLimits>;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Since the start, counted where bytes come and go; whatever the handler says of itself. */
export interface ListenerTraffic {
  /** Requests handed to the handler. */
  readonly requests: number;
  /** Of these: answered with a status of 400 or above. */
  readonly refused: number;
  /** Bytes of bodies handed to connections. */
  readonly servedBytes: number;
  /** Of the requests: without an answer, or broken off by this side. */
  readonly failed: number;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
  traffic(): ListenerTraffic;
  /** Replaces the certificate for connections to come. */
  renewTls(tls: { readonly key: string | Buffer; readonly cert: string | Buffer }): void;
  /** Takes no more connections, lets answers under way finish, and resets what is left after `deadlineMs`. */
  close(deadlineMs: number): Promise<void>;
}

/** Requests handled at once; pipelining could otherwise start any number on one connection. */
const REQUESTS_PER_CONNECTION_SLOT = 2;
const TLS_MIN_VERSION = 'TLSv1.2';
const CONNECTIONS_CHECK_MS = 1_000;

/** Resolves once the port is bound. @throws WeirError `unavailable` when it cannot be bound */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const { handler, logger, metrics } = options;
  const limits: ListenerLimits = { ...LISTENER_LIMITS, ...options.limits };
  const buffers = createFileBuffers(limits.largeBuffers);
  const requestsMax = limits.connections * REQUESTS_PER_CONNECTION_SLOT;
  let requests = 0;
  const traffic = { requests: 0, refused: 0, servedBytes: 0, failed: 0 };
  let draining = false;

  const http = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: CONNECTIONS_CHECK_MS,
    insecureHTTPParser: false,
    // Node would answer by itself; the pipeline refuses it with a row.
    requireHostHeader: false,
    noDelay: true,
  };
  const tlsServer =
    options.tls === undefined
      ? undefined
      : createTlsServer({
          ...http,
          ...options.tls,
          ALPNProtocols: ['http/1.1'],
          minVersion: TLS_MIN_VERSION,
          handshakeTimeout: limits.tlsHandshakeMs,
        });
  const server: PlainServer | TlsServer = tlsServer ?? createPlainServer(http);
  // Zero means all: Node would otherwise drop headers past a number without a word. Their size is limited.
  server.maxHeadersCount = 0;
  server.maxConnections = limits.connections;
  server.setTimeout(limits.idleMs, (socket: Duplex) => socket.destroy());

  async function turnAway(fault: TurnedAwayFault, status: number, remoteAddress: string): Promise<boolean> {
    metrics.count('weir_spoke_http_turned_away_total', { fault });
    try {
      return (await options.onTurnedAway?.({ fault, status, remoteAddress })) !== false;
    } catch (error) {
      logger.error({ fault, error: describeThrown(error) }, 'a turned away connection could not be recorded');
      return false;
    }
  }

  const counts = new WeakMap<Duplex, number>();
  /** Counted here, because Node turns the first one too many away without a word to us. */
  function isLastOn(connection: Duplex): boolean {
    const count = (counts.get(connection) ?? 0) + 1;
    counts.set(connection, count);
    return count >= limits.requestsPerConnection;
  }

  function onRequest(request: IncomingMessage, response: ServerResponse): void {
    void answer(request, response);
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', ignore);
    if (isLastOn(request.socket) || draining) response.shouldKeepAlive = false;
    const reply = createReply(request, response, buffers, traffic);
    if (requests >= requestsMax) {
      const recorded = await turnAway('overloaded', 503, request.socket.remoteAddress ?? '');
      if (recorded)
        reply.sendBuffer(503, 'Service Unavailable', [...PLAIN, 'Retry-After', '1'], text('the spoke is overloaded'));
      else reply.destroy();
      return;
    }
    requests += 1;
    traffic.requests += 1;
    metrics.count('weir_spoke_http_requests_total');
    try {
      await handler(new ReceivedRequest(request, response, options.tls !== undefined), reply);
      if (!reply.headSent && !request.socket.destroyed) throw new Error('the handler gave no answer');
    } catch (error) {
      logger.error({ error: describeThrown(error) }, 'a request failed in an unforeseen way');
      metrics.count('weir_spoke_http_failures_total');
      if (reply.headSent || !(await turnAway('failed', 500, request.socket.remoteAddress ?? ''))) reply.destroy();
      else reply.sendBuffer(500, 'Internal Server Error', PLAIN, text('the spoke failed on this request'));
    } finally {
      requests -= 1;
      if (!reply.headSent || reply.broken) traffic.failed += 1;
      else if (response.statusCode >= 400) traffic.refused += 1;
      dropOversizedUpload(request, response, limits.unreadBodyBytes);
    }
  }

  server.on('request', onRequest);
  // The body is asked for by `readBody`, so a refused upload is never sent.
  server.on('checkContinue', onRequest);
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    void (async () => {
      const recorded = await turnAway('expectation', 417, request.socket.remoteAddress ?? '');
      if (recorded) response.writeHead(417, PLAIN).end(text('only 100-continue can be expected'));
      else response.destroy();
    })();
  });
  server.on('connect', (_request: IncomingMessage, socket: Duplex & { remoteAddress?: string }) => {
    socket.on('error', ignore);
    void (async () => {
      const recorded = await turnAway('tunnel', 405, socket.remoteAddress ?? '');
      if (recorded) socket.end(bareAnswer(405));
      else socket.destroy();
    })();
  });
  server.on(
    'clientError',
    (error: NodeJS.ErrnoException, socket: Duplex & { remoteAddress?: string; bytesWritten?: number }) => {
      socket.on('error', ignore);
      const { fault, status } = faultOf(error);
      // A connection that breaks, or that has been answered before, gets no second answer into its stream.
      if (error.code === 'ECONNRESET' || !socket.writable || (socket.bytesWritten ?? 0) > 0) {
        socket.destroy();
        return;
      }
      void (async () => {
        const recorded = await turnAway(fault, status, socket.remoteAddress ?? '');
        if (recorded && socket.writable) socket.end(bareAnswer(status));
        else socket.destroy();
      })();
    },
  );
  server.on('tlsClientError', (_error: Error, socket: Duplex) => {
    metrics.count('weir_spoke_http_tls_failures_total');
    socket.destroy();
  });
  server.on('drop', () => metrics.count('weir_spoke_http_dropped_total'));
  let connections = 0;
  server.on('connection', (socket: Duplex) => {
    connections += 1;
    metrics.gauge('weir_spoke_http_connections', connections);
    // Pipelined requests each listen for the end of their connection.
    socket.setMaxListeners(0);
    socket.on('error', ignore);
    socket.on('close', () => {
      connections -= 1;
      metrics.gauge('weir_spoke_http_connections', connections);
    });
  });

  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(cannotListen(cause, options)));
    server.listen({ host: options.host, port: options.port }, resolve);
  });
  server.on('error', (error) => logger.error({ error: describeThrown(error) }, 'the registry port failed'));
  const { port } = server.address() as AddressInfo;

  return {
    host: options.host,
    port,
    traffic: () => ({ ...traffic }),
    renewTls(tls) {
      tlsServer?.setSecureContext({ ...tls, minVersion: TLS_MIN_VERSION });
    },
    close(deadlineMs) {
      draining = true;
      return new Promise((resolve) => {
        const deadline = setTimeout(() => server.closeAllConnections(), deadlineMs);
        server.close(() => {
          clearTimeout(deadline);
          resolve();
        });
        server.closeIdleConnections();
      });
    },
  };
}

/** Node's request in our own words; what is rarely asked for is made only then. */
class ReceivedRequest implements ListenerRequest {
  readonly encrypted: boolean;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  #abort: AbortController | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, encrypted: boolean) {
    this.#request = request;
    this.#response = response;
    this.encrypted = encrypted;
  }

  get method(): string {
    return this.#request.method ?? '';
  }

  get url(): string {
    return this.#request.url ?? '';
  }

  get rawHeaders(): readonly string[] {
    return this.#request.rawHeaders;
  }

  get remoteAddress(): string {
    return this.#request.socket.remoteAddress ?? '';
  }

  get signal(): AbortSignal {
    if (this.#abort !== undefined) return this.#abort.signal;
    const abort = new AbortController();
    this.#abort = abort;
    const { socket } = this.#request;
    const response = this.#response;
    const onClose = (): void => abort.abort(new WeirError('cancelled', 'the client left'));
    if (socket.destroyed) onClose();
    socket.once('close', onClose);
    response.once('finish', () => socket.off('close', onClose));
    return abort.signal;
  }

  readBody(limitBytes: number): Promise<Buffer> {
    const request = this.#request;
    if (Number(request.headers['content-length'] ?? 0) > limitBytes) return Promise.reject(bodyTooLarge(limitBytes));
    if (request.headers.expect !== undefined) this.#response.writeContinue();
    // Not by iteration: leaving that early would destroy the connection before the refusal is on it.
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let held = 0;
      request.on('data', (chunk: Buffer) => {
        held += chunk.length;
        if (held <= limitBytes) chunks.push(chunk);
        else reject(bodyTooLarge(limitBytes));
      });
      request.on('end', () => resolve(Buffer.concat(chunks)));
      const onBroken = (): void => {
        reject(new WeirError('cancelled', 'the client left before its request was complete'));
      };
      request.on('error', onBroken);
      request.on('close', onBroken);
    });
  }
}

const PLAIN = ['Content-Type', 'text/plain; charset=utf-8', 'Cache-Control', 'no-store'];

function text(sentence: string): Buffer {
  return Buffer.from(`${sentence}\n`);
}

function ignore(): void {
  // A broken client connection shows as `client_gone`, as an aborted signal or not at all; there is nobody to tell.
}

function bodyTooLarge(limitBytes: number): WeirError {
  return new WeirError('too_large', 'the request body is too large', { detail: { limit_bytes: limitBytes } });
}

/** Node reads and drops what is left of a body; an upload that announces too much is cut off instead. */
function dropOversizedUpload(request: IncomingMessage, response: ServerResponse, limitBytes: number): void {
  if (request.complete || Number(request.headers['content-length'] ?? 0) <= limitBytes) return;
  if (response.writableFinished) request.socket.destroy();
  else response.once('finish', () => request.socket.destroy());
}

function faultOf(error: NodeJS.ErrnoException): { readonly fault: TurnedAwayFault; readonly status: number } {
  if (error.code === 'HPE_HEADER_OVERFLOW') return { fault: 'header_too_large', status: 431 };
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return { fault: 'timeout', status: 408 };
  return { fault: 'malformed', status: 400 };
}

function bareAnswer(status: number): string {
  const reason = STATUS_CODES[status] ?? 'Refused';
  return `HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n`;
}

function cannotListen(cause: NodeJS.ErrnoException, { host, port }: ListenerOptions): WeirError {
  const why =
    cause.code === 'EADDRINUSE'
      ? 'the port is in use'
      : cause.code === 'EACCES'
        ? 'this user may not bind it'
        : 'the address cannot be bound';
  return new WeirError('unavailable', `cannot listen on ${host}:${port}: ${why}`, {
    cause,
    next: 'choose another port in the configuration or stop what uses it',
    detail: { port },
  });
}
