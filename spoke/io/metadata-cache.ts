// Index documents for the request path: from memory while they are fresh, revalidated with upstream when they are not,
// and for a day, marked stale, when upstream does not answer. A document that its adapter cannot read is never kept.

import { LRUCache } from 'lru-cache';
import { type Digest, digestOf } from '@weir/shared/domain/digest.ts';
import { asWeirError, WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { MetadataDocument, UpstreamRequest } from '../registries/adapter.ts';
import { keyText } from './blob-store.ts';
import type { DocumentKeeper } from './cache-share.ts';
import { type Disk, nodeDisk } from './disk.ts';
import { METADATA_CACHE_LIMITS, type MetadataCacheLimits } from './io-limits.ts';
import { MetadataStore, type StoredDocument } from './metadata-store.ts';
import type { Upstream } from './upstream.ts';
import { untilAborted } from './until-aborted.ts';

export interface MetadataQuery<T> {
  /** Id of the configured registry. */
  readonly registry: string;
  readonly request: UpstreamRequest;
  /** Reads the document once; the result is kept with it. A throw means that the document is not usable. */
  readonly read: (document: MetadataDocument) => T;
  /** Asks for a confirmation that is not older than this; the cache's own freshness when absent. */
  readonly maxAgeMs?: number;
}

export type Metadata<T> =
  | {
      readonly kind: 'found';
      readonly document: MetadataDocument;
      /** Of the document's bytes. */
      readonly digest: Digest;
      /** What `read` made of it. */
      readonly value: T;
      /** When upstream last gave or confirmed it, unix milliseconds. */
      readonly confirmedAtMs: number;
      /** Upstream could not be asked although it was time to. */
      readonly stale: boolean;
      /** Whether the same question at this moment would get the same bytes, fresh and from memory. */
      readonly isCurrent: () => boolean;
    }
  | { readonly kind: 'absent' };

export interface MetadataCacheOptions {
  readonly upstream: Pick<Upstream, 'fetchMetadata'>;
  readonly folder: string;
  /** Who keeps the folder when it is not this process. */
  readonly keeper?: DocumentKeeper;
  readonly limits?: Partial<MetadataCacheLimits>;
  readonly disk?: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface MetadataCache<T> {
  /**
   * Concurrent callers share one request. `signal` ends the waiting of this caller only.
   * @throws WeirError as `Upstream.fetchMetadata`, or what `read` throws, when no stored document may stand in
   */
  get(query: MetadataQuery<T>, options?: { signal?: AbortSignal }): Promise<Metadata<T>>;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  close(): Promise<void>;
}

interface Entry<T> extends StoredDocument {
  readonly value: T;
  /** Until then a stale document is used without asking again, monotonic milliseconds. */
  readonly retryAtMs: number;
}

/** What a read document takes in memory, in multiples of its bytes: the bytes themselves and the parsed form. */
const MEMORY_FACTOR = 4;

/** Opens the cache in its folder. @throws WeirError `resource_exhausted` or `unavailable` when the folder is unusable */
export async function openMetadataCache<T extends object>(options: MetadataCacheOptions): Promise<MetadataCache<T>> {
  const { upstream, folder, clock, logger, metrics, disk = nodeDisk } = options;
  const limits: MetadataCacheLimits = { ...METADATA_CACHE_LIMITS, ...options.limits };
  const keeper = options.keeper === undefined ? {} : { keeper: options.keeper };
  const store = new MetadataStore({ folder, disk, limits, logger, ...keeper });
  await store.start();
  const memory = new LRUCache<string, Entry<T>>({
    maxSize: limits.memoryBytes,
    sizeCalculation: ({ document }) => document.bytes.length * MEMORY_FACTOR + 1,
  });
  /** Key to the wall time until which the absence is believed. */
  const absent = new LRUCache<string, number>({ max: limits.absentEntries });
  const flights = new Map<string, Promise<Metadata<T>>>();
  const closing = new AbortController();

  function ageOf(entry: StoredDocument): number {
    const age = clock.nowMs() - entry.confirmedAtMs;
    // A clock that went backwards says nothing about age, so nothing counts as fresh on its word.
    return age < 0 ? Number.POSITIVE_INFINITY : age;
  }

  function found(key: string, query: MetadataQuery<T>, entry: Entry<T>, stale: boolean): Metadata<T> {
    const { document, digest, value, confirmedAtMs } = entry;
    return {
      kind: 'found',
      document,
      digest,
      value,
      confirmedAtMs,
      stale,
      isCurrent: currency(key, digest, freshMs(query)),
    };
  }

  /** Names the document by its digest, so that whoever keeps the answer to this keeps no document in memory. */
  function currency(key: string, digest: Digest, withinMs: number): () => boolean {
    return () => {
      const entry = memory.get(key);
      return entry !== undefined && entry.digest === digest && ageOf(entry) <= withinMs;
    };
  }

  function keep(key: string, entry: Entry<T>): Entry<T> {
    memory.set(key, entry);
    metrics.gauge('weir_spoke_metadata_memory_bytes', memory.calculatedSize);
    metrics.gauge('weir_spoke_metadata_disk_bytes', store.bytes);
    return entry;
  }

  async function known(key: string, query: MetadataQuery<T>): Promise<Entry<T> | undefined> {
    const inMemory = memory.get(key);
    if (inMemory !== undefined) return inMemory;
    const stored = await store.load(key);
    if (stored === undefined) return undefined;
    try {
      return keep(key, { ...stored, value: query.read(stored.document), retryAtMs: 0 });
    } catch {
      // Stored by another version of the adapter; the fresh document decides.
      store.drop(key);
      return undefined;
    }
  }

  async function refresh(key: string, query: MetadataQuery<T>): Promise<Metadata<T>> {
    const entry = await known(key, query);
    if (entry !== undefined && ageOf(entry) <= freshMs(query)) return found(key, query, entry, false);
    if (entry !== undefined && entry.retryAtMs > clock.monotonicMs() && ageOf(entry) <= limits.staleMs) {
      return found(key, query, entry, true);
    }
    try {
      return await ask(key, query, entry);
    } catch (thrown) {
      const error = asWeirError(thrown, 'upstream_failed', 'the upstream registry sent an unusable index document');
      if (entry === undefined || !mayStandIn(error) || ageOf(entry) > limits.staleMs) throw error;
      metrics.count('weir_spoke_metadata_requests_total', { outcome: 'stale' });
      logger.warn({ registry: query.registry, code: error.code, ...error.internal }, 'a stale index document is used');
      return found(key, query, keep(key, { ...entry, retryAtMs: clock.monotonicMs() + limits.retryMs }), true);
    }
  }

  async function ask(key: string, query: MetadataQuery<T>, entry: Entry<T> | undefined): Promise<Metadata<T>> {
    const { signal } = closing;
    const validator = entry?.validator;
    const response = await upstream.fetchMetadata(query.registry, query.request, {
      signal,
      ...(validator === undefined ? {} : { validator }),
    });
    const confirmedAtMs = clock.nowMs();
    if (response.kind === 'not_found') {
      memory.delete(key);
      store.drop(key);
      absent.set(key, confirmedAtMs + limits.absentMs);
      metrics.count('weir_spoke_metadata_requests_total', { outcome: 'absent' });
      return { kind: 'absent' };
    }
    if (response.kind === 'not_modified') {
      if (entry === undefined)
        throw new WeirError('upstream_failed', 'the upstream registry confirmed what was not asked');
      metrics.count('weir_spoke_metadata_requests_total', { outcome: 'revalidated' });
      void store.confirm(key, confirmedAtMs);
      return found(key, query, keep(key, { ...entry, confirmedAtMs, retryAtMs: 0 }), false);
    }
    metrics.count('weir_spoke_metadata_requests_total', { outcome: 'fetched' });
    const { document } = response;
    const digest = digestOf(document.bytes);
    const value = readOr(query, document);
    const fresh = { document, digest, validator: response.validator, confirmedAtMs, value, retryAtMs: 0 };
    // On disk in the background: the answer does not wait for a cache.
    void store.save(key, fresh);
    return found(key, query, keep(key, fresh), false);
  }

  function freshMs({ maxAgeMs }: MetadataQuery<T>): number {
    return Math.min(maxAgeMs ?? limits.freshMs, limits.freshMs);
  }

  return {
    async get(query, { signal } = {}) {
      const { registry, request } = query;
      const key = keyText([registry, request.path, request.accept]);
      const entry = memory.get(key);
      if (entry !== undefined && ageOf(entry) <= freshMs(query)) {
        metrics.count('weir_spoke_metadata_requests_total', { outcome: 'hit' });
        return found(key, query, entry, false);
      }
      const absentUntil = absent.get(key);
      if (absentUntil !== undefined) {
        const leftMs = absentUntil - clock.nowMs();
        if (leftMs > 0 && leftMs <= limits.absentMs) return { kind: 'absent' };
        absent.delete(key);
      }
      const running = flights.get(key);
      if (running !== undefined) return untilAborted(running, signal);
      if (closing.signal.aborted) throw new WeirError('unavailable', 'the spoke is closing', { retry: 'later' });
      const flight = refresh(key, query).finally(() => flights.delete(key));
      flights.set(key, flight);
      // Whoever waits gets the failure; that all of them left is none.
      flight.catch(() => undefined);
      return untilAborted(flight, signal);
    },
    get memoryBytes() {
      return memory.calculatedSize;
    },
    get diskBytes() {
      return store.bytes;
    },
    async close() {
      closing.abort(new WeirError('cancelled', 'the spoke is closing'));
      await Promise.allSettled(flights.values());
      await store.close();
    },
  };
}

/** A document that cannot be read is upstream's failure of the moment, like any other. */
function readOr<T>(query: MetadataQuery<T>, document: MetadataDocument): T {
  try {
    return query.read(document);
  } catch (thrown) {
    const error = asWeirError(thrown, 'upstream_failed', 'the upstream registry sent an unusable index document');
    const { code, message, next, detail, internal } = error;
    throw new WeirError(code, message, { next, detail, internal, cause: thrown, retry: 'later' });
  }
}

/** Trouble that passes lets a stored document stand in; a definite no (such as refused credentials) does not. */
function mayStandIn(error: WeirError): boolean {
  return error.retry === 'later' || error.code === 'unavailable';
}
