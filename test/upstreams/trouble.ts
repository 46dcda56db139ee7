// The ways in which an upstream can misbehave, as switches of the local registries.

import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';

export type Trouble =
  /** Nothing is ever answered. */
  | { readonly kind: 'hang' }
  /** The connection is cut before any byte. */
  | { readonly kind: 'reset' }
  | { readonly kind: 'status'; readonly status: number; readonly body?: string }
  /** The right bytes, in pieces with pauses between them. */
  | { readonly kind: 'slow'; readonly pauseMs: number; readonly pieceBytes: number }
  /** The connection is cut after so many bytes of a longer announced body. */
  | { readonly kind: 'truncated'; readonly bytes: number }
  /** Announces a length that is off by `by`, then sends the right bytes and ends. */
  | { readonly kind: 'lying-length'; readonly by: number }
  /** Same length, other content. */
  | { readonly kind: 'wrong-bytes' }
  | { readonly kind: 'redirect'; readonly location: string; readonly status?: number }
  /** A small gzip body that unpacks to so many zero bytes. */
  | { readonly kind: 'gzip-bomb'; readonly bytes: number }
  /** So many bytes that belong to no document, without announcing a length. */
  | { readonly kind: 'endless'; readonly bytes: number }
  /** 200 with another body. */
  | { readonly kind: 'instead'; readonly body: string | Uint8Array; readonly contentType?: string };

export interface Answer {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** Sends the answer in the way that the trouble spoils it; resolves with the bytes that the connection took of it. */
export async function sendTroubled(response: ServerResponse, answer: Answer, trouble: Trouble): Promise<number> {
  const before = response.socket?.bytesWritten ?? 0;
  const { socket } = response;
  await spoil(response, answer, trouble);
  return (socket?.bytesWritten ?? 0) - before;
}

async function spoil(response: ServerResponse, answer: Answer, trouble: Trouble): Promise<void> {
  const { headers, body } = answer;
  switch (trouble.kind) {
    case 'hang':
      return;
    case 'reset':
      response.destroy();
      return;
    case 'status':
      response.writeHead(trouble.status, { 'content-type': 'text/plain' });
      response.end(trouble.body ?? 'trouble');
      return;
    case 'slow':
      response.writeHead(200, { ...headers, 'content-length': body.length });
      for (let start = 0; start < body.length && !response.destroyed; start += trouble.pieceBytes) {
        response.write(body.subarray(start, start + trouble.pieceBytes));
        await sleep(trouble.pauseMs, undefined, { ref: false });
      }
      response.end();
      return;
    case 'truncated':
      response.writeHead(200, { ...headers, 'content-length': body.length });
      response.write(body.subarray(0, trouble.bytes), () => response.destroy());
      return;
    case 'lying-length':
      // Written past node, which would not let a head lie about its body.
      response.socket?.end(
        Buffer.concat([head({ ...headers, 'content-length': `${Math.max(0, body.length + trouble.by)}` }), body]),
      );
      return;
    case 'wrong-bytes': {
      const spoiled = Buffer.from(body);
      for (let i = 0; i < spoiled.length; i += 97) spoiled[i] = (spoiled[i] ?? 0) ^ 0x5a;
      response.writeHead(200, { ...headers, 'content-length': spoiled.length });
      response.end(spoiled);
      return;
    }
    case 'redirect':
      response.writeHead(trouble.status ?? 302, { location: trouble.location });
      response.end();
      return;
    case 'gzip-bomb':
      response.writeHead(200, { ...headers, 'content-encoding': 'gzip' });
      response.end(gzipSync(Buffer.alloc(trouble.bytes), { level: 9 }));
      return;
    case 'endless': {
      response.writeHead(200, headers);
      const piece = Buffer.alloc(65_536, 0x20);
      for (let sent = 0; sent < trouble.bytes && !response.destroyed; sent += piece.length) {
        if (!response.write(piece)) await drained(response);
      }
      response.end();
      return;
    }
    case 'instead':
      response.writeHead(200, { ...headers, 'content-type': trouble.contentType ?? headers['content-type'] ?? '' });
      response.end(trouble.body);
      return;
  }
}

function head(headers: Readonly<Record<string, string>>): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`HTTP/1.1 200 OK\r\n${lines.join('')}connection: close\r\n\r\n`);
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}

/** Which path misbehaves how; the first match counts. */
export class TroubleTable {
  readonly #entries: { readonly path: RegExp; readonly trouble: Trouble }[] = [];
  /** Bytes of spoilt answers that connections took so far. */
  sentBytes = 0;

  /** @param path a path as requested (without query), or a pattern over it */
  set(path: string | RegExp, trouble: Trouble): void {
    const pattern = typeof path === 'string' ? new RegExp(`^${RegExp.escape(path)}$`) : path;
    this.#entries.unshift({ path: pattern, trouble });
  }

  clear(): void {
    this.#entries.length = 0;
  }

  find(path: string): Trouble | undefined {
    return this.#entries.find((entry) => entry.path.test(path))?.trouble;
  }
}
