// The two hashes of an RFC 6962 tree. Every row passes here on its way to the disk and again at the hub, so nothing is
// copied that need not be, and digests come as text first: for short inputs that halves the time of the call.

import { hash } from 'node:crypto';
import { WeirError } from '../../errors/weir-error.ts';

export const HASH_BYTES = 32;

/** Root of the tree without leaves: the SHA-256 of nothing. */
export const EMPTY_ROOT: Buffer = Buffer.from(hash('sha256', '', 'hex'), 'hex');

const LEAF_PREFIX = 0;
const NODE_PREFIX = 1;

/** Room for a prefix and a row; a longer input gets room of its own. */
const LEAF_SCRATCH_BYTES = 32 << 10;
const leafScratch = Buffer.alloc(LEAF_SCRATCH_BYTES);
const nodeScratch = Buffer.alloc(1 + 2 * HASH_BYTES);
nodeScratch[0] = NODE_PREFIX;

/** SHA-256(0x00 ‖ row). */
export function leafHash(row: Uint8Array): Buffer {
  const end = row.length + 1;
  const scratch = end <= LEAF_SCRATCH_BYTES ? leafScratch : Buffer.allocUnsafe(end);
  scratch[0] = LEAF_PREFIX;
  scratch.set(row, 1);
  return sha256(scratch.subarray(0, end));
}

/**
 * The leaf hash of the row at [start, end) of `buffer`, hashed where it lies: the byte before the row must be 0 and serves
 * as the prefix. Throws `internal` when it is not.
 */
export function leafHashAt(buffer: Uint8Array, start: number, end: number): Buffer {
  if (buffer[start - 1] !== LEAF_PREFIX || end < start || end > buffer.length) {
    throw new WeirError('internal', 'a row to be hashed in place is not preceded by a zero byte');
  }
  return sha256(buffer.subarray(start - 1, end));
}

/** SHA-256(0x01 ‖ left ‖ right). Throws `invalid_argument` unless both are 32 bytes. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  if (left.length !== HASH_BYTES || right.length !== HASH_BYTES) {
    throw new WeirError('invalid_argument', `a node is the hash of two hashes of ${HASH_BYTES} bytes`);
  }
  nodeScratch.set(left, 1);
  nodeScratch.set(right, 1 + HASH_BYTES);
  return sha256(nodeScratch);
}

function sha256(bytes: Uint8Array): Buffer {
  return Buffer.from(hash('sha256', bytes, 'binary'), 'latin1');
}
