// A relay on loopback that keeps what passes: put before a spoke it shows everything that clients were told, put before an
// upstream everything that it was asked. It changes nothing, the Host header included.

import { request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { type LocalServer, startLocalServer } from './local-server.ts';

export interface Passed {
  readonly method: string;
  /** With query, as received. */
  readonly url: string;
  readonly requestHeaders: Readonly<Record<string, string | undefined>>;
  readonly status: number;
  readonly reason: string;
  /** Names and values by turns, as sent. */
  readonly rawHeaders: readonly string[];
  /** As sent, still content-encoded. */
  readonly body: Buffer;
}

export interface Tap extends AsyncDisposable {
  readonly origin: string;
  /** In order of completion. */
  readonly passed: readonly Passed[];
  close(): Promise<void>;
}

/** @param target origin of the server behind; asked for anew with each request, since a restart changes it */
export async function startTap(target: () => string): Promise<Tap> {
  const passed: Passed[] = [];
  const server: LocalServer = await startLocalServer(
    (incoming, outgoing) => new Promise((resolve) => relay(target(), incoming, outgoing, passed, resolve)),
  );
  const close = (): Promise<void> => server.close();
  return { origin: server.origin, passed, close, [Symbol.asyncDispose]: close };
}

function relay(
  target: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  passed: Passed[],
  done: () => void,
): void {
  const { hostname, port } = new URL(target);
  const ahead = forward({
    hostname,
    port,
    method: incoming.method,
    path: incoming.url,
    headers: incoming.rawHeaders,
    agent: false,
  });
  ahead.on('error', () => {
    outgoing.destroy();
    done();
  });
  ahead.on('response', (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('end', () => {
      passed.push({
        method: incoming.method ?? '',
        url: incoming.url ?? '',
        requestHeaders: incoming.headers as Readonly<Record<string, string | undefined>>,
        status: response.statusCode ?? 0,
        reason: response.statusMessage ?? '',
        rawHeaders: response.rawHeaders,
        body: Buffer.concat(chunks),
      });
      done();
    });
    outgoing.sendDate = false;
    outgoing.writeHead(response.statusCode ?? 502, response.statusMessage ?? '', response.rawHeaders);
    response.pipe(outgoing);
  });
  incoming.pipe(ahead);
}

/** Head and body as text, content-encoding undone. */
export function textOf(exchange: Passed): string {
  const encoding = headerOf(exchange, 'content-encoding');
  let body = exchange.body;
  if (encoding === 'gzip' && body.length > 0) body = gunzipSync(body);
  if (encoding === 'br' && body.length > 0) body = brotliDecompressSync(body);
  return `${exchange.status} ${exchange.reason}\n${exchange.rawHeaders.join('\n')}\n\n${body.toString('latin1')}`;
}

/** A response header, '' when absent. */
export function headerOf(exchange: Passed, name: string): string {
  const at = exchange.rawHeaders.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === name);
  return at === -1 ? '' : (exchange.rawHeaders[at + 1] ?? '');
}
