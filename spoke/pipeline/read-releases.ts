// Index documents as releases, parsed once per document: a view and the artifacts that follow it share one reading.

import { LRUCache } from 'lru-cache';
import { fullName, type PackageName } from '@weir/shared/domain/coordinate.ts';
import type { Adapter, Releases } from '../registries/adapter.ts';
import type { FoundDocument } from './ports.ts';

/** Bytes of source documents whose reading is kept. */
const DOCUMENT_BYTES_MAX = 64 << 20;

export interface ReleaseReader {
  /** @throws WeirError `upstream_failed` when the document is not what the protocol promises */
  read(adapter: Adapter, found: FoundDocument, name: PackageName): Releases;
}

export function createReleaseReader(): ReleaseReader {
  const readings = new LRUCache<string, Releases>({ maxSize: DOCUMENT_BYTES_MAX });
  return {
    read(adapter, found, name) {
      const key = `${adapter.id} ${found.digest} ${fullName(name)}`;
      const known = readings.get(key);
      if (known !== undefined) return known;
      const releases = adapter.readMetadata(found.document, name);
      readings.set(key, releases, { size: Math.max(1, found.document.bytes.length) });
      return releases;
    },
  };
}
