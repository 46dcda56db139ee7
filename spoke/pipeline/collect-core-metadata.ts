// Fetches the small document in which an artifact describes itself, for facts that its index does not carry (PyPI's licence
// is one). Through the same cache and checks as any artifact; when it cannot be had, the fact is unknown with the reason.

import { asWeirError } from '@weir/shared/errors/weir-error.ts';
import type { SignalFacts } from '../evidence/signals/signal.ts';
import { NOT_COLLECTED } from './judge.ts';
import type { ArtifactKey, ArtifactPort, ByteSource } from './ports.ts';
import type { Adapter } from '../registries/adapter.ts';

/** What follows the headers is a description that nobody here reads, bytes. */
const CORE_METADATA_BYTES_MAX = 256 << 10;

export async function collectCoreMetadata(
  artifacts: ArtifactPort,
  adapter: Adapter,
  key: ArtifactKey,
  signal: AbortSignal,
): Promise<SignalFacts['coreMetadata']> {
  const file = adapter.coreMetadataFile?.(key.file);
  if (file === undefined || adapter.readCoreMetadata === undefined) return NOT_COLLECTED;
  try {
    const described = { ...key, file };
    const document = (await artifacts.find(described)) ?? (await artifacts.fetch(described, signal));
    if (document === undefined) return { known: false, reason: 'core_metadata_missing' };
    try {
      await document.verified;
      return { known: true, value: adapter.readCoreMetadata(document.bytes ?? (await head(document.source))) };
    } finally {
      document.source.release();
    }
  } catch (thrown) {
    return { known: false, reason: `core_metadata_${asWeirError(thrown, 'upstream_failed', '').code}` };
  }
}

async function head(source: ByteSource): Promise<Buffer> {
  const buffer = Buffer.alloc(Math.min(source.size ?? CORE_METADATA_BYTES_MAX, CORE_METADATA_BYTES_MAX));
  let filled = 0;
  while (filled < buffer.length) {
    const count = await source.read(buffer.subarray(filled), filled);
    if (count === 0) break;
    filled += count;
  }
  return buffer.subarray(0, filled);
}
