// Bundles and their layers at rest. Layers are content-addressed and shared by all bundles that name them; a bundle is
// immutable once inserted, and each unit's bundles are strictly ordered by (epoch, version).

import type { Digest } from '@weir/shared/domain/digest.ts';
import type { LayerRef } from '@weir/shared/bundle/manifest.ts';

/** What is known of a bundle without its envelope. Times are unix seconds, as in the manifest. */
export interface BundleRecord {
  readonly unit: string;
  readonly epoch: number;
  readonly version: number;
  /** SHA-256 of the statement bytes inside the envelope. */
  readonly digest: Digest;
  readonly prev: Digest | null;
  readonly issuedAt: number;
  readonly expires: number;
  readonly layers: readonly LayerRef[];
}

export interface StoredBundle extends BundleRecord {
  /** Sigstore bundle JSON, the exact bytes that spokes verify. */
  readonly envelope: Uint8Array;
}

export interface BundlePage {
  readonly bundles: readonly BundleRecord[];
  /** Cursor of the next page, '' when this is the last. */
  readonly nextCursor: string;
}

export interface BundleStore {
  /** Keeps the layer's bytes under their digest; a second put of the same digest does nothing. */
  putLayer(digest: Digest, bytes: Uint8Array): Promise<void>;

  /** Up to `limit` bytes from `offset`, empty at or past the end; undefined when no such layer is kept. */
  readLayer(digest: Digest, offset: number, limit: number): Promise<Uint8Array | undefined>;

  /** Size in bytes, undefined when no such layer is kept. */
  layerSize(digest: Digest): Promise<number | undefined>;

  /**
   * Inserts the unit's next bundle and tells every replica. `conflict` means that nothing was written because
   * `bundle.prev` is not the unit's current bundle or (epoch, version) is not above it: another publisher won, so
   * read the current one and try again. Every layer must have been put before. Throws `not_found` for an unknown unit.
   */
  insertBundle(bundle: StoredBundle): Promise<'inserted' | 'conflict'>;

  /** The unit's bundle with the highest (epoch, version), undefined before the first. */
  currentBundle(unit: string): Promise<StoredBundle | undefined>;

  bundleByDigest(digest: Digest): Promise<StoredBundle | undefined>;

  /** Newest first; `unit` '' means all units. `size` is 1 to 1000. An unreadable cursor throws `invalid_argument`. */
  listBundles(unit: string, page: { readonly size: number; readonly cursor: string }): Promise<BundlePage>;
}
