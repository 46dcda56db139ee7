// A disk that is really full: rows are refused while it lasts, and recording goes on by itself when there is room again.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { openLedgerDisk } from '@weir/spoke/io/ledger-disk.ts';
import { until } from './doubles.ts';
import { ledgerOver, rowsOnDisk } from './ledger-ground.ts';
import { servedDraft } from './sample-rows.ts';

const DISK_BYTES = 4 << 20;
const LIMITS = { segmentBytes: 256 << 10, totalBytes: 64 << 20, keepBytes: 0, pendingBytes: 8 << 20 };

test('a full disk refuses rows, and recording goes on when there is room again', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-full-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', folder]);
  try {
    if (mounted.status !== 0) {
      context.skip('a file system of limited size cannot be mounted here');
      return;
    }
    const disk = await openLedgerDisk(join(folder, 'w0'));
    const ledger = await ledgerOver(disk, { limits: LIMITS });
    const stopping = new AbortController();
    const run = ledger.run(stopping.signal);
    const told: string[] = [];
    const record = async (): Promise<void> => {
      const draft = servedDraft();
      await ledger.append(draft);
      told.push(draft.id);
    };
    await Promise.all(Array.from({ length: 20 }, record));
    const { bavail, bsize } = await statfs(folder);
    await writeFile(join(folder, 'ballast'), Buffer.alloc(bavail * bsize));
    await assert.rejects(
      async () => {
        for (;;) await Promise.all(Array.from({ length: 50 }, record));
      },
      { code: 'resource_exhausted' },
    );
    assert.equal(ledger.stats().state, 'full');
    const { id } = ledger.open();
    await rm(join(folder, 'ballast'));
    const isIn = (): Promise<boolean> =>
      record().then(
        () => true,
        () => false,
      );
    await until(isIn, 'room for a row');
    assert.equal(ledger.open().id, id, 'no other log was needed');
    stopping.abort(new WeirError('cancelled', 'the test has seen enough'));
    await run;
    const stored = (await rowsOnDisk(disk)).flatMap(({ rows }) => rows.map((row) => row.id));
    for (const row of told) assert.ok(stored.includes(row), `${row} is lost`);
    await ledger.close();
  } finally {
    if (mounted.status === 0) spawnSync('umount', [folder]);
    await rm(folder, { recursive: true, force: true });
  }
});
