// Artifacts for the request path: from disk when they are there, otherwise from upstream once, however many ask, and
// streamed to all of them while it arrives. What was promised is part of the key, so an index that changes its mind about
// a file never gets the old bytes. An artifact that nothing was promised for is streamed and forgotten.

import { join } from 'node:path';
import { fullName, type PackageName } from '@weir/shared/domain/coordinate.ts';
import type { Digest } from '@weir/shared/domain/digest.ts';
import { describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import { ArtifactFill, type Verified } from './artifact-fill.ts';
import { BlobStore, keyText } from './blob-store.ts';
import type { ByteSource } from './byte-source.ts';
import type { BlobKeeper } from './cache-share.ts';
import { type Disk, diskFault, nodeDisk } from './disk.ts';
import { ARTIFACT_CACHE_LIMITS, type ArtifactCacheLimits } from './io-limits.ts';
import { hasPromise, type PromisedDigests } from './promise-check.ts';
import { untilAborted } from './until-aborted.ts';
import type { ArtifactResponse } from './upstream.ts';

export interface ArtifactKey {
  /** Id of the configured registry. */
  readonly registry: string;
  /** Normalised by its adapter. */
  readonly name: PackageName;
  readonly file: string;
  /** As the index promises them. */
  readonly digests: PromisedDigests;
}

export interface ArtifactRequest extends ArtifactKey {
  /** Bytes as the index promises them, null when it does not. */
  readonly size: number | null;
  /** Asks upstream; called at most once per download, and never for a stored artifact. */
  readonly open: (signal: AbortSignal) => Promise<ArtifactResponse>;
}

/** An artifact to be read by one client; must be released. */
export interface Artifact extends ByteSource {
  /** `stored`: complete and verified. `filling`: still arriving; its last bytes come once it is verified. */
  readonly state: 'stored' | 'filling';
  /**
   * Settles when size and digests are known to be the promised ones; rejects with `integrity`, `upstream_failed`,
   * `timeout`, `too_large`, `resource_exhausted`, `unavailable` or `cancelled`, and then every reader fails alike.
   */
  readonly verified: Promise<Verified>;
  /** Settles, never rejects, when the cache is done with it: stored, or given up and forgotten. */
  readonly settled: Promise<void>;
}

export interface ArtifactCacheOptions {
  readonly folder: string;
  /** Who keeps the folder when it is not this process. */
  readonly keeper?: BlobKeeper;
  readonly limits?: Partial<ArtifactCacheLimits>;
  readonly disk?: Disk;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface ArtifactCache {
  /**
   * Resolves once the artifact can be read: at once when it is stored, with upstream's response header when it is not;
   * undefined when upstream has no such artifact. Rejects with what `verified` would reject with when upstream fails
   * before that. `signal` ends the waiting of this caller, never the download, which others may share.
   */
  getOrFill(request: ArtifactRequest, options?: { signal?: AbortSignal }): Promise<Artifact | undefined>;
  /** Whether the artifact is stored, without touching it. */
  has(key: ArtifactKey): boolean;
  readonly storedBytes: number;
  readonly entries: number;
  /** Downloads under way. */
  readonly fills: number;
  /** Gives downloads up, writes the order of use down and closes the files that nobody reads. */
  close(): Promise<void>;
}

const FLUSH_MS = 5 * 60_000;
/** How often the keeper of a shared cache hears what was read. */
const TELL_USE_MS = 5_000;

/** Opens the cache in its folder. @throws WeirError `resource_exhausted` or `unavailable` when the folder is unusable */
export async function openArtifactCache(options: ArtifactCacheOptions): Promise<ArtifactCache> {
  const { folder, logger, metrics, disk = nodeDisk } = options;
  const limits: ArtifactCacheLimits = { ...ARTIFACT_CACHE_LIMITS, ...options.limits };
  const keeper = options.keeper === undefined ? {} : { keeper: options.keeper };
  const store = new BlobStore({ folder, disk, limits, logger, metrics, ...keeper });
  await store.start();
  const fills = new Map<string, ArtifactFill>();
  const endings = new Set<Promise<void>>();
  let closed = false;
  let made = 0;
  const flushing = setInterval(() => void store.flush(), options.keeper === undefined ? FLUSH_MS : TELL_USE_MS);
  flushing.unref();

  function startFill(key: string, request: ArtifactRequest): ArtifactFill {
    if (closed) throw new WeirError('unavailable', 'the spoke is closing', { retry: 'later' });
    if (fills.size >= limits.fills) {
      throw new WeirError('resource_exhausted', 'too many artifacts are being fetched at once', {
        retry: 'later',
        detail: { fault: 'fills', limit: limits.fills },
      });
    }
    made += 1;
    const temporaryPath = join(store.temporaryFolder, `${process.pid}-${made}`);
    const keep = hasPromise(request.digests);
    const fill: ArtifactFill = new ArtifactFill(
      {
        disk,
        temporaryPath,
        promised: request.digests,
        size: request.size,
        artifactBytesMax: limits.artifactBytes,
        withheldBytes: limits.withheldBytes,
        reserve: (bytes) => store.reserve(bytes),
        memoryBytesMax: limits.memoryFillBytes,
        publish: async (verified, bytes) => {
          if (keep) await publish(key, verified, temporaryPath, bytes);
          else if (bytes === undefined) await disk.remove(temporaryPath).catch(ignore);
          store.release(fill.takeReservation());
        },
        onEnded: () => {
          fills.delete(key);
          metrics.gauge('weir_spoke_cache_fills', fills.size);
          store.release(fill.takeReservation());
        },
      },
      request.open,
    );
    fills.set(key, fill);
    metrics.gauge('weir_spoke_cache_fills', fills.size);
    const ending: Promise<void> = settle(fill, request).finally(() => endings.delete(ending));
    endings.add(ending);
    return fill;
  }

  async function settle(fill: ArtifactFill, request: ArtifactRequest): Promise<void> {
    await fill.ended;
    await fill.verified.catch((error: unknown) => onFailure(error, request));
  }

  /** Bytes that cannot be stored have been served all the same: they are the promised ones. */
  async function publish(key: string, { digest, size }: Verified, path: string, bytes?: Buffer): Promise<void> {
    try {
      if (bytes !== undefined) await writeNew(path, bytes);
      await store.publish(key, digest.slice('sha256:'.length), size, path);
    } catch (error) {
      const fault = diskFault(error);
      logger.warn({ error: describeThrown(error), ...fault.detail }, 'a fetched artifact could not be stored');
      metrics.count('weir_spoke_cache_store_failures_total');
      await disk.remove(path).catch(ignore);
      relieveIfFull(fault);
    }
  }

  async function writeNew(path: string, bytes: Buffer): Promise<void> {
    const file = await disk.open(path, 'new');
    try {
      await disk.write(file, bytes, 0);
    } finally {
      await disk.close(file);
    }
  }

  function relieveIfFull({ detail }: Pick<WeirError, 'detail'>): void {
    if (detail['fault'] === 'disk_full') store.relieve();
  }

  function onFailure(error: unknown, request: ArtifactRequest): void {
    const { code, detail } =
      error instanceof WeirError ? error : { code: 'internal', detail: {} as WeirError['detail'] };
    if (code === 'not_found') return;
    metrics.count('weir_spoke_cache_fill_failures_total', { code });
    const fields = { registry: request.registry, package: fullName(request.name), file: request.file, code, ...detail };
    logger.warn(fields, 'an artifact could not be fetched');
    relieveIfFull({ detail });
  }

  return {
    async getOrFill(request, { signal } = {}) {
      const key = textOf(request);
      const stored = fills.has(key) ? undefined : await store.open(key, request.digests);
      if (stored !== undefined) {
        if (request.size !== null && stored.size !== request.size) {
          stored.release();
          throw new WeirError('upstream_failed', 'the artifact does not have the size that its index promises', {
            detail: { fault: 'length', expected_bytes: request.size, got_bytes: stored.size },
          });
        }
        metrics.count('weir_spoke_cache_requests_total', { outcome: 'hit' });
        const verified = Promise.resolve({ digest: `sha256:${stored.hex}` as Digest, size: stored.size });
        return artifactOf('stored', stored, verified, Promise.resolve());
      }
      const running = fills.get(key);
      metrics.count('weir_spoke_cache_requests_total', { outcome: running === undefined ? 'miss' : 'joined' });
      const fill = running ?? startFill(key, request);
      const reader = fill.reader();
      try {
        if (await untilAborted(fill.opened, signal)) return artifactOf('filling', reader, fill.verified, fill.ended);
        reader.release();
        return undefined;
      } catch (error) {
        reader.release();
        throw error;
      }
    },
    has: (key) => store.index.find(textOf(key)) !== undefined,
    get storedBytes() {
      return store.index.storedBytes;
    },
    get entries() {
      return store.index.count;
    },
    get fills() {
      return fills.size;
    },
    async close() {
      closed = true;
      clearInterval(flushing);
      for (const fill of fills.values()) fill.abort();
      await Promise.all(endings);
      await store.close();
    },
  };
}

function artifactOf(
  state: Artifact['state'],
  source: ByteSource,
  verified: Promise<Verified>,
  settled: Promise<void>,
): Artifact {
  return {
    state,
    verified,
    settled,
    get size() {
      return source.size;
    },
    read: (target, position) => source.read(target, position),
    release: () => source.release(),
  };
}

function textOf({ registry, name, file, digests }: ArtifactKey): string {
  const { sha512 = '', sha256 = '', sha1 = '' } = digests;
  return keyText([registry, name.ecosystem, name.namespace, name.name, file, sha512, sha256, sha1]);
}

function ignore(): void {
  // A temporary file that cannot be removed is removed at the next start.
}
