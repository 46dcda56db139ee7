// Small objects in memory, ready to be sent: the head as one flat array and the body as one buffer, both made once and
// never changed. Bounded by bytes; the least recently used go first.

import { LRUCache } from 'lru-cache';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import { HOT_CACHE_LIMITS, type HotCacheLimits } from './io-limits.ts';

export interface HotObject {
  /** Names and values in turn, without the headers that `Reply` owns. */
  readonly head: readonly string[];
  /** Memory of its own, not a view into something larger. */
  readonly body: Buffer;
  /** Strong entity tag, '' when it has none. */
  readonly etag: string;
}

export interface HotCache<T extends HotObject = HotObject> {
  get(key: string): T | undefined;
  /** False when the object is too large to be kept. */
  put(key: string, object: T): boolean;
  delete(key: string): void;
  /** Forgets everything, e.g. when another bundle becomes active. */
  clear(): void;
  readonly bytes: number;
  readonly entries: number;
}

/** What an entry costs beside its body and head: map node, object and key. */
const ENTRY_OVERHEAD_BYTES = 512;

/** A `totalBytes` of 0 keeps nothing. */
export function createHotCache<T extends HotObject = HotObject>(
  metrics: Metrics,
  options: Partial<HotCacheLimits> = {},
): HotCache<T> {
  const limits: HotCacheLimits = { ...HOT_CACHE_LIMITS, ...options };
  const objectMax = Math.min(limits.objectBytes, limits.totalBytes - ENTRY_OVERHEAD_BYTES);
  const objects = new LRUCache<string, T>({
    maxSize: Math.max(1, limits.totalBytes),
    sizeCalculation: ({ head, body }, key) => costOf(head, body, key),
    dispose: (_object, _key, reason) => {
      if (reason === 'evict') metrics.count('weir_spoke_hot_evicted_total');
    },
  });

  function report(): void {
    metrics.gauge('weir_spoke_hot_bytes', objects.calculatedSize);
  }

  return {
    get: (key) => objects.get(key),
    put(key, object) {
      if (object.body.length > objectMax || costOf(object.head, object.body, key) > limits.totalBytes) {
        objects.delete(key);
        return false;
      }
      objects.set(key, object);
      report();
      return true;
    },
    delete(key) {
      objects.delete(key);
      report();
    },
    clear() {
      objects.clear();
      report();
    },
    get bytes() {
      return objects.calculatedSize;
    },
    get entries() {
      return objects.size;
    },
  };
}

function costOf(head: readonly string[], body: Buffer, key: string): number {
  let characters = key.length;
  for (const text of head) characters += text.length;
  return ENTRY_OVERHEAD_BYTES + characters + body.length;
}
