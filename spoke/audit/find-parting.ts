// Where two histories of one log part: a spoke that was put back to an older state, or copied, and went on from there. Rows
// before that point are at the hub already; those after it are nowhere but here.

import type { AuditLog } from './audit-log.ts';
import type { AuditUplink } from './audit-uplink.ts';

/** The hub's copy of a log as its receipt has it, and how many rows of it this spoke has a receipt for. */
export interface HubCopy {
  readonly held: number;
  /** Signed by the log's key, and by the hub. */
  readonly root: Buffer;
  /** At most the rows that are here. */
  readonly known: number;
}

/**
 * The first row that the hub's copy of a log lacks or has otherwise. Leaves are signed by nobody: they count only when together
 * they give the root that is. Otherwise it is the first row without a receipt: rather a row twice at the hub than nowhere.
 */
export async function findParting(
  log: Pick<AuditLog, 'id' | 'leaves' | 'edgeAt'>,
  uplink: Pick<AuditUplink, 'leaves'>,
  { held, root, known }: HubCopy,
  signal: AbortSignal,
): Promise<number> {
  // A hub that lost receipted rows may have got others in their place: then all of its copy has to be compared.
  for (const from of new Set([Math.min(known, held), 0])) {
    const edge = await log.edgeAt(from);
    let parted: number | undefined;
    while (edge.size < held) {
      const theirs = (await uplink.leaves(log.id, edge.size, signal)).slice(0, held - edge.size);
      if (theirs.length === 0) break;
      const own = await log.leaves(edge.size, theirs.length);
      const different = theirs.findIndex((leaf, i) => own[i]?.equals(leaf) !== true);
      if (different >= 0) parted ??= edge.size + different;
      for (const leaf of theirs) edge.append(leaf);
    }
    if (edge.size === held && edge.root().equals(root)) return parted ?? held;
  }
  return known;
}
