// Keeps the cache folders of a spoke whose workers are processes of their own: counts, makes room, and passes on what each of
// them changed. What a worker had set aside when it was killed is given back, and its unfinished files are removed.

import { join } from 'node:path';
import { describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import { BlobStore } from './blob-store.ts';
import type { BlobKeeper, BlobNote, DocumentKeeper, DocumentNote } from './cache-share.ts';
import { nodeDisk } from './disk.ts';
import { ARTIFACT_CACHE_LIMITS, METADATA_CACHE_LIMITS } from './io-limits.ts';
import { MetadataStore } from './metadata-store.ts';
import type { Answers, Peer } from './peer.ts';

export interface CacheFolders {
  readonly artifacts: string;
  readonly documents: string;
}

export function cacheFolders(home: string): CacheFolders {
  return { artifacts: join(home, 'cache', 'artifacts'), documents: join(home, 'cache', 'metadata') };
}

export interface CacheKeeper {
  /** What a worker may ask; `name` is the worker's. */
  answers(name: string): Answers;
  /** From now on the worker hears of changes. @param pid of its process, by which its unfinished files are known */
  attach(name: string, pid: number, peer: Peer): void;
  /** The worker's process is gone. */
  detach(name: string): void;
  close(): Promise<void>;
}

interface Member {
  readonly pid: number;
  readonly peer: Peer;
}

const FLUSH_MS = 5 * 60_000;
const RESERVE_MS = 5_000;

/** @throws WeirError `resource_exhausted` or `unavailable` when a folder is unusable */
export async function openCacheKeeper(options: {
  readonly home: string;
  /** Of all artifacts together. */
  readonly cacheBytes: number;
  readonly logger: Logger;
  readonly metrics: Metrics;
}): Promise<CacheKeeper> {
  const { logger, metrics } = options;
  const folders = cacheFolders(options.home);
  const members = new Map<string, Member>();
  const reserved = new Map<string, number>();

  function tellOthers(event: 'blob' | 'document', note: BlobNote | DocumentNote, but = ''): void {
    for (const [name, { peer }] of members) if (name !== but) peer.tell(event, note);
  }

  let speaking = '';
  const blobs = new BlobStore({
    folder: folders.artifacts,
    disk: nodeDisk,
    limits: { ...ARTIFACT_CACHE_LIMITS, totalBytes: options.cacheBytes },
    logger,
    metrics,
    // Whoever added a file knows of it.
    onNote: (note) => tellOthers('blob', note, note.kind === 'put' ? speaking : ''),
  });
  await blobs.start();
  const documents = new MetadataStore({
    folder: folders.documents,
    disk: nodeDisk,
    limits: METADATA_CACHE_LIMITS,
    logger,
    onNote: (note) => tellOthers('document', note),
  });
  await documents.start();
  const flushing = setInterval(() => void blobs.flush(), FLUSH_MS);
  flushing.unref();

  function give(name: string, bytes: number): void {
    const held = reserved.get(name) ?? 0;
    const given = Math.min(held, bytes);
    reserved.set(name, held - given);
    blobs.index.release(given);
  }

  async function removeUnfinished(pid: number): Promise<void> {
    try {
      for (const name of await nodeDisk.list(blobs.temporaryFolder)) {
        if (name.startsWith(`${pid}-`)) await nodeDisk.remove(join(blobs.temporaryFolder, name));
      }
      for (const name of await nodeDisk.list(folders.documents)) {
        if (name.startsWith(`writing-${pid}-`)) await nodeDisk.remove(join(folders.documents, name));
      }
    } catch (thrown) {
      logger.warn({ reason: describeThrown(thrown) }, 'unfinished files of a worker could not be removed');
    }
  }

  return {
    answers: (name) => ({
      blobReserve(bytes: number) {
        // Reserving is at once: the number is held when the answer leaves.
        void blobs.reserve(bytes);
        reserved.set(name, (reserved.get(name) ?? 0) + bytes);
      },
      blobRelease: (bytes: number) => give(name, bytes),
      blobAdded(note: Extract<BlobNote, { kind: 'put' }>) {
        speaking = name;
        blobs.adopt(note);
        speaking = '';
      },
      blobDamaged: (hex: string) => blobs.discardDamaged(hex),
      blobUsed: (hexes: readonly string[]) => blobs.touched(hexes),
      blobRelieve: () => blobs.relieve(),
      documentChanged: (note: DocumentNote) => documents.adopt(note),
    }),
    attach: (name, pid, peer) => void members.set(name, { pid, peer }),
    detach(name) {
      const member = members.get(name);
      members.delete(name);
      give(name, Number.POSITIVE_INFINITY);
      if (member !== undefined) void removeUnfinished(member.pid);
    },
    async close() {
      clearInterval(flushing);
      await blobs.close();
      await documents.close();
    },
  };
}

/** The keepers as a worker's process sees them, over its channel to the lead. */
export function distantKeepers(): {
  /** Names the channel, which has to know the answers first. */
  over(peer: Peer): void;
  readonly blobs: BlobKeeper;
  readonly documents: DocumentKeeper;
  /** What the lead may tell. */
  readonly answers: Answers;
} {
  let lead: Peer | undefined;
  const tell = (name: string, input: unknown): void => lead?.tell(name, input);
  let hearBlob: ((note: BlobNote) => void) | undefined;
  let hearDocument: ((note: DocumentNote) => void) | undefined;
  return {
    over(peer) {
      lead = peer;
    },
    blobs: {
      async reserve(bytes) {
        await lead?.call('blobReserve', bytes, RESERVE_MS);
      },
      release: (bytes) => tell('blobRelease', bytes),
      added: (note) => tell('blobAdded', note),
      damaged: (hex) => tell('blobDamaged', hex),
      used: (hexes) => tell('blobUsed', hexes),
      relieve: () => tell('blobRelieve', null),
      listen(listener) {
        hearBlob = listener;
      },
    },
    documents: {
      changed: (note) => tell('documentChanged', note),
      listen(listener) {
        hearDocument = listener;
      },
    },
    answers: {
      blob: (note: BlobNote) => hearBlob?.(note),
      document: (note: DocumentNote) => hearDocument?.(note),
    },
  };
}
