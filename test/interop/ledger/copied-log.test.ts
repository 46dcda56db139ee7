// A log as the hub copies it, long enough for tiles of three levels, read by Tessera's fsck, by our own check of the database,
// and back into an empty one.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fsck } from '@weir/hub/audit/fsck.ts';
import { createFolderTarget } from '@weir/hub/io/copy-folder.ts';
import { createFsckThreads } from '@weir/hub/io/fsck-threads.ts';
import { createRowScan } from '@weir/hub/store/postgres/row-scan.ts';
import { readCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { copy, type Hub, openUp, restoreAll, startHub } from '../../audit/copy-ground.ts';
import { growLog } from '../../audit/stored-log.ts';
import { testPostgres } from '../../hub/database.ts';
import { goToolOrSkip } from '../../tools/go-tool.ts';
import { runTesseraFsck, TESSERA_FSCK } from './tessera-process.ts';

const LOG = 'payments.edge-1.w0.e1';
/** A full tile of level 1, one more of level 0, and a partial one. */
const ROWS = 65_536 + 256 + 44;

const server = testPostgres();

test('a long copied log is what Tessera and the hub itself say it is', { timeout: 600_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-copied-'));
  const threads = createFsckThreads(2);
  try {
    const hub = await startHub(server);
    await growLog(hub.store, hub.signers, LOG, 65_000);
    const target = await createFolderTarget(join(folder, 'copy'));
    await copy(hub, target);
    await growLog(hub.store, hub.signers, LOG, ROWS - 65_000);
    await copy(hub, target);
    const head = await hub.store.head(LOG);
    assert.ok(head !== undefined);
    const { size, root } = readCheckpoint(head.receipt);
    assert.deepEqual([size, head.tiled], [ROWS, 65_536 + 256]);

    const summary = { kind: 'summary', logs: 1, rows: ROWS, faulty: 0 };
    assert.deepEqual((await checked(hub, threads.check)).at(-1), summary);
    await t.test('a tile of a higher level is compared too', async () => {
      const where = 'WHERE level = 1 AND index = 0';
      const { rows } = await hub.pool.query<{ hashes: Buffer }>(`SELECT hashes FROM audit_tiles ${where}`);
      await hub.pool.query(`UPDATE audit_tiles SET hashes = overlay(hashes placing sha256('x') from 65) ${where}`);
      const faults = (await checked(hub, threads.check)).flatMap((step) => (step.kind === 'log' ? step.faults : []));
      assert.deepEqual(faults, [{ index: -1, what: 'tile/1/000 is not what the rows give' }]);
      await hub.pool.query(`UPDATE audit_tiles SET hashes = $1 ${where}`, [rows[0]?.hashes]);
    });

    await t.test("Tessera's fsck re-derives it", async (sub) => {
      const program = await goToolOrSkip(sub, TESSERA_FSCK);
      if (program === undefined) return;
      const log = join(folder, 'copy', 'logs', LOG);
      const output = await runTesseraFsck(program, log, join(log, 'vkey'));
      const expected = `Successfully fsck'd log with size ${ROWS} and root ${root.toString('base64')}`;
      assert.ok(output.includes(expected), output);
    });

    await t.test('an empty database gets it back', async () => {
      const empty = await startHub(server, hub.signers);
      assert.equal((await restoreAll(empty, [target])).at(-1)?.added, ROWS);
      const restored = await empty.store.head(LOG);
      assert.deepEqual({ ...restored, updatedAtMs: 0 }, { ...head, updatedAtMs: 0 });
      assert.deepEqual((await checked(empty, threads.check)).at(-1), summary);
    });
  } finally {
    await threads.close();
    await openUp(folder);
    await rm(folder, { recursive: true, force: true });
  }
});

function checked({ store, tiles, pool, signers }: Hub, check: Parameters<typeof fsck>[0]['check']) {
  return Array.fromAsync(fsck({ store, tiles, scan: createRowScan(pool), check, hubKey: signers.hubKey }, { log: '' }));
}
