// Inclusion and consistency proofs of RFC 6962 (= RFC 9162 §2.1): built from the hashes of complete subtrees, wherever
// those are kept, and checked from the proof alone. Indexes pass 2^31, so there are no bit operators here.

import { WeirError } from '../../errors/weir-error.ts';
import { EMPTY_ROOT, HASH_BYTES, nodeHash } from './hash.ts';

/** The hash of the complete subtree over leaves [index * 2^level, (index + 1) * 2^level). */
export type NodeReader = (level: number, index: number) => Promise<Buffer>;

/** Hashes that the leaf at `index` needs to reach the root at `size`, leaf's sibling first. */
export async function inclusionProof(size: number, index: number, read: NodeReader): Promise<Buffer[]> {
  checkSizes(size, index, 'an inclusion proof is for an index below the size');
  if (index === size) throw new WeirError('invalid_argument', 'an inclusion proof is for an index below the size');
  const siblings: Promise<Buffer>[] = [];
  for (let start = 0, count = size; count > 1; ) {
    const half = splitOf(count);
    if (index < start + half) {
      siblings.push(rangeHash(start + half, count - half, read));
      count = half;
    } else {
      siblings.push(rangeHash(start, half, read));
      start += half;
      count -= half;
    }
  }
  return (await Promise.all(siblings)).toReversed();
}

/** Hashes that show the tree of `oldSize` to be a prefix of that of `newSize`; none when either is empty or they are equal. */
export async function consistencyProof(oldSize: number, newSize: number, read: NodeReader): Promise<Buffer[]> {
  checkSizes(newSize, oldSize, 'a consistency proof is from a smaller size to a larger');
  if (oldSize === 0 || oldSize === newSize) return [];
  const hashes: Promise<Buffer>[] = [];
  let start = 0;
  let count = newSize;
  while (oldSize !== start + count) {
    const half = splitOf(count);
    if (oldSize <= start + half) {
      hashes.push(rangeHash(start + half, count - half, read));
      count = half;
    } else {
      hashes.push(rangeHash(start, half, read));
      start += half;
      count -= half;
    }
  }
  // The old tree's last subtree is known to the verifier only when it is the whole old tree.
  if (start > 0) hashes.push(rangeHash(start, count, read));
  return (await Promise.all(hashes)).toReversed();
}

/** Root of the tree of the first `size` leaves. */
export async function rootAt(size: number, read: NodeReader): Promise<Buffer> {
  checkSizes(size, 0, 'a tree has a size');
  return size === 0 ? EMPTY_ROOT : rangeHash(0, size, read);
}

/** Whether `leaf` is the leaf hash at `index` of the tree of `size` leaves with this root. Never throws. */
export function verifyInclusion(claim: {
  readonly size: number;
  readonly index: number;
  readonly leaf: Uint8Array;
  readonly proof: readonly Uint8Array[];
  readonly root: Uint8Array;
}): boolean {
  const { size, index, leaf, proof, root } = claim;
  if (!isCount(size) || !isCount(index) || index >= size || ![leaf, root, ...proof].every(isHash)) return false;
  let node = index;
  let last = size - 1;
  let hash = leaf;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && same(hash, root);
}

/**
 * Whether the tree of `oldSize` leaves with `oldRoot` is a prefix of that of `newSize` with `newRoot`. An empty old tree
 * is a prefix of every tree, and its proof has no hashes. Never throws.
 */
export function verifyConsistency(claim: {
  readonly oldSize: number;
  readonly newSize: number;
  readonly oldRoot: Uint8Array;
  readonly newRoot: Uint8Array;
  readonly proof: readonly Uint8Array[];
}): boolean {
  const { oldSize, newSize, oldRoot, newRoot, proof } = claim;
  if (!isCount(oldSize) || !isCount(newSize) || oldSize > newSize) return false;
  if (![oldRoot, newRoot, ...proof].every(isHash)) return false;
  if (newSize === 0 && !same(newRoot, EMPTY_ROOT)) return false;
  if (oldSize === newSize) return proof.length === 0 && same(oldRoot, newRoot);
  if (oldSize === 0) return proof.length === 0 && same(oldRoot, EMPTY_ROOT);

  let node = oldSize - 1;
  let last = newSize - 1;
  while (node % 2 === 1) {
    node = (node - 1) / 2;
    last = Math.floor(last / 2);
  }
  // The walk begins at the old tree's last complete subtree: the whole old tree when its size is a power of two.
  const [first, ...rest] = node === 0 ? [oldRoot, ...proof] : proof;
  if (first === undefined) return false;
  let oldHash = first;
  let newHash = first;
  for (const sibling of rest) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      oldHash = nodeHash(sibling, oldHash);
      newHash = nodeHash(sibling, newHash);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      newHash = nodeHash(newHash, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && same(oldHash, oldRoot) && same(newHash, newRoot);
}

/** Hash over `count` leaves from `start`, which lies on a boundary of the largest complete subtree within. */
async function rangeHash(start: number, count: number, read: NodeReader): Promise<Buffer> {
  const parts: Promise<Buffer>[] = [];
  for (let from = start, rest = count; rest > 0; ) {
    const { level, leaves } = largestWithin(rest);
    parts.push(read(level, from / leaves));
    from += leaves;
    rest -= leaves;
  }
  return (await Promise.all(parts)).reduceRight((right, left) => nodeHash(left, right));
}

/** The largest power of two that is at most `count`. */
function largestWithin(count: number): { readonly level: number; readonly leaves: number } {
  let level = 0;
  let leaves = 1;
  while (leaves * 2 <= count) {
    leaves *= 2;
    level += 1;
  }
  return { level, leaves };
}

/** The largest power of two below `count`: where RFC 6962 splits a tree. */
function splitOf(count: number): number {
  const { leaves } = largestWithin(count);
  return leaves === count ? leaves / 2 : leaves;
}

function checkSizes(size: number, within: number, what: string): void {
  if (!isCount(size) || !isCount(within) || within > size) throw new WeirError('invalid_argument', what);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isHash(value: Uint8Array): boolean {
  return value.length === HASH_BYTES;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
