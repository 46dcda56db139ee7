// The admin port: Connect, gRPC-Web and gRPC for console, CLI and scripts over HTTP/1.1, plus health and metrics. Every call
// shows an operator token, and is refused before a byte of its body is read when it does not.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { DescMethod } from '@bufbuild/protobuf';
import type { GenService, GenServiceMethods } from '@bufbuild/protobuf/codegenv2';
import {
  Code,
  ConnectError,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type ServiceImpl,
} from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { WeirError, describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { RegistryMetrics } from '@weir/shared/telemetry/metrics.ts';
import { rpcStatus } from '../rpc/error-map.ts';
import type { FailureLimiter } from '../rpc/failure-limiter.ts';
import type { Operator, OperatorContext } from '../rpc/handler.ts';
import type { AnyHandler, OperatorService } from '../rpc/service.ts';
import { isLoopback } from './loopback.ts';
import type { BoundPort } from './machine-server.ts';

export const ADMIN_LIMITS = {
  /** Largest request message: an intel document and a margin. */
  messageBytes: (64 << 20) + (1 << 20),
  connections: 512,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 120_000,
  drainMs: 3_000,
} as const;

export interface AdminServerOptions {
  readonly services: readonly OperatorService[];
  readonly authenticate: (authorization: string | null) => Promise<Operator>;
  readonly limiter: FailureLimiter;
  /** Whether the hub can do its work; asked by /readyz. */
  readonly ready: () => Promise<boolean>;
  readonly tls: { readonly certificate_file: string; readonly key_file: string } | null;
  readonly logger: Logger;
  readonly metrics: RegistryMetrics;
}

export interface AdminServer {
  /** @throws WeirError when the address is not loopback and there is no TLS, or the port is taken */
  listen(host: string, port: number): Promise<BoundPort>;
  close(): Promise<void>;
}

const OPERATOR = createContextKey<Operator>({ id: '', name: '' });

export async function createAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const draining = new AbortController();
  const rpc = connectNodeAdapter({
    routes: (router) => {
      for (const { service, handlers } of options.services) {
        router.service(service, implement(service, handlers, options, draining.signal));
      }
    },
    contextValues: (request) =>
      createContextValues().set(OPERATOR, operators.get(request as IncomingMessage) ?? OPERATOR.defaultValue),
    readMaxBytes: ADMIN_LIMITS.messageBytes,
    fallback: (_request, response) => answer(response as ServerResponse, 404, 'text/plain', 'there is nothing here\n'),
  });
  /** Set before the adapter sees the request; a weak map, because requests are not ours to extend. */
  const operators = new WeakMap<IncomingMessage, Operator>();

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'GET' && (await plainPage(request.url ?? '', response, options))) return;
    const address = request.socket.remoteAddress ?? '';
    try {
      operators.set(request, await options.authenticate(request.headers.authorization ?? null));
    } catch (thrown) {
      options.limiter.noteFailure(address);
      const blocked = options.limiter.isBlocked(address);
      options.metrics.count('weir_hub_admin_refused_total', {
        reason: blocked ? 'too_many_failures' : 'unauthenticated',
      });
      refuse(
        response,
        blocked && thrown instanceof WeirError && thrown.code === 'unauthenticated'
          ? new WeirError('resource_exhausted', 'too many calls without a valid token', {
              retry: 'later',
              next: 'wait a minute',
            })
          : thrown,
      );
      return;
    }
    rpc(request, response);
  }

  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    handle(request, response).catch((thrown: unknown) => {
      options.logger.error({ error: describeThrown(thrown) }, 'an admin request failed unexpectedly');
      if (!response.headersSent) refuse(response, thrown);
      else response.destroy();
    });
  };
  const settings = { headersTimeout: ADMIN_LIMITS.headersTimeoutMs, requestTimeout: ADMIN_LIMITS.requestTimeoutMs };
  const server: Server =
    options.tls === null
      ? createServer(settings, listener)
      : createSecureServer(
          {
            ...settings,
            minVersion: 'TLSv1.3',
            cert: await readFile(options.tls.certificate_file),
            key: await readFile(options.tls.key_file),
          },
          listener,
        );
  server.maxConnections = ADMIN_LIMITS.connections;

  return {
    async listen(host, port) {
      if (options.tls === null && !isLoopback(host)) {
        throw new WeirError('invalid_argument', `the admin port may not listen on ${host} without TLS`, {
          next: 'set admin.tls in hub.json, or keep it on 127.0.0.1',
        });
      }
      try {
        server.listen({ host, port });
        await once(server, 'listening');
      } catch (cause) {
        const busy = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
        throw new WeirError(
          'unavailable',
          `the admin port ${host}:${port} ${busy ? 'is in use' : 'cannot be opened'}`,
          {
            cause,
            next: busy ? 'stop what uses it or set WEIR_HUB_ADMIN_PORT' : `check the address: ${describeThrown(cause)}`,
          },
        );
      }
      const address = server.address();
      return { host, port: typeof address === 'object' && address !== null ? address.port : port };
    },
    async close() {
      draining.abort();
      const closed = once(server, 'close');
      server.close();
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), ADMIN_LIMITS.drainMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

async function plainPage(url: string, response: ServerResponse, options: AdminServerOptions): Promise<boolean> {
  switch (url) {
    case '/healthz':
      answer(response, 200, 'text/plain', 'ok\n');
      return true;
    case '/readyz': {
      const ready = await options.ready();
      answer(response, ready ? 200 : 503, 'text/plain', ready ? 'ready\n' : 'the database does not answer\n');
      return true;
    }
    case '/metrics':
      answer(response, 200, options.metrics.contentType, await options.metrics.text());
      return true;
    default:
      return false;
  }
}

function answer(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}

const HTTP_STATUS: Readonly<Partial<Record<Code, readonly [number, string]>>> = {
  [Code.ResourceExhausted]: [429, 'resource_exhausted'],
  [Code.Unavailable]: [503, 'unavailable'],
  [Code.Unauthenticated]: [401, 'unauthenticated'],
};

/** A refusal before any protocol was spoken: Connect's JSON error; gRPC clients read the HTTP status. */
function refuse(response: ServerResponse, thrown: unknown): void {
  const { code, message, trailers } = rpcStatus(thrown);
  const [status, name] = HTTP_STATUS[code] ?? [500, 'internal'];
  for (const [key, value] of Object.entries(trailers)) response.setHeader(key, value);
  if (status === 401) response.setHeader('www-authenticate', 'Bearer');
  // The body is not read: the connection cannot be used again.
  response.setHeader('connection', 'close');
  answer(response, status, 'application/json', JSON.stringify({ code: name, message }));
}

function implement(
  service: GenService<GenServiceMethods>,
  handlers: Readonly<Record<string, AnyHandler<OperatorContext>>>,
  options: AdminServerOptions,
  draining: AbortSignal,
): Partial<ServiceImpl<GenService<GenServiceMethods>>> {
  const implementation: Record<string, unknown> = {};
  for (const method of service.methods) {
    const handler = handlers[method.localName];
    if (handler === undefined) throw new WeirError('internal', `${method.name} has no handler`);
    implementation[method.localName] = adapt(method, handler.bind(handlers), options, draining);
  }
  return implementation as Partial<ServiceImpl<GenService<GenServiceMethods>>>;
}

function adapt(
  method: DescMethod,
  handler: AnyHandler<OperatorContext>,
  options: AdminServerOptions,
  draining: AbortSignal,
) {
  const name = `${method.parent.name}.${method.name}`;
  const contextOf = (context: HandlerContext): OperatorContext => ({
    operator: context.values.get(OPERATOR),
    signal: AbortSignal.any([context.signal, draining]),
  });
  const track = () => {
    const started = performance.now();
    return (code: number): void =>
      options.metrics.observe('weir_hub_admin_seconds', (performance.now() - started) / 1000, {
        method: name,
        code: String(code),
      });
  };
  const failed = (thrown: unknown, done: (code: number) => void): ConnectError => {
    const status = rpcStatus(thrown);
    done(status.code);
    if (status.unexpected) {
      const fields = { method: name, error: describeThrown(thrown), stack: (thrown as Error | undefined)?.stack };
      options.logger.error(fields, 'an rpc failed unexpectedly');
    }
    return new ConnectError(status.message, status.code, { ...status.trailers });
  };

  if (method.methodKind === 'server_streaming') {
    return async function* stream(request: unknown, context: HandlerContext) {
      const done = track();
      try {
        yield* handler(request, contextOf(context)) as AsyncIterable<unknown>;
        done(0);
      } catch (thrown) {
        throw failed(thrown, done);
      }
    };
  }
  return async (request: unknown, context: HandlerContext) => {
    const done = track();
    try {
      const response = await handler(request, contextOf(context));
      done(0);
      return response;
    } catch (thrown) {
      throw failed(thrown, done);
    }
  };
}
