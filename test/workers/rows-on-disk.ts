// Every row that a spoke's home holds, log by log, read as the command line does: without writing, with the spoke stopped.

import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { viewLog } from '@weir/spoke/audit/view-log.ts';
import { viewSpoolDisk } from '@weir/spoke/io/spool-disk.ts';

const AT_ONCE = 1000;
const BYTES_MAX = 4 << 20;

export interface LogOnDisk {
  readonly log: string;
  readonly rows: readonly AuditRow[];
  /** Leaf hash of each row's bytes, base64. */
  readonly leaves: readonly string[];
}

export async function logsOnDisk(home: string): Promise<readonly LogOnDisk[]> {
  const folders = readdirSync(join(home, 'audit'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('log.json'))
    .map((path) => join(home, 'audit', dirname(path)))
    .toSorted();
  return Promise.all(folders.map(readLog));
}

async function readLog(folder: string): Promise<LogOnDisk> {
  const view = await viewLog(viewSpoolDisk(folder));
  const rows: AuditRow[] = [];
  const leaves: string[] = [];
  while (rows.length < view.nextIndex) {
    const { rows: some } = await view.read(rows.length, AT_ONCE, BYTES_MAX);
    if (some.length === 0) throw new Error(`${view.id} has no row ${rows.length}`);
    leaves.push(...some.map((bytes) => leafHash(Buffer.from(bytes)).toString('base64')));
    rows.push(...some.map((bytes) => JSON.parse(Buffer.from(bytes).toString('utf8')) as AuditRow));
  }
  return { log: view.id, rows, leaves };
}
