// What the spoke keeps of bundles on disk, as a port. Every write is all or nothing and durable when it resolves; what is
// read back is verified again before it is trusted.

import { z } from 'zod';
import { isDigest, type Digest } from '@weir/shared/domain/digest.ts';

export const POINTERS = ['current', 'previous', 'bootstrap'] as const;
/** current: what ran last; previous: what ran before it; bootstrap: what came with the installation. */
export type Pointer = (typeof POINTERS)[number];

const digest = z.custom<Digest>(isDigest);

export const highWaterSchema = z.strictObject({
  schema: z.literal('weir.high-water/v1'),
  epoch: z.int().min(1),
  version: z.int().min(1),
  digest,
  /** What ran before: it may run again from disk although it is below the mark. */
  previous: digest.nullable(),
});
/** The highest bundle ever activated here; nothing below it is accepted from the hub again. */
export type HighWaterMark = z.infer<typeof highWaterSchema>;

/** Calls reject with WeirError: `corrupt` for content that cannot be what was written, `internal` for a failing disk. */
export interface BundleDisk {
  /** Undefined when it is not there. The bytes may have rotted: check them. */
  readLayer(layer: Digest): Promise<Uint8Array | undefined>;
  /** Bytes received so far of a layer that is being fetched, 0 when there are none. */
  partialSize(layer: Digest): Promise<number>;
  appendPartial(layer: Digest, bytes: Uint8Array): Promise<void>;
  readPartial(layer: Digest): Promise<Uint8Array>;
  dropPartial(layer: Digest): Promise<void>;
  /** Gives a complete partial its name. */
  keepPartial(layer: Digest): Promise<void>;
  readEnvelope(bundle: Digest): Promise<Uint8Array | undefined>;
  writeEnvelope(bundle: Digest, bytes: Uint8Array): Promise<void>;
  readPointer(name: Pointer): Promise<Digest | undefined>;
  writePointer(name: Pointer, bundle: Digest): Promise<void>;
  readHighWater(): Promise<HighWaterMark | undefined>;
  writeHighWater(mark: HighWaterMark): Promise<void>;
  /** Removes every other layer, partial and envelope. */
  keepOnly(kept: { readonly bundles: ReadonlySet<Digest>; readonly layers: ReadonlySet<Digest> }): Promise<void>;
}
