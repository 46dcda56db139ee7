// Writes one answer to one HTTP/1.1 request: a head as one prebuilt array, then either one buffer or a stream of file
// reads that waits for the client. Owns Content-Length, Content-Range, Date and Connection; everything else is the
// caller's. Nothing that a caller passes can break out of the head.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { asWeirError, WeirError } from '@weir/shared/errors/weir-error.ts';
import { byteRangeOf, type RangeRequest } from '../response/byte-range.ts';
import type { ByteSource } from './byte-source.ts';
import type { FileBuffers } from './file-buffers.ts';

export type Sent =
  /** All bytes were handed to the connection. */
  | { readonly kind: 'sent'; readonly bytes: number }
  /** The client left before the end. */
  | { readonly kind: 'client_gone'; readonly bytes: number }
  /**
   * The source failed. With `headSent` the connection has been reset, so that the client sees a broken transfer and never
   * a complete file; without it nothing has left and another answer may still be sent.
   */
  | { readonly kind: 'failed'; readonly bytes: number; readonly headSent: boolean; readonly error: WeirError };

export interface Reply {
  readonly headSent: boolean;
  /** This side has reset the connection. */
  readonly broken: boolean;
  /**
   * Sends a whole answer. For HEAD, 204 and 304 only the head leaves.
   * @param reason printable ASCII; anything else is replaced
   * @param rawHeaders names and values in turn
   * @param range of a 200 answer: lets the client have a part of it
   */
  sendBuffer(status: number, reason: string, rawHeaders: readonly string[], body: Buffer, range?: RangeRequest): void;
  /**
   * Streams a 200 answer (206 or 416 when `range` says so) and releases the source. The head waits for the first bytes.
   * Never rejects.
   */
  sendFile(reason: string, rawHeaders: readonly string[], source: ByteSource, range?: RangeRequest): Promise<Sent>;
  /** Resets the connection without an answer. */
  destroy(): void;
}

const EMPTY = Buffer.alloc(0);
const REASON_CHARACTERS_MAX = 100;

/** @param tally counts the bytes of bodies */
export function createReply(
  request: IncomingMessage,
  response: ServerResponse,
  buffers: FileBuffers,
  tally: { servedBytes: number } = { servedBytes: 0 },
): Reply {
  return new HttpReply(request, response, buffers, tally);
}

