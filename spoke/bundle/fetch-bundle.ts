// Gets what is missing of an offered bundle: its envelope, and those layers that the disk does not hold yet. A broken
// transfer is taken up where it ended; nothing gets its name before its digest has been checked.

import { checkLayer } from '@weir/shared/bundle/read-layers.ts';
import { BUNDLE_LIMITS, type LayerRef } from '@weir/shared/bundle/manifest.ts';
import { BundleRefused } from '@weir/shared/bundle/refusal.ts';
import type { Digest } from '@weir/shared/domain/digest.ts';
import { describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { BundleDisk } from './bundle-disk.ts';

/** Where bundles come from: the hub, or an archive carried here. */
export interface BundleSource {
  fetchEnvelope(bundle: Digest, signal: AbortSignal): Promise<Uint8Array>;
  /** Bytes of a layer from `offset` on, in order. */
  fetchLayer(bundle: Digest, layer: Digest, offset: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/**
 * The envelope, not verified. Always from the source: it is small, and a copy that rotted on disk would look like a forgery.
 * Throws `BundleRefused`.
 */
export async function fetchEnvelope(bundle: Digest, source: BundleSource, signal: AbortSignal): Promise<Uint8Array> {
  const bytes = await overWire(() => source.fetchEnvelope(bundle, signal));
  if (bytes.byteLength > BUNDLE_LIMITS.envelopeBytes) {
    throw new BundleRefused('bad_envelope', 'the signature file is too large', { step: 'size' });
  }
  return bytes;
}

/** A layer of a verified manifest, checked. Throws `BundleRefused`. */
export async function fetchLayer(
  bundle: Digest,
  ref: LayerRef,
  from: { readonly source: BundleSource; readonly disk: BundleDisk },
  signal: AbortSignal,
): Promise<Uint8Array> {
  const kept = await onDisk(() => from.disk.readLayer(ref.digest));
  if (kept !== undefined && isLayer(ref, kept)) return kept;
  const offset = await onDisk(() => from.disk.partialSize(ref.digest));
  if (offset === 0) return receive(bundle, ref, 0, from, signal);
  try {
    return await receive(bundle, ref, offset, from, signal);
  } catch (thrown) {
    // The beginning may have rotted on disk: once more from the first byte before the layer is called bad.
    if (!(thrown instanceof BundleRefused) || thrown.nack !== 'bad_layer_digest') throw thrown;
    return receive(bundle, ref, 0, from, signal);
  }
}

async function receive(
  bundle: Digest,
  ref: LayerRef,
  offset: number,
  { source, disk }: { readonly source: BundleSource; readonly disk: BundleDisk },
  signal: AbortSignal,
): Promise<Uint8Array> {
  let received = offset;
  if (received > ref.size) {
    await onDisk(() => disk.dropPartial(ref.digest));
    received = 0;
  }
  if (received < ref.size) {
    const chunks = source.fetchLayer(bundle, ref.digest, received, signal)[Symbol.asyncIterator]();
    try {
      while (received < ref.size) {
        const next = await overWire(() => chunks.next());
        if (next.done === true) break;
        received += next.value.byteLength;
        if (received > ref.size) {
          await onDisk(() => disk.dropPartial(ref.digest));
          throw new BundleRefused('bad_layer_digest', `layer ${ref.name} is longer than the one that was signed`);
        }
        await onDisk(() => disk.appendPartial(ref.digest, next.value));
      }
    } finally {
      await chunks.return?.(undefined).catch(() => undefined); // the transfer is over either way
    }
  }
  if (received < ref.size) {
    throw new BundleRefused('fetch_failed', `layer ${ref.name} ended early`, { retry: true });
  }
  const bytes = await onDisk(() => disk.readPartial(ref.digest));
  try {
    checkLayer(ref, bytes);
  } catch (thrown) {
    await onDisk(() => disk.dropPartial(ref.digest));
    throw thrown;
  }
  await onDisk(() => disk.keepPartial(ref.digest));
  return bytes;
}

function isLayer(ref: LayerRef, bytes: Uint8Array): boolean {
  try {
    checkLayer(ref, bytes);
    return true;
  } catch {
    return false; // rotten on disk: it is fetched again and replaced
  }
}

/** A failing disk refuses the bundle, and the same offer may succeed later. */
export async function onDisk<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    throw new BundleRefused('disk_failed', `the disk failed: ${describeThrown(cause)}`, { cause, retry: true });
  }
}

async function overWire<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    throw new BundleRefused('fetch_failed', `the bundle could not be fetched: ${describeThrown(cause)}`, {
      cause,
      retry: true,
    });
  }
}
