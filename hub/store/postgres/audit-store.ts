// The ledger in Postgres: rows in monthly partitions, one head per log, and the one way in.

import type { AuditStore } from '../audit-store.ts';
import { committerIn } from './audit-group.ts';
import { headsIn } from './audit-heads.ts';
import { leavesFrom } from './audit-leaves.ts';
import { ensureMonths, strayMonths } from './audit-partitions.ts';
import { queryRows, rowByCode, rowById } from './audit-query.ts';
import { packRows } from './copy-rows.ts';
import type { Pool } from './pool.ts';
import { ROW_COLUMNS, type StoredColumns, storedRow } from './stored-row.ts';

export function createAuditStore(pool: Pool): AuditStore {
  return {
    ...headsIn(pool),
    prepare: packRows,
    commitGroup: committerIn(pool),

    async rowsFrom(log, index, limit) {
      const { rows } = await pool.query<StoredColumns>(
        `SELECT ${ROW_COLUMNS} FROM audit_rows WHERE log = $1 AND index >= $2 ORDER BY index LIMIT $3`,
        [log, index, limit],
      );
      return rows.map(storedRow);
    },
    leavesFrom: (log, index, limit) => leavesFrom(pool, log, index, limit),

    query: (filter, page) => queryRows(pool, filter, page),
    byCode: (code) => rowByCode(pool, code),
    byId: (id) => rowById(pool, id),

    ensurePartitions: (fromMs, untilMs) => ensureMonths(pool, fromMs, untilMs),
    strayMonths: () => strayMonths(pool),
  };
}
