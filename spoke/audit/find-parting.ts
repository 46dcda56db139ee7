// Where two histories of one log part: a spoke that was put back to an older state, or copied, and went on from there. Rows
// before that point are at the hub already; those after it are nowhere but here.

import type { AuditLog } from './audit-log.ts';
import type { AuditUplink } from './audit-uplink.ts';

/** The first row that the hub's copy of a log lacks or has otherwise; the first `known` are known to be the same. */
export async function findParting(
  log: Pick<AuditLog, 'id' | 'leaves'>,
  uplink: Pick<AuditUplink, 'leaves'>,
  known: number,
  signal: AbortSignal,
): Promise<number> {
  for (let at = known; ; ) {
    const theirs = await uplink.leaves(log.id, at, signal);
    if (theirs.length === 0) return at;
    const own = await log.leaves(at, theirs.length);
    const parted = own.findIndex((leaf, i) => theirs[i]?.equals(leaf) !== true);
    if (parted >= 0) return at + parted;
    at += own.length;
    if (own.length < theirs.length) return at;
  }
}
