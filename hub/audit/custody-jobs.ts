// The jobs that keep rows: tiles out of leaves, copies out of tiles and rows, and the end of what is old and copied. One
// replica does each of them for all.

import { describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import type { AuditStore } from '../store/audit-store.ts';
import type { PushStore } from '../store/push-store.ts';
import type { RetentionStore } from '../store/retention-store.ts';
import type { TileStore } from '../store/tile-store.ts';
import { type CopyJobParts, copyLogs } from './copy-job.ts';
import type { CopyTarget } from './copy-target.ts';
import type { Job } from './leader.ts';
import { removeOldMonths, type RetentionRules } from './retention.ts';
import { makeTiles } from './tile-job.ts';

/** Between turns. */
export const CUSTODY_LIMITS = { tilesEveryMs: 1_000, retentionEveryMs: 3_600_000 } as const;

export interface CustodyJob {
  readonly name: Job;
  readonly everyMs: number;
  readonly work: (signal: AbortSignal) => Promise<void>;
}

/** What is to be led; without copies nothing is copied and nothing removed. */
export function custodyJobs(
  parts: Omit<CopyJobParts, 'target' | 'store' | 'tiles'> & {
    readonly store: Pick<AuditStore, 'head' | 'rowsFrom' | 'leavesFrom'>;
    readonly tiles: TileStore;
    readonly months: RetentionStore;
    readonly pushes: Pick<PushStore, 'cursors'>;
    readonly targets: readonly CopyTarget[];
  },
  settings: { readonly copyEveryMs: number; readonly retention: RetentionRules },
): readonly CustodyJob[] {
  const { targets } = parts;
  const tiles: CustodyJob = {
    name: 'tiles',
    everyMs: CUSTODY_LIMITS.tilesEveryMs,
    work: (signal) => makeTiles(parts, signal),
  };
  if (targets.length === 0) return [tiles];
  const copy: CustodyJob = {
    name: 'copy',
    everyMs: settings.copyEveryMs,
    async work(signal) {
      // A target that is away must not hold up the others.
      const turns = await Promise.allSettled(targets.map((target) => copyLogs({ ...parts, target }, signal)));
      const why = turns.flatMap((turn) => (turn.status === 'rejected' ? [describeThrown(turn.reason)] : []));
      if (why.length > 0) throw new WeirError('unavailable', why.join('; '), { retry: 'later' });
    },
  };
  if (settings.retention.days === 0) return [tiles, copy];
  const retention: CustodyJob = {
    name: 'retention',
    everyMs: CUSTODY_LIMITS.retentionEveryMs,
    work: (signal) => removeOldMonths(parts, settings.retention, signal),
  };
  return [tiles, copy, retention];
}
