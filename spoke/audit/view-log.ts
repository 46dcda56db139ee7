// Looking into a log's folder without writing: for the command line, with the spoke running or not, and with the hub away.

import { createHash } from 'node:crypto';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { logIdIn } from './audit-log.ts';
import { type Recovered, type TornTail, recoverSegments } from './recover-segments.ts';
import { type RowReader, createRowReader } from './row-reader.ts';
import type { SpoolDisk } from './spool-disk.ts';

export interface LogView extends RowReader {
  readonly id: string;
  readonly firstIndex: number;
  readonly nextIndex: number;
  /** A batch that was being written at this moment, or left unfinished. */
  readonly torn: TornTail | undefined;
}

/**
 * The log as it stands now; rows recorded later need a new view. Throws `not_found` when the folder holds no log, `corrupt`
 * when its rows are damaged.
 */
export async function viewLog(disk: Pick<SpoolDisk, 'list' | 'read' | 'size' | 'load'>): Promise<LogView> {
  const name = await disk.load('log.json');
  const id = name === undefined ? undefined : logIdIn(name);
  if (id === undefined) throw new WeirError('not_found', 'there is no audit log in this folder');
  const found = await survey(disk, createHash('sha256').update(id).digest());
  const reader = createRowReader(disk, () => found.used);
  return {
    id,
    firstIndex: found.used[0]?.firstIndex ?? 0,
    nextIndex: found.nextIndex,
    torn: found.torn,
    read: (from, maxRows, maxBytes) => reader.read(from, maxRows, maxBytes),
    findByCode: (code) => reader.findByCode(code),
  };
}

/** Times that the folder is listed anew because its writer dropped a segment meanwhile. */
const ATTEMPTS = 5;

async function survey(disk: Pick<SpoolDisk, 'list' | 'read' | 'size'>, logDigest: Uint8Array): Promise<Recovered> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await recoverSegments(disk, logDigest);
    } catch (thrown) {
      const isGone = thrown instanceof WeirError && thrown.code === 'not_found';
      if (!isGone || attempt === ATTEMPTS) throw thrown;
    }
  }
}