/** A class, because there is one for every request. */
class HttpReply implements Reply {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #buffers: FileBuffers;
  readonly #tally: { servedBytes: number };
  broken = false;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    buffers: FileBuffers,
    tally: { servedBytes: number },
  ) {
    this.#tally = tally;
    this.#request = request;
    this.#response = response;
    this.#buffers = buffers;
  }

  get headSent(): boolean {
    return this.#response.headersSent;
  }

  sendBuffer(status: number, reason: string, rawHeaders: readonly string[], body: Buffer, range?: RangeRequest): void {
    if (status !== 200 || range === undefined) {
      this.#whole(status, reason, rawHeaders, body);
      return;
    }
    const part = byteRangeOf(range, body.length);
    switch (part.kind) {
      case 'whole':
        this.#whole(200, reason, [...rawHeaders, ...BY_BYTES], body);
        break;
      case 'part': {
        const { start, end } = part;
        const headers = [...rawHeaders, ...BY_BYTES, 'Content-Range', `bytes ${start}-${end - 1}/${body.length}`];
        this.#whole(206, 'Partial Content', headers, body.subarray(start, end));
        break;
      }
      case 'unsatisfiable':
        this.#unsatisfiable(rawHeaders, body.length);
        break;
    }
  }

  async sendFile(
    reason: string,
    rawHeaders: readonly string[],
    source: ByteSource,
    range?: RangeRequest,
  ): Promise<Sent> {
    try {
      return await this.#stream(reason, rawHeaders, source, range);
    } finally {
      source.release();
    }
  }

  destroy(): void {
    this.broken = true;
    reset(this.#request);
  }

  #head(status: number, reason: string, headers: string[]): void {
    const response = this.#response;
    try {
      response.writeHead(status, printable(reason), headers);
    } catch (error) {
      if (response.headersSent) throw error;
      response.writeHead(status, printable(reason), headers.map(headerText));
    }
  }

  #whole(status: number, reason: string, rawHeaders: readonly string[], body: Buffer): void {
    const bare = status === 204 || status === 304;
    this.#head(status, reason, bare ? [...rawHeaders] : [...rawHeaders, 'Content-Length', String(body.length)]);
    if (bare || this.#request.method === 'HEAD') this.#response.end();
    else {
      this.#tally.servedBytes += body.length;
      this.#response.end(body);
    }
  }

  #unsatisfiable(rawHeaders: readonly string[], size: number): void {
    const headers = [...rawHeaders, ...BY_BYTES, 'Content-Range', `bytes */${size}`];
    this.#whole(416, 'Range Not Satisfiable', headers, EMPTY);
  }

  async #stream(
    reason: string,
    rawHeaders: readonly string[],
    source: ByteSource,
    range?: RangeRequest,
  ): Promise<Sent> {
    const [request, response, buffers] = [this.#request, this.#response, this.#buffers];
    const { size } = source;
    const part = size === null || range === undefined ? WHOLE : byteRangeOf(range, size);
    if (part.kind === 'unsatisfiable') {
      this.#unsatisfiable(rawHeaders, size ?? 0);
      return { kind: 'sent', bytes: 0 };
    }
    const start = part.kind === 'part' ? part.start : 0;
    const end = part.kind === 'part' ? part.end : (size ?? Number.POSITIVE_INFINITY);
    const fileHead = (): void => {
      const headers = [...rawHeaders, ...BY_BYTES];
      if (part.kind === 'part') headers.push('Content-Range', `bytes ${start}-${end - 1}/${size}`);
      if (size !== null) headers.push('Content-Length', String(end - start));
      this.#head(part.kind === 'part' ? 206 : 200, part.kind === 'part' ? 'Partial Content' : reason, headers);
    };
    if (request.method === 'HEAD') {
      fileHead();
      response.end();
      return { kind: 'sent', bytes: 0 };
    }

    const connection = watch(request, response);
    let position = start;
    let buffer: Buffer | undefined;
    try {
      for (;;) {
        buffer ??= buffers.take(end - position);
        const left = end - position;
        const room = left < buffer.length ? buffer.subarray(0, left) : buffer;
        const count = room.length === 0 ? 0 : await source.read(room, position);
        if (connection.gone()) return { kind: 'client_gone', bytes: position - start };
        if (count === 0 && position < end && size !== null) {
          throw new WeirError('corrupt', 'a stored artifact is shorter than it should be');
        }
        if (!response.headersSent) fileHead();
        const last = count === 0 || position + count === end;
        const chunk = room.subarray(0, count);
        const flushed = await connection.flushed((done) => {
          if (last) response.end(chunk, done);
          else response.write(chunk, done);
        });
        // Until the connection has let go of the bytes, the buffer must not be used again.
        if (!flushed) {
          buffer = undefined;
          return { kind: 'client_gone', bytes: position - start };
        }
        position += count;
        this.#tally.servedBytes += count;
        if (last) return { kind: 'sent', bytes: position - start };
      }
    } catch (thrown) {
      const headSent = response.headersSent;
      if (headSent) this.destroy();
      const error = asWeirError(thrown, 'internal', 'the artifact could not be read');
      return { kind: 'failed', bytes: position - start, headSent, error };
    } finally {
      if (buffer !== undefined) buffers.give(buffer);
      connection.release();
    }
  }
}

/** Told with every answer that a client may have in parts, from memory or from disk. */
const BY_BYTES = ['Accept-Ranges', 'bytes'] as const;
const WHOLE = { kind: 'whole' } as const;

/** Follows one connection for the length of one streamed answer. */
function watch(
  request: IncomingMessage,
  response: ServerResponse,
): {
  gone(): boolean;
  /** Starts a write; true when it was flushed, false when the connection closed first. */
  flushed(write: (done: (error?: Error | null) => void) => void): Promise<boolean>;
  release(): void;
} {
  const { socket } = request;
  let waiting: ((flushed: boolean) => void) | undefined;
  const onClose = (): void => waiting?.(false);
  socket.on('close', onClose);
  response.on('error', onClose);
  return {
    gone: () => socket.destroyed || response.destroyed,
    flushed: (write) =>
      new Promise((resolve) => {
        waiting = resolve;
        write((error) => resolve(error === undefined || error === null));
      }),
    release() {
      socket.off('close', onClose);
    },
  };
}

/** Breaks the connection in a way that no client takes for the end of an answer, not even an HTTP/1.0 one. */
function reset({ socket }: IncomingMessage): void {
  if ('encrypted' in socket) socket.destroy();
  else socket.resetAndDestroy();
}

/** A reason phrase that every client can print on one line. */
function printable(reason: string): string {
  if (reason.length <= REASON_CHARACTERS_MAX && /^[\x20-\x7e]*$/.test(reason)) return reason;
  return reason.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, REASON_CHARACTERS_MAX);
}

function headerText(text: string): string {
  return text.replaceAll(/[^\t\x20-\x7e]/g, '?');
}
