// Compares the bytes of an artifact, as they pass, with every digest that the index promised for it. SHA-256 is always
// computed, because it is the artifact's name in the cache.

import { createHash, type Hash } from 'node:crypto';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

/** Lower-case hex, as the index has it. */
export interface PromisedDigests {
  readonly sha512?: string | undefined;
  readonly sha256?: string | undefined;
  readonly sha1?: string | undefined;
}

export interface DigestMismatch {
  readonly algorithm: string;
  readonly promised: string;
  readonly got: string;
}

const HEX_DIGITS = { sha512: 128, sha256: 64, sha1: 40 } as const;
type Algorithm = keyof typeof HEX_DIGITS;
const STRONGEST_FIRST: readonly Algorithm[] = ['sha512', 'sha256', 'sha1'];

export class PromiseCheck {
  readonly #promised: PromisedDigests;
  readonly #hashes = new Map<Algorithm, Hash>([['sha256', createHash('sha256')]]);

  /** @throws WeirError `upstream_failed` when a promised digest is none: then nothing could be compared */
  constructor(promised: PromisedDigests) {
    this.#promised = promised;
    for (const algorithm of STRONGEST_FIRST) {
      const digest = promised[algorithm];
      if (digest === undefined) continue;
      if (digest.length !== HEX_DIGITS[algorithm] || !/^[0-9a-f]+$/.test(digest)) {
        throw new WeirError('upstream_failed', 'the index promises a digest that cannot be one', {
          detail: { fault: 'bad_digest', algorithm },
        });
      }
      if (!this.#hashes.has(algorithm)) this.#hashes.set(algorithm, createHash(algorithm));
    }
  }

  update(bytes: Uint8Array): void {
    for (const hash of this.#hashes.values()) hash.update(bytes);
  }

  /** To be called once. The strongest broken promise is named. */
  finish(): { readonly sha256: string; readonly mismatch: DigestMismatch | undefined } {
    let sha256 = '';
    let mismatch: DigestMismatch | undefined;
    for (const algorithm of STRONGEST_FIRST) {
      const got = this.#hashes.get(algorithm)?.digest('hex');
      if (got === undefined) continue;
      if (algorithm === 'sha256') sha256 = got;
      const promised = this.#promised[algorithm];
      if (promised !== undefined && promised !== got) mismatch ??= { algorithm, promised, got };
    }
    return { sha256, mismatch };
  }
}

/** Whether the index promised anything that the bytes can be held to. */
export function hasPromise(promised: PromisedDigests): boolean {
  return STRONGEST_FIRST.some((algorithm) => promised[algorithm] !== undefined);
}
