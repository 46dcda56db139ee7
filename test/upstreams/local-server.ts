// A loopback HTTP server for tests: an ephemeral port, a journal of requests, and a close that leaves no handle behind.

import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SeenRequest {
  readonly method: string;
  /** With query, as received. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

export interface LocalServer extends AsyncDisposable {
  readonly port: number;
  /** `http://127.0.0.1:<port>`, no trailing '/'. */
  readonly origin: string;
  /** In order of arrival; never cleared by the server itself. */
  readonly requests: SeenRequest[];
  /** Idempotent; open connections are cut. */
  close(): Promise<void>;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** A handler that throws is answered with 500 and its message. */
export async function startLocalServer(handler: Handler): Promise<LocalServer> {
  const requests: SeenRequest[] = [];
  const server = createServer((request, response) => {
    requests.push({
      method: request.method ?? '',
      url: request.url ?? '',
      headers: request.headers as Readonly<Record<string, string | undefined>>,
    });
    void run(handler, request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const close = once(() => closeServer(server));
  return { port, origin: `http://127.0.0.1:${port}`, requests, close, [Symbol.asyncDispose]: close };
}

async function run(handler: Handler, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    await handler(request, response);
  } catch (thrown) {
    if (!response.headersSent) response.writeHead(500);
    response.end(thrown instanceof Error ? thrown.message : 'failed');
  }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** The same promise on every call. */
export function once(action: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= action());
}
