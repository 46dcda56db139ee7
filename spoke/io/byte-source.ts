// What the listener streams from and the artifact cache offers: bytes at positions, some of which may still be on their
// way. The port that keeps the two apart.

import { WeirError } from '@weir/shared/errors/weir-error.ts';

export interface ByteSource {
  /** Total bytes; null while nobody knows. */
  readonly size: number | null;
  /**
   * Reads at most `target.length` bytes at `position` and waits for them when they are not there yet. Resolves with their
   * number, 0 at the end.
   * @throws WeirError when the bytes cannot be had or turned out not to be the promised ones
   */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Gives the source back; harmless when repeated. */
  release(): void;
}

/**
 * The whole content in memory, for small objects. Waits for everything, so the result is verified when the source is.
 * Does not release the source.
 * @throws WeirError `too_large` past `bytesMax`, or what `read` throws
 */
export async function readWhole(source: ByteSource, bytesMax: number): Promise<Buffer> {
  if (source.size !== null && source.size > bytesMax) throw overLimit(bytesMax);
  // One byte more than expected, so that the end is seen and not assumed.
  let bytes = Buffer.allocUnsafeSlow((source.size ?? Math.min(bytesMax, UNKNOWN_SIZE_BYTES)) + 1);
  let length = 0;
  for (;;) {
    const count = await source.read(bytes.subarray(length), length);
    if (count === 0) break;
    length += count;
    if (length > bytesMax) throw overLimit(bytesMax);
    if (length === bytes.length) bytes = Buffer.concat([bytes], Math.min(bytes.length * 2, bytesMax + 1));
  }
  // A copy of the exact size: a view would keep the larger memory alive for as long as the object is cached.
  const exact = Buffer.allocUnsafeSlow(length);
  bytes.copy(exact, 0, 0, length);
  return exact;
}

const UNKNOWN_SIZE_BYTES = 64 << 10;

function overLimit(bytesMax: number): WeirError {
  return new WeirError('too_large', 'the object is too large to be held in memory', {
    detail: { limit_bytes: bytesMax },
  });
}
