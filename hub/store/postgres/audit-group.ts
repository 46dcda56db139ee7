// Group commit: rows of many logs and the new ends of those logs, in one transaction. Heads are locked in one order by every
// hub, so that no two of them wait for each other, and rows below a locked head are in nobody's way.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { AuditStore, GroupChange, LeafReader } from '../audit-store.ts';
import { closeLog, lockHeads, moveHeads } from './audit-heads.ts';
import { leavesBetween, leavesOfRows } from './audit-leaves.ts';
import { copyIn } from './copy-in.ts';
import { COPY_ROWS, copyMessages } from './copy-rows.ts';
import { inTransaction, type Pool, type Queryable, sqlState } from './pool.ts';
import { storeError } from './store-error.ts';

const LOCK_NOT_AVAILABLE = '55P03';
/** What somebody else holds for longer is a reason to try again later. */
const LOCK_TIMEOUT_MS = 2_000;

export function committerIn(pool: Pool): AuditStore['commitGroup'] {
  return async (logs, { careful }, plan) => {
    let waiting = true;
    try {
      await inTransaction(pool, async (client) => {
        await promiseDurability(client);
        const heads = await lockHeads(client, logs);
        waiting = false;
        const leaves: LeafReader = careful
          ? (log, from, until) => leavesOfRows(client, log, from, until)
          : (log, from, until) => leavesBetween(client, log, from, until);
        const { appends, closings }: GroupChange = await plan(heads, leaves);
        const runs = appends.flatMap(({ rows }) => rows);
        if (runs.length > 0) await copyIn(client, COPY_ROWS, copyMessages(runs));
        if (appends.length > 0) await moveHeads(client, appends);
        for (const closing of closings) await closeLog(client, closing);
      });
    } catch (thrown) {
      if (waiting && sqlState(thrown) === LOCK_NOT_AVAILABLE) throw await busyError(pool, logs, thrown);
      throw storeError(thrown);
    }
  };
}

/** Names the logs that somebody else holds, so that the others need not wait for them. */
async function busyError(pool: Pool, logs: readonly string[], cause: unknown): Promise<WeirError> {
  try {
    const { rows } = await pool.query<{ log: string }>(
      `SELECT log FROM audit_logs WHERE log = ANY ($1) EXCEPT
       SELECT log FROM (SELECT log FROM audit_logs WHERE log = ANY ($1) FOR UPDATE SKIP LOCKED) AS free ORDER BY log`,
      [logs],
    );
    const busy = rows.map(({ log }) => log).join(' ');
    return new WeirError('unavailable', 'a log is held by somebody else', { cause, retry: 'later', detail: { busy } });
  } catch (thrown) {
    return storeError(thrown);
  }
}

/** A receipt says that rows are on disk: a database that is set to answer sooner is not, for this transaction. */
async function promiseDurability(client: Queryable): Promise<void> {
  await client.query(
    `SELECT set_config('lock_timeout', '${LOCK_TIMEOUT_MS}', true),
       CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', true) END`,
  );
}
