// How far a log's rows are known to have reached, from its small files and without opening it: what damage is measured
// against. Nothing here is believed beyond that; signatures are checked by whoever opens the log.

import { CHECKPOINT_FILE, RECEIPT_FILE } from './log-notes.ts';
import type { SpoolDisk } from './spool-disk.ts';

export interface KnownExtent {
  /** Rows below are the hub's and may have been dropped. */
  readonly from: number;
  /** Rows below were durable. */
  readonly until: number;
}

export async function knownExtent(disk: Pick<SpoolDisk, 'load'>): Promise<KnownExtent> {
  const from = sizeIn(await disk.load(RECEIPT_FILE));
  return { from, until: Math.max(from, sizeIn(await disk.load(CHECKPOINT_FILE))) };
}

/** The tree size in a checkpoint: its second line. */
function sizeIn(note: Buffer | undefined): number {
  const size = Number(note?.toString('latin1').split('\n', 2)[1] ?? 0);
  return Number.isSafeInteger(size) && size > 0 ? size : 0;
}
