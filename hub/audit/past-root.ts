// The root that a stored log had at an earlier size, hashed again from its leaves in constant memory.

import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { AuditStore } from '../store/audit-store.ts';

const LEAVES_AT_ONCE = 4_096;

/** Throws `corrupt` when a leaf below `size` is not stored. */
export async function pastRoot(store: Pick<AuditStore, 'leavesFrom'>, log: string, size: number): Promise<Buffer> {
  const edge = new TreeEdge();
  while (edge.size < size) {
    const leaves = await store.leavesFrom(log, edge.size, Math.min(LEAVES_AT_ONCE, size - edge.size));
    if (leaves.length === 0) throw new WeirError('corrupt', `row ${edge.size} of ${log} is not stored`);
    for (const leaf of leaves) edge.append(leaf);
  }
  return edge.root();
}
