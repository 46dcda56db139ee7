// What rows are pushed to: a syslog receiver that reads octet-counted messages over TCP or TLS, and an HTTP endpoint that
// reads lines. A message counts once it is kept; both can be made slow, refuse, die in the middle and come back on their port.

import { createServer as createHttp, type IncomingMessage, type Server as HttpServer } from 'node:http';
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from 'node:net';
import { TLSSocket, type TLSSocketOptions } from 'node:tls';
import { gunzipSync } from 'node:zlib';

export interface SyslogReceiver extends AsyncDisposable {
  readonly port: number;
  /** Everything kept, in order of arrival, repetitions included. */
  readonly messages: readonly string[];
  /** Connections so far. */
  connections(): number;
  /** After so many more messages the process dies: connections are reset, the port is closed, what was read is lost. */
  dieAfter(messages: number): void;
  /** Reads only so many bytes at a time, with a pause between them. */
  slow(bytes: number, pauseMs: number): void;
  /** Comes back on the same port. */
  listen(): Promise<void>;
}

export async function syslogReceiver(tls?: Pick<TLSSocketOptions, 'key' | 'cert'>): Promise<SyslogReceiver> {
  const messages: string[] = [];
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let port = 0;
  let connected = 0;
  let left = Number.POSITIVE_INFINITY;
  let pace: { readonly bytes: number; readonly pauseMs: number } | undefined;

  /** As after a kill with unread bytes: the other side is told by a reset, not by an end. */
  function die(): void {
    left = Number.POSITIVE_INFINITY;
    for (const socket of sockets) socket.resetAndDestroy();
    server?.close();
    server = undefined;
  }

  /** Closes only when everything is kept: that is what a sender takes for a yes. */
  async function serve(socket: Socket): Promise<void> {
    let held: Buffer = Buffer.alloc(0);
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.length; ) {
        const step = pace?.bytes ?? chunk.length;
        if (pace !== undefined) await new Promise((resolve) => setTimeout(resolve, pace?.pauseMs));
        if (socket.destroyed) return;
        held = keep(Buffer.concat([held, chunk.subarray(at, at + step)]));
        at += step;
      }
    }
    if (held.length > 0) throw new Error('a message was cut off without an error');
    socket.end();
  }

  function keep(bytes: Buffer): Buffer {
    let rest = bytes;
    for (;;) {
      const space = rest.indexOf(0x20);
      if (space === -1) return rest;
      const length = Number(rest.subarray(0, space).toString('ascii'));
      if (!Number.isInteger(length)) throw new Error('not octet counted');
      if (rest.length < space + 1 + length) return rest;
      if (left === 0) {
        die();
        return Buffer.alloc(0);
      }
      left -= 1;
      messages.push(rest.subarray(space + 1, space + 1 + length).toString('utf8'));
      rest = rest.subarray(space + 1 + length);
    }
  }

  async function listen(): Promise<void> {
    const made = createTcp({ allowHalfOpen: true }, (socket) => {
      connected += 1;
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      const plain = tls === undefined ? socket : new TLSSocket(socket, { ...tls, isServer: true });
      // Resets by the other side end a connection like anything else.
      for (const one of [socket, plain]) one.on('error', () => undefined);
      serve(plain).catch(() => socket.destroy());
    });
    server = made;
    await new Promise<void>((resolve, reject) => {
      made.once('error', reject);
      made.listen(port, '127.0.0.1', resolve);
    });
    ({ port } = made.address() as AddressInfo);
  }

  await listen();
  return {
    get port() {
      return port;
    },
    messages,
    connections: () => connected,
    dieAfter: (count) => {
      left = count;
    },
    slow: (bytes, pauseMs) => {
      pace = { bytes, pauseMs };
    },
    listen,
    async [Symbol.asyncDispose]() {
      die();
    },
  };
}

export interface PostedBatch {
  readonly headers: IncomingMessage['headers'];
  readonly path: string;
  readonly lines: readonly string[];
}

export interface WebhookReceiver extends AsyncDisposable {
  readonly url: string;
  /** Lines that were answered with 200, in order, repetitions included. */
  readonly lines: readonly string[];
  readonly batches: readonly PostedBatch[];
  /** Decides over each batch: 200 keeps it, another status refuses it, 'die' resets the connection after having read half. */
  answer: (
    batch: PostedBatch,
  ) =>
    | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly pauseMs?: number }
    | 'die'
    | 'die_after_keeping';
  close(): Promise<void>;
  listen(): Promise<void>;
}

export async function webhookReceiver(): Promise<WebhookReceiver> {
  const lines: string[] = [];
  const batches: PostedBatch[] = [];
  let server: HttpServer | undefined;
  let port = 0;
  const receiver: WebhookReceiver = {
    get url() {
      return `http://127.0.0.1:${port}/rows`;
    },
    lines,
    batches,
    answer: () => ({ status: 200 }),
    close: () =>
      new Promise((resolve) => {
        server?.close(() => resolve());
        server?.closeAllConnections();
      }),
    async listen() {
      const made = createHttp((request, response) => {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.on('end', () => {
          const sent = Buffer.concat(chunks);
          const text = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent).toString('utf8');
          const batch = { headers: request.headers, path: request.url ?? '', lines: text.split('\n').slice(0, -1) };
          batches.push(batch);
          const answer = receiver.answer(batch);
          if (answer === 'die') return request.socket.resetAndDestroy();
          const kept = answer === 'die_after_keeping' || answer.status === 200;
          if (kept) lines.push(...batch.lines);
          if (answer === 'die_after_keeping') return request.socket.resetAndDestroy();
          return setTimeout(() => {
            response.writeHead(answer.status, answer.headers);
            response.end('{}');
          }, answer.pauseMs ?? 0);
        });
        request.on('error', () => undefined);
      });
      server = made;
      await new Promise<void>((resolve) => made.listen(port, '127.0.0.1', resolve));
      ({ port } = made.address() as AddressInfo);
    },
    [Symbol.asyncDispose]: () => receiver.close(),
  };
  await receiver.listen();
  return receiver;
}
