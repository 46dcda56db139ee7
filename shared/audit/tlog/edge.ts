// The right edge of a growing tree: one hash for each complete subtree, as many as the size has one-bits. It is all that
// is needed to add leaves and to know the root, and it stays below two kilobytes for any log.

import { WeirError } from '../../errors/weir-error.ts';
import { EMPTY_ROOT, HASH_BYTES, nodeHash } from './hash.ts';

export class TreeEdge {
  #size = 0;
  /** By level: the complete subtree of 2^level leaves at the edge. An entry counts only where `size` has that bit. */
  readonly #subtrees: Buffer[] = [];

  /** Leaves so far. */
  get size(): number {
    return this.#size;
  }

  /** Adds one leaf hash, which must not be written to afterwards. Throws `invalid_argument` unless it is 32 bytes. */
  append(leaf: Buffer): void {
    if (leaf.length !== HASH_BYTES) throw new WeirError('invalid_argument', `a leaf hash is ${HASH_BYTES} bytes`);
    if (this.#size === Number.MAX_SAFE_INTEGER) throw new WeirError('resource_exhausted', 'the log is full');
    let subtree = leaf;
    let level = 0;
    for (let left = this.#size; left % 2 === 1; left = (left - 1) / 2) {
      subtree = nodeHash(this.#subtrees[level] as Buffer, subtree);
      level += 1;
    }
    this.#subtrees[level] = subtree;
    this.#size += 1;
  }

  root(): Buffer {
    let root: Buffer | undefined;
    for (const [, subtree] of this.#complete()) root = root === undefined ? subtree : nodeHash(subtree, root);
    return root ?? EMPTY_ROOT;
  }

  /** The edge's hashes from left to right, largest subtree first; with the size this is the whole state. */
  encode(): Buffer {
    return Buffer.concat([...this.#complete()].map(([, subtree]) => subtree).toReversed());
  }

  clone(): TreeEdge {
    const copy = new TreeEdge();
    copy.#size = this.#size;
    for (const [level, subtree] of this.#complete()) copy.#subtrees[level] = subtree;
    return copy;
  }

  /** Throws `corrupt` when the bytes are not the edge of a tree of `size` leaves. */
  static decode(size: number, bytes: Uint8Array): TreeEdge {
    if (!Number.isSafeInteger(size) || size < 0) throw new WeirError('corrupt', 'a tree edge has an impossible size');
    const edge = new TreeEdge();
    edge.#size = size;
    const levels = edgeLevels(size);
    if (bytes.length !== levels.length * HASH_BYTES) {
      throw new WeirError(
        'corrupt',
        `the edge of ${size} leaves is ${levels.length} hashes, not ${bytes.length} bytes`,
      );
    }
    const copy = Buffer.from(bytes);
    let end = copy.length;
    for (const level of levels) {
      edge.#subtrees[level] = copy.subarray(end - HASH_BYTES, end);
      end -= HASH_BYTES;
    }
    return edge;
  }

  /** Level and hash of each complete subtree, smallest first. */
  *#complete(): Generator<readonly [number, Buffer]> {
    for (const level of edgeLevels(this.#size)) yield [level, this.#subtrees[level] as Buffer];
  }
}

/** The one-bits of a size, lowest first: the levels of the complete subtrees it is made of. */
function edgeLevels(size: number): readonly number[] {
  const levels: number[] = [];
  for (let level = 0, rest = size; rest > 0; level += 1, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) levels.push(level);
  }
  return levels;
}
