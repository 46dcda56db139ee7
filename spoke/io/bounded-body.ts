// Reads a response body whole, decompressed, within bounds on what arrives and on what it unpacks to: a compression bomb
// costs at most one chunk more than the bound, never the memory it was made for.

import type { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

export interface BodyLimits {
  /** Bytes as sent. */
  readonly encodedBytes: number;
  /** Bytes after decompression. */
  readonly decodedBytes: number;
}

/** Decompressed bytes held by all bodies being read at this moment; one budget is shared by a whole upstream client. */
export interface ByteBudget {
  /** @throws WeirError `resource_exhausted` when the budget is spent */
  take(bytes: number): void;
  give(bytes: number): void;
}

/** What the spoke offers upstream; each of them can be decoded here. */
export const ACCEPTED_ENCODINGS = 'gzip, br, zstd, deflate';

const DECODED_CHUNK_BYTES = 64 << 10;

/**
 * @param encoding the Content-Encoding header, '' when absent
 * @throws WeirError `too_large`, `resource_exhausted`, or `upstream_failed` for an unknown or broken encoding; errors of
 *   the body itself pass through
 */
export async function readBoundedBody(
  body: Readable,
  encoding: string,
  limits: BodyLimits,
  budget: ByteBudget,
): Promise<Buffer> {
  const decoder = decoderFor(encoding);
  const chunks: Buffer[] = [];
  let held = 0;
  let sourceError: unknown;

  async function* arriving(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let seen = 0;
    try {
      for await (const chunk of source) {
        seen += chunk.length;
        if (seen > limits.encodedBytes) throw tooLarge(limits.encodedBytes);
        yield chunk;
      }
    } catch (error) {
      sourceError = error;
      throw error;
    }
  }

  async function collect(source: AsyncIterable<Buffer>): Promise<void> {
    for await (const chunk of source) {
      if (held + chunk.length > limits.decodedBytes) throw tooLarge(limits.decodedBytes);
      budget.take(chunk.length);
      held += chunk.length;
      chunks.push(chunk);
    }
  }

  try {
    if (decoder === undefined) await pipeline(body, arriving, collect);
    else await pipeline(body, arriving, decoder, collect);
    return Buffer.concat(chunks, held);
  } catch (error) {
    if (sourceError !== undefined || error instanceof WeirError) throw sourceError ?? error;
    throw new WeirError('upstream_failed', 'the upstream registry sent a body that does not decompress', {
      cause: error,
      retry: 'later',
      detail: { fault: 'encoding' },
    });
  } finally {
    budget.give(held);
    body.destroy();
  }
}

export function createByteBudget(bytesMax: number): ByteBudget {
  let taken = 0;
  return {
    take(bytes) {
      if (taken + bytes > bytesMax) {
        throw new WeirError('resource_exhausted', 'too many large index documents are being read at once', {
          retry: 'later',
          detail: { fault: 'metadata_bytes_in_flight', limit_bytes: bytesMax },
        });
      }
      taken += bytes;
    },
    give(bytes) {
      taken -= bytes;
    },
  };
}

function decoderFor(encoding: string): Transform | undefined {
  const options = { chunkSize: DECODED_CHUNK_BYTES };
  switch (encoding.trim().toLowerCase()) {
    case '':
    case 'identity':
      return undefined;
    case 'gzip':
    case 'x-gzip':
      return createGunzip(options);
    case 'deflate':
      return createInflate(options);
    case 'br':
      return createBrotliDecompress(options);
    case 'zstd':
      return createZstdDecompress(options);
    default:
      // Also every stack of encodings, which no registry uses and bombs like.
      throw new WeirError('upstream_failed', 'the upstream registry used an unknown content encoding', {
        detail: { fault: 'encoding' },
      });
  }
}

function tooLarge(limitBytes: number): WeirError {
  return new WeirError('too_large', 'the upstream registry sent an index document over the size limit', {
    detail: { fault: 'metadata_too_large', limit_bytes: limitBytes },
  });
}
