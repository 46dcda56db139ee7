// What a spoke says of itself, as the hub keeps it.

import type { Digest } from '@weir/shared/domain/digest.ts';
import type { Mode } from '@weir/shared/domain/unit.ts';

/** A bundle as one line. */
export interface BundleLine {
  readonly digest: Digest;
  readonly epoch: number;
  readonly version: number;
}

export const STALENESS_LEVELS = ['fresh', 'warn', 'restrict', 'deny'] as const;
export type StalenessLevel = (typeof STALENESS_LEVELS)[number];

export interface SpokeStatus {
  /** Null before the first activation. */
  readonly active: BundleLine | null;
  readonly mode: Mode;
  readonly staleness: StalenessLevel;
  readonly engine: string;
  readonly version: string;
  readonly startedAtMs: number;
  readonly site: string;
  readonly logs: readonly {
    readonly log: string;
    readonly nextIndex: number;
    readonly acknowledged: number;
    readonly freeBytes: number;
  }[];
  /** Code of the last refused offer, '' when the last offer was activated. */
  readonly nack: string;
  readonly nackDetail: string;
  readonly nacked: BundleLine | null;
  readonly spoolHealthy: boolean;
}
