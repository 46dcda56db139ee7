// Tells a spoke the leaf hashes of the hub's copy of its own log, so that it can find the row where two histories part and
// record again exactly the rows that the hub lacks.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { AuditStore } from '../store/audit-store.ts';
import { isOwn, type Uploader } from './check-batch.ts';

/** Hashes in one answer: 128 KiB. */
export const LEAVES_MAX = 4_096;

/** Leaf hashes from an index on, none at the end of the log. Throws `forbidden` for a log of another spoke. */
export type OwnLeaves = (from: Uploader, log: string, index: number) => Promise<readonly Buffer[]>;

export function createOwnLeaves(store: Pick<AuditStore, 'leavesFrom'>): OwnLeaves {
  return async (from, log, index) => {
    if (!isOwn(from, log)) throw new WeirError('forbidden', 'the log belongs to another spoke');
    return store.leavesFrom(log, index, LEAVES_MAX);
  };
}
