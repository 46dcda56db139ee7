// A hub's database with sound logs, and what copies it: for tests of copies, restoring and retention.

import { chmod, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { copyLogs, type CopyJobParts } from '@weir/hub/audit/copy-job.ts';
import type { CopyTarget } from '@weir/hub/audit/copy-target.ts';
import { restore, type RestoreStep } from '@weir/hub/audit/restore.ts';
import { makeTiles } from '@weir/hub/audit/tile-job.ts';
import { systemClock } from '@weir/hub/io/system-clock.ts';
import type { AuditStore } from '@weir/hub/store/audit-store.ts';
import type { CopyStore } from '@weir/hub/store/copy-store.ts';
import { createAuditStore } from '@weir/hub/store/postgres/audit-store.ts';
import { createCopyStore } from '@weir/hub/store/postgres/copy-store.ts';
import type { Pool } from '@weir/hub/store/postgres/pool.ts';
import { createRestoreStore } from '@weir/hub/store/postgres/restore-store.ts';
import { createTileStore } from '@weir/hub/store/postgres/tile-store.ts';
import type { TileStore } from '@weir/hub/store/tile-store.ts';
import { quiet, type TestServer } from '../hub/database.ts';
import { uncounted } from './doubles.ts';
import { makeSigners, type Signers, WORKSPACE } from './stored-log.ts';

export interface Hub {
  readonly pool: Pool;
  readonly store: AuditStore;
  readonly tiles: TileStore;
  readonly copies: CopyStore;
  readonly signers: Signers;
}

/** A hub on a database of its own; one that takes over another's keys is that hub, restored elsewhere. */
export async function startHub(server: TestServer, signers: Signers = makeSigners()): Promise<Hub> {
  const { pool } = await server.migratedPool();
  return {
    pool,
    store: createAuditStore(pool),
    tiles: createTileStore(pool),
    copies: createCopyStore(pool),
    signers,
  };
}

export function tile({ store, tiles }: Hub): Promise<void> {
  return makeTiles({ store, tiles, logger: quiet, metrics: uncounted }, new AbortController().signal);
}

export function copyParts({ store, tiles, copies, signers }: Hub, target: CopyTarget): CopyJobParts {
  const { hubKey } = signers;
  return { store, tiles, copies, target, hubKey, clock: systemClock, logger: quiet, metrics: uncounted };
}

/** One turn of the jobs. */
export async function copy(hub: Hub, target: CopyTarget): Promise<void> {
  await tile(hub);
  await copyLogs(copyParts(hub, target), new AbortController().signal);
}

export function restoreAll(
  hub: Hub,
  targets: readonly CopyTarget[],
  change: { readonly log?: string; readonly lookOnly?: boolean; readonly knowsSpokes?: boolean } = {},
): Promise<readonly RestoreStep[]> {
  const { store, tiles, pool, signers } = hub;
  const spokePublic = change.knowsSpokes === false ? undefined : signers.spokePublic;
  return Array.fromAsync(
    restore(
      {
        store,
        tiles,
        restoring: createRestoreStore(pool),
        targets,
        workspace: WORKSPACE,
        hubKey: signers.hubKey,
        spokeKey: () => Promise.resolve(spokePublic),
        clock: systemClock,
        logger: quiet,
        metrics: uncounted,
      },
      { log: change.log ?? '', lookOnly: change.lookOnly ?? false },
    ),
  );
}

/** Everything that a restored database must have as the original had it. */
export async function ledgerOf({ pool }: Hub): Promise<readonly (readonly unknown[])[]> {
  const results = [];
  for (const sql of [
    `SELECT log, index, event_time, unit, spoke, actor, purl, level, rules, code, action, outcome, row, leaf, flags
     FROM audit_rows ORDER BY log, index`,
    `SELECT log, unit, spoke, next_index, state, reason, vkey, binding, edge, checkpoint, receipt, last_event_time, kept_from,
       tiled FROM audit_logs ORDER BY log`,
    'SELECT log, level, index, hashes FROM audit_tiles ORDER BY log, level, index',
  ]) {
    results.push((await pool.query<Record<string, unknown>>(sql)).rows);
  }
  return results;
}

/** Path → content of a folder's files, without partial tiles and bundles, which come and go. */
export async function objectsIn(folder: string): Promise<ReadonlyMap<string, string>> {
  const objects = new Map<string, string>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(folder.length + 1);
    if (!name.includes('.p/')) objects.set(name, (await readFile(path)).toString('base64'));
  }
  return new Map([...objects].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Makes a read-only copy removable, and changeable by a test that plays the intruder. */
export async function openUp(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) await chmod(join(entry.parentPath, entry.name), 0o644);
  }
}
