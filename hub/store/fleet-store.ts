// What every spoke last said of itself.

import type { SpokeStatus } from '../fleet/spoke-status.ts';

export interface FleetRecord {
  readonly unit: string;
  readonly spoke: string;
  readonly site: string;
  readonly enrolledAtMs: number;
  readonly certificateExpiresAtMs: number;
  readonly watching: boolean;
  /** Null before its first report. */
  readonly lastSeenMs: number | null;
  readonly status: SpokeStatus | null;
  readonly denied: boolean;
}

export interface FleetStore {
  /** Replaces the spoke's status and marks it seen. */
  putStatus(unit: string, spoke: string, status: SpokeStatus, atMs: number): Promise<void>;
  /** Notes that the spoke's watch stream opened or closed. */
  setWatching(unit: string, spoke: string, watching: boolean, atMs: number): Promise<void>;
  /** Changes only the part of the status that an activation report tells. */
  noteActivation(
    unit: string,
    spoke: string,
    outcome: Pick<SpokeStatus, 'active' | 'nack' | 'nackDetail' | 'nacked'>,
    atMs: number,
  ): Promise<void>;
  /** By (unit, spoke); `unit` '' means all. Spokes that left are not listed. */
  listFleet(
    unit: string,
    page: { readonly size: number; readonly cursor: string },
  ): Promise<{ readonly spokes: readonly FleetRecord[]; readonly nextCursor: string }>;
}
