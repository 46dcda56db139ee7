// Counts how often an overlay failed. After too many strikes its digest is quarantined: it is not asked again, and the
// signed `on_overlay_error` stands in for it until another overlay is published. Lives as long as the process, across bundles.

import type { Digest } from '../domain/digest.ts';

export const STRIKE_LIMITS = {
  /** Failures that quarantine a digest. */
  strikes: 5,
  /** Answers in a row after which earlier strikes are forgiven, so that one odd package a week condemns nobody. */
  forgivenAfter: 1000,
  /** Digests remembered, oldest forgotten first. */
  digests: 64,
} as const;

export interface Strikes {
  /** Notes a failure; the number of strikes now. */
  failed(overlay: Digest): number;
  /** Notes a good answer. */
  answered(overlay: Digest): void;
  quarantined(overlay: Digest): boolean;
}

export function createStrikes(
  limits: { readonly strikes: number; readonly forgivenAfter: number } = STRIKE_LIMITS,
): Strikes {
  const records = new Map<Digest, { strikes: number; good: number }>();
  return {
    failed: (overlay) => {
      const record = records.get(overlay) ?? { strikes: 0, good: 0 };
      record.strikes += 1;
      record.good = 0;
      records.set(overlay, record);
      const [oldest] = records.keys();
      if (records.size > STRIKE_LIMITS.digests && oldest !== undefined) records.delete(oldest);
      return record.strikes;
    },
    answered: (overlay) => {
      const record = records.get(overlay);
      if (record === undefined || record.strikes >= limits.strikes) return;
      record.good += 1;
      if (record.good >= limits.forgivenAfter) records.delete(overlay);
    },
    quarantined: (overlay) => (records.get(overlay)?.strikes ?? 0) >= limits.strikes,
  };
}
