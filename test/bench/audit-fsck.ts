// `audit-fsck`: how fast a database is checked against what its logs signed, every leaf and root derived again, against
// reading the same rows out of Postgres and doing nothing with them. `--rows=N` says how many, `--logs=N` in how many logs.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fsck } from '@weir/hub/audit/fsck.ts';
import { makeTiles } from '@weir/hub/audit/tile-job.ts';
import { startEmbeddedPostgres } from '@weir/hub/io/embedded-postgres.ts';
import { createFsckThreads } from '@weir/hub/io/fsck-threads.ts';
import { createAuditStore } from '@weir/hub/store/postgres/audit-store.ts';
import { migrate } from '@weir/hub/store/postgres/migrate.ts';
import { createPool } from '@weir/hub/store/postgres/pool.ts';
import { createRowScan } from '@weir/hub/store/postgres/row-scan.ts';
import { createTileStore } from '@weir/hub/store/postgres/tile-store.ts';
import { uncounted } from '../audit/doubles.ts';
import { growLog, makeSigners } from '../audit/stored-log.ts';
import { quiet } from '../hub/database.ts';
import type { BenchOptions, BenchResult } from './benches.ts';
import { rounded } from './figures.ts';

const ROWS_DEFAULT = 200_000;
const LOGS_DEFAULT = 2;
const RUN_ROWS = 8192;
const AIMS = { rows_per_s: 200_000 } as const;

export async function run({ print, flags }: BenchOptions): Promise<BenchResult> {
  const logs = Number(flags['logs'] ?? LOGS_DEFAULT);
  const perLog = Math.ceil(Number(flags['rows'] ?? ROWS_DEFAULT) / logs);
  const folder = await mkdtemp(join(tmpdir(), 'weir-bench-'));
  const settings = { fsync: 'off', full_page_writes: 'off', max_wal_size: '4GB', shared_buffers: '1GB' };
  const server = await startEmbeddedPostgres({ home: folder, logger: quiet, settings });
  const pool = createPool({ url: server.url, logger: quiet });
  const threads = createFsckThreads();
  try {
    await migrate(pool);
    const store = createAuditStore(pool);
    const tiles = createTileStore(pool);
    const scan = createRowScan(pool);
    const signers = makeSigners();
    const names = Array.from({ length: logs }, (_, n) => `payments.edge-1.w${n}.e1`);
    await store.ensurePartitions(Date.now(), Date.now() + perLog * 1000);
    for (const log of names) await growLog(store, signers, log, perLog);
    await makeTiles({ store, tiles, logger: quiet, metrics: uncounted }, new AbortController().signal);
    await pool.query('VACUUM ANALYZE audit_rows');
    print(`${logs * perLog} rows in ${logs} logs`);

    const timed = async (work: () => Promise<void>): Promise<number> => {
      const started = performance.now();
      await work();
      return rounded((logs * perLog) / ((performance.now() - started) / 1000));
    };
    const read = async (): Promise<void> => {
      for (const log of names) {
        for (let from = 0; from < perLog; from += RUN_ROWS) await scan.rows(log, from, from + RUN_ROWS);
      }
    };
    const check = async (): Promise<void> => {
      const parts = { store, tiles, scan, check: threads.check, hubKey: signers.hubKey };
      for await (const step of fsck(parts, { log: '' })) {
        if (step.kind === 'summary' && (step.faulty > 0 || step.rows !== logs * perLog)) throw new Error('not sound');
      }
    };
    await read();
    const figures = { read: 0, checked: 0 };
    for (let round = 0; round < 3; round += 1) {
      figures.read = Math.max(figures.read, await timed(read));
      figures.checked = Math.max(figures.checked, await timed(check));
      print(`best so far: ${figures.read} rows/s read, ${figures.checked} rows/s checked`);
    }
    const memory_mb = rounded(process.memoryUsage().rss / (1 << 20));
    return {
      bench: 'audit-fsck',
      unit: 'rows_per_s',
      weir: { rows: logs * perLog, rows_per_s: figures.checked, memory_mb },
      peers: { read: { rows_per_s: figures.read } },
      ratios: { read: rounded(figures.checked / figures.read) },
      aims: AIMS,
      held: figures.checked >= AIMS.rows_per_s,
    };
  } finally {
    await threads.close();
    await pool.end();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
