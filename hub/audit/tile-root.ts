// The hash that a tile has one level up: the root over its hashes.

import { HASH_BYTES, nodeHash } from '@weir/shared/audit/tlog/hash.ts';

/** Root over the hashes in `bytes`, whose number is a power of two. */
export function tileRoot(bytes: Buffer): Buffer {
  if (bytes.length === HASH_BYTES) return bytes;
  const middle = bytes.length / 2;
  return nodeHash(tileRoot(bytes.subarray(0, middle)), tileRoot(bytes.subarray(middle)));
}
