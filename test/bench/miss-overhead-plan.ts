// What the miss-overhead benchmark and its upstream agree on.

export interface UpstreamPlan {
  /** Versions of each package in `SIZES`. */
  readonly files: number;
  /** Versions of `bench-large`. */
  readonly large: number;
}

/** 100 KB is the headline. */
export const SIZES = [
  { name: 'bench-100kb', bytes: 102_400, suffix: '' },
  { name: 'bench-1mb', bytes: 1 << 20, suffix: '_1mb' },
] as const;

export const LARGE_BYTES = 64 << 20;
/** A file that upstream takes this long to send. */
export const PACED_MS = 1_000;
export const PACED_BYTES = 4 << 20;
