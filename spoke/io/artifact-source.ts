// Artifacts for the pipeline: memory for small ones, then the disk cache, then upstream. A stored artifact's content is known,
// because the cache admits nothing whose promised digests it did not compute.

import { hexOf } from '@weir/shared/domain/digest.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Artifact, ArtifactKey, ArtifactPort, ContentDigests } from '../pipeline/ports.ts';
import type { Artifact as CachedArtifact, ArtifactCache, ArtifactKey as CacheKey } from './artifact-cache.ts';
import type { Verified } from './artifact-fill.ts';
import { createHotCache, type HotObject } from './hot-cache.ts';
import { HOT_CACHE_LIMITS } from './io-limits.ts';
import { untilAborted } from './until-aborted.ts';
import type { Upstream } from './upstream.ts';

export interface ArtifactSourceOptions {
  readonly cache: ArtifactCache;
  readonly upstream: Pick<Upstream, 'openArtifact'>;
  readonly hotBytes: number;
  readonly metrics: Metrics;
}

interface HotArtifact extends HotObject {
  readonly artifact: Artifact;
}

export function createArtifactSource({ cache, upstream, hotBytes, metrics }: ArtifactSourceOptions): ArtifactPort {
  const hot = createHotCache<HotArtifact>(metrics, { totalBytes: hotBytes });

  async function open(key: ArtifactKey, signal?: AbortSignal): Promise<Artifact | undefined> {
    const { registry, file, documentUrl } = key;
    const request = {
      ...cacheKey(key),
      size: file.size,
      open: (aborted: AbortSignal) =>
        upstream.openArtifact(registry, { url: file.url, documentUrl }, { signal: aborted }),
    };
    const cached = await cache.getOrFill(request, signal === undefined ? {} : { signal });
    if (cached === undefined) return undefined;
    // Whoever waits for the end of a download waits no longer than for its own client.
    const verified = untilAborted(
      cached.verified.then((outcome) => contentOf(key, outcome)),
      signal,
    );
    verified.catch(() => undefined);
    if (cached.state === 'filling') return { content: null, bytes: null, source: cached, verified };
    try {
      const content = await verified;
      const bytes = await wholeBytes(cached, Math.min(HOT_CACHE_LIMITS.objectBytes, hotBytes));
      if (bytes !== null) hot.put(hotKey(key), hotArtifact(bytes, content));
      return { content, bytes, source: cached, verified };
    } catch (thrown) {
      cached.release();
      throw thrown;
    }
  }

  /** Names of keys that somebody keeps, so that a repeated look-up builds none. */
  const names = new WeakMap<ArtifactKey, string>();
  function held(key: ArtifactKey): Artifact | undefined {
    let name = names.get(key);
    if (name === undefined) names.set(key, (name = hotKey(key)));
    return hot.get(name)?.artifact;
  }

  return {
    held,
    async find(key) {
      const found = held(key) ?? (cache.has(cacheKey(key)) ? await open(key) : undefined);
      if (found === undefined || found.content !== null) return found;
      // What was stored turned out to be damaged and is on its way again, so it is judged like any other download.
      found.source.release();
      return undefined;
    },
    fetch: open,
  };
}

/** A stored artifact's bytes when they are few, in memory of their own; null when they are many. */
async function wholeBytes(source: CachedArtifact, limitBytes: number): Promise<Buffer | null> {
  const { size } = source;
  if (size === null || size > limitBytes) return null;
  const body = Buffer.allocUnsafeSlow(size);
  for (let filled = 0; filled < size; ) {
    const count = await source.read(body.subarray(filled), filled);
    if (count === 0) return null;
    filled += count;
  }
  return body;
}

function hotArtifact(body: Buffer, content: ContentDigests): HotArtifact {
  // All bytes are at hand: there is nothing left to read or to give back.
  const source = { size: body.length, read: () => Promise.resolve(0), release: () => undefined };
  const artifact = { content, bytes: body, source, verified: Promise.resolve(content) };
  return { head: [], body, etag: '', artifact };
}

function hotKey({ registry, name, file }: ArtifactKey): string {
  const { sha512 = '', sha256 = '', sha1 = '' } = file.digests;
  return `${registry} ${name.namespace} ${name.name} ${file.name} ${sha512} ${sha256} ${sha1}`;
}

function cacheKey({ registry, name, file }: ArtifactKey): CacheKey {
  return { registry, name, file: file.name, digests: file.digests };
}

/** What was promised was compared, so it is what the bytes are. */
function contentOf({ file }: ArtifactKey, { digest, size }: Verified): ContentDigests {
  return { sha512: file.digests.sha512 ?? '', sha1: file.digests.sha1 ?? '', sha256: hexOf(digest), size };
}
