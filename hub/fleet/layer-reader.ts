// Reads slices of layers for many spokes at once: large blocks come from the store once and are shared, within a bound.

import type { Digest } from '@weir/shared/domain/digest.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { BundleStore } from '../store/bundle-store.ts';

export const LAYER_READER_LIMITS = { blockBytes: 1 << 20, blocks: 64 } as const;

export interface LayerReader {
  /** Up to `limit` bytes from `offset`, at least one unless `offset` is the end. @throws WeirError `not_found` */
  read(digest: Digest, offset: number, limit: number): Promise<Uint8Array>;
}

export function createLayerReader(store: Pick<BundleStore, 'readLayer'>): LayerReader {
  const { blockBytes, blocks } = LAYER_READER_LIMITS;
  /** Least recently used first. Promises, so that a thousand spokes asking at once cause one read. */
  const cache = new Map<string, Promise<Uint8Array>>();

  async function load(digest: Digest, index: number): Promise<Uint8Array> {
    const bytes = await store.readLayer(digest, index * blockBytes, blockBytes);
    if (bytes === undefined) throw new WeirError('not_found', 'there is no such layer');
    return bytes;
  }

  function block(digest: Digest, index: number): Promise<Uint8Array> {
    const key = `${digest}/${index}`;
    const known = cache.get(key);
    const wanted = known ?? load(digest, index);
    cache.delete(key);
    cache.set(key, wanted);
    if (known === undefined) {
      wanted.catch(() => cache.delete(key));
      for (const oldest of cache.keys()) {
        if (cache.size <= blocks) break;
        cache.delete(oldest);
      }
    }
    return wanted;
  }

  return {
    async read(digest, offset, limit) {
      const index = Math.floor(offset / blockBytes);
      const start = offset - index * blockBytes;
      return (await block(digest, index)).subarray(start, start + limit);
    },
  };
}
