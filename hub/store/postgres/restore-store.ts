// Restoring in Postgres: the same locks, the same COPY and the same head as ingest uses.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { LogHead } from '../audit-store.ts';
import type { RestoreStore } from '../restore-store.ts';
import { lockHeads, moveHeads } from './audit-heads.ts';
import { leavesOfRows } from './audit-leaves.ts';
import { copyIn } from './copy-in.ts';
import { COPY_ROWS, encodeRows } from './copy-rows.ts';
import type { Pool } from './pool.ts';
import { storeError } from './store-error.ts';

export function createRestoreStore(pool: Pool): RestoreStore {
  return {
    async segment({ log, unit, spoke, vkey, binding }, { lookOnly }, work) {
      const client = await pool.connect();
      let broken = false;
      try {
        await client.query('BEGIN');
        await client.query('SET LOCAL statement_timeout = 0');
        await client.query(
          `INSERT INTO audit_logs (log, unit, spoke, vkey, binding) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (log) DO NOTHING`,
          [log, unit, spoke, vkey, binding],
        );
        const head = (await lockHeads(client, [log])).get(log);
        if (head === undefined) throw new WeirError('internal', 'a log vanished while it was restored');
        const result = await work({
          head,
          leaves: (from, until) => leavesOfRows(client, log, from, until),
          async add(rows) {
            if (rows.length > 0) await copyIn(client, COPY_ROWS, encodeRows([{ log, unit, spoke, rows }]));
          },
          end: ({ nextIndex, edge, checkpoint, receipt, lastEventMs }) =>
            moveHeads(client, [appendOf(head, { nextIndex, edge, checkpoint, receipt, lastEventMs })]),
          async complete() {
            await client.query('UPDATE audit_logs SET kept_from = 0 WHERE log = $1 AND kept_from > 0', [log]);
          },
          async close(reason) {
            await client.query(
              "UPDATE audit_logs SET state = 'closed', reason = $2, updated_at = now() WHERE log = $1 AND state = 'open'",
              [log, reason],
            );
          },
        });
        await client.query(lookOnly ? 'ROLLBACK' : 'COMMIT');
        return result;
      } catch (thrown) {
        await client.query('ROLLBACK').catch(() => {
          broken = true;
        });
        throw storeError(thrown);
      } finally {
        client.release(broken);
      }
    },
  };
}

function appendOf(head: LogHead, change: Partial<Parameters<typeof moveHeads>[1][number]>) {
  const { log, unit, spoke, nextIndex, edge, checkpoint, receipt } = head;
  const lastEventMs = head.lastEventMs ?? 0;
  return { log, unit, spoke, nextIndex, edge, checkpoint, receipt, lastEventMs, rows: [], ...change };
}
