// The spoke's admin port: health, metrics, status and questions, as JSON on loopback. It changes nothing.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { asWeirError, WeirError, type ErrorCode } from '@weir/shared/errors/weir-error.ts';

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|\[::1\]|localhost)$/;
const BODY_BYTES_MAX = 64 << 10;
const REQUEST_MS = 60_000;

export interface AdminPorts {
  ready(): Promise<boolean>;
  status(): Promise<unknown>;
  metrics(): Promise<{ readonly contentType: string; readonly body: string }>;
  /** The row behind a request code, undefined when this spoke has none. */
  why(code: string): Promise<unknown>;
  check(purl: string, signal: AbortSignal): Promise<unknown>;
}

export interface AdminServer {
  readonly port: number;
  close(): Promise<void>;
}

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  invalid_argument: 400,
  not_found: 404,
  too_large: 413,
  unavailable: 503,
  timeout: 504,
  upstream_failed: 502,
};

/** @throws WeirError `unavailable` when the port cannot be bound, `invalid_argument` for an address that is not loopback */
export async function startAdminServer(host: string, port: number, ports: AdminPorts): Promise<AdminServer> {
  if (!LOOPBACK.test(host)) {
    throw new WeirError('invalid_argument', `the admin port may only listen on loopback, not on ${host}`, {
      next: 'set admin.host to 127.0.0.1 and publish it through something that authenticates',
    });
  }
  const server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: 10_000 }, (request, response) => {
    void answer(request, response, ports);
  });
  server.maxConnections = 64;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new WeirError('unavailable', `cannot listen on ${host}:${port}`, { cause, next: 'choose another admin port' }),
      ),
    );
    server.listen({ host, port }, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, ports: AdminPorts): Promise<void> {
  try {
    const url = URL.parse(request.url ?? '/', 'http://spoke');
    if (url === null) throw new WeirError('invalid_argument', 'the address cannot be read');
    // A page in somebody's browser must not be able to ask, neither across origins nor under a name that it had rebound.
    const host = (request.headers.host ?? '').replace(/:\d+$/, '');
    if (request.headers.origin !== undefined || !LOOPBACK.test(host))
      throw new WeirError('forbidden', 'browsers are not served here');
    switch (`${request.method} ${url.pathname}`) {
      case 'GET /healthz':
        return json(response, 200, { ok: true });
      case 'GET /readyz': {
        const ready = await ports.ready();
        return json(response, ready ? 200 : 503, { ready });
      }
      case 'GET /metrics': {
        const { contentType, body } = await ports.metrics();
        response.writeHead(200, { 'content-type': contentType }).end(body);
        return;
      }
      case 'GET /status':
        return json(response, 200, await ports.status());
      case 'GET /why': {
        const row = await ports.why(url.searchParams.get('code') ?? '');
        if (row === undefined) throw new WeirError('not_found', 'this spoke has no row with that code');
        return json(response, 200, row);
      }
      case 'POST /check': {
        const purl = purlIn(await readBody(request));
        return json(response, 200, await ports.check(purl, AbortSignal.timeout(REQUEST_MS)));
      }
      default:
        throw new WeirError('not_found', 'there is no such page on the admin port');
    }
  } catch (thrown) {
    const error = asWeirError(thrown, 'internal', 'the admin request failed');
    json(response, STATUS[error.code] ?? (error.code === 'forbidden' ? 403 : 500), {
      error: { code: error.code, message: error.message, next: error.next },
    });
  }
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response
    .writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    .end(`${JSON.stringify(value)}\n`);
}

function purlIn(body: Buffer): string {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new WeirError('invalid_argument', 'the body is not JSON', { cause, next: 'send {"purl": "pkg:…"}' });
  }
  const purl = (value as { purl?: unknown } | null)?.purl;
  if (typeof purl === 'string') return purl;
  throw new WeirError('invalid_argument', 'the body does not name a purl', { next: 'send {"purl": "pkg:…"}' });
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_BYTES_MAX) throw new WeirError('too_large', 'the body is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
