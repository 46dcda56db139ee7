// The write-once copy: what is in it, what may end the job at any write, and what is found when somebody changes it.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { copiedLog } from '@weir/hub/audit/copied-log.ts';
import { copyLog } from '@weir/hub/audit/copy-job.ts';
import type { CopyTarget } from '@weir/hub/audit/copy-target.ts';
import { createRowProofs } from '@weir/hub/audit/prove.ts';
import { createFolderTarget } from '@weir/hub/io/copy-folder.ts';
import { checkRowProof } from '@weir/shared/audit/tlog/row-proof.ts';
import { parseVkey } from '@weir/shared/audit/tlog/note.ts';
import { verifyLog } from '@weir/shared/audit/verify-log.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { testPostgres } from '../hub/database.ts';
import { copy, copyParts, type Hub, ledgerOf, objectsIn, openUp, restoreAll, startHub, tile } from './copy-ground.ts';
import { growLog } from './stored-log.ts';

const LOG = 'payments.edge-1.w0.e1';
const OTHER = 'research.edge-2.w0.e1';

const server = testPostgres();
let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-copy-'));
});
after(async () => {
  await openUp(folder);
  await rm(folder, { recursive: true, force: true });
});

let folders = 0;
async function emptyFolder(): Promise<{ readonly path: string; readonly target: CopyTarget }> {
  folders += 1;
  const path = join(folder, `copy-${folders}`);
  return { path, target: await createFolderTarget(path) };
}

async function hubWith(rows: number): Promise<Hub> {
  const hub = await startHub(server);
  await growLog(hub.store, hub.signers, LOG, rows);
  return hub;
}

async function verify(hub: Hub, target: CopyTarget, log = LOG) {
  const key = hub.signers.logs.get(log);
  assert.ok(key !== undefined);
  return verifyLog(copiedLog(target, log), { log: parseVkey(key.vkey), hub: hub.signers.hubKey });
}

test('a copy is a log that anyone can verify, and follows the log as it grows', async () => {
  const hub = await hubWith(600);
  const { path, target } = await emptyFolder();
  await copy(hub, target);
  assert.deepEqual(
    { ...(await hub.copies.position(target.name, LOG)), updatedAtMs: 0, receiptAtMs: 0 },
    { target: target.name, log: LOG, copied: 600, verified: 600, updatedAtMs: 0, receiptAtMs: 0 },
  );
  const first = await verify(hub, target);
  assert.deepEqual([first.rows, first.fault], [600, null]);

  await growLog(hub.store, hub.signers, LOG, 300);
  await growLog(hub.store, hub.signers, OTHER, 1);
  await copy(hub, target);
  assert.equal((await verify(hub, target)).rows, 900);
  assert.equal((await verify(hub, target, OTHER)).rows, 1);
  // Full tiles and bundles are read-only; what they replaced is gone.
  assert.equal((await stat(join(path, 'logs', LOG, 'tile/0/002'))).mode & 0o777, 0o444);
  assert.equal((await stat(join(path, 'logs', LOG, 'tile/entries/002'))).mode & 0o777, 0o444);
  await assert.rejects(stat(join(path, 'logs', LOG, 'tile/0/002.p/88')));
  await assert.rejects(stat(join(path, 'logs', LOG, 'tile/entries/002.p/88')));
  assert.equal(await hub.copies.unverified(target.name), 0);
  assert.deepEqual(await hub.copies.behind(target.name, { after: '', limit: 10, receiptBeforeMs: 0 }), []);
});

test('a log that is closed while it is being copied is closed in the copy too', async () => {
  const hub = await hubWith(10);
  const { target } = await emptyFolder();
  await tile(hub);
  const closing: CopyTarget = {
    ...target,
    async replace(path, bytes) {
      await hub.pool.query(`UPDATE audit_logs SET state = 'closed', reason = 'fork', updated_at = now()`);
      await target.replace(path, bytes);
    },
  };
  await copyLog(copyParts(hub, closing), LOG);
  assert.equal(await target.read(`logs/${LOG}/closed.json`), undefined);
  await copy(hub, target);
  assert.equal(String(await target.read(`logs/${LOG}/closed.json`)), '{"v":1,"reason":"fork"}\n');
  assert.deepEqual(await hub.copies.behind(target.name, { after: '', limit: 10, receiptBeforeMs: 0 }), []);
});

test('a target that denies everything is asked once a turn, not once for each log', async () => {
  const hub = await hubWith(1);
  await growLog(hub.store, hub.signers, OTHER, 1);
  const { target } = await emptyFolder();
  let asked = 0;
  const denying: CopyTarget = {
    ...target,
    keep() {
      asked += 1;
      return Promise.reject(new WeirError('upstream_failed', 'the service answered 403 AccessDenied'));
    },
  };
  await assert.rejects(copy(hub, denying), { code: 'upstream_failed' });
  assert.equal(asked, 1);
});

test('a receipt is kept for good once an hour, and when the log is closed', async () => {
  const hub = await hubWith(10);
  const { target } = await emptyFolder();
  await copy(hub, target);
  await growLog(hub.store, hub.signers, LOG, 10);
  await copy(hub, target);
  assert.deepEqual(await target.list(`logs/${LOG}/receipts`), ['10']);
  await hub.pool.query(`UPDATE audit_copies SET checkpoint_at = now() - interval '2 hours'`);
  await copy(hub, target);
  assert.deepEqual(await target.list(`logs/${LOG}/receipts`), ['10', '20']);
  await growLog(hub.store, hub.signers, LOG, 10);
  await hub.pool.query(`UPDATE audit_logs SET state = 'closed', reason = 'fork', updated_at = now()`);
  await copy(hub, target);
  assert.deepEqual(await target.list(`logs/${LOG}/receipts`), ['10', '20', '30']);
  assert.equal(String(await target.read(`logs/${LOG}/closed.json`)), '{"v":1,"reason":"fork"}\n');
});

test('the job may end at any write, done or not, and the next turn makes the copy whole', async () => {
  const hub = await hubWith(256 * 3 + 5);
  await tile(hub);
  const whole = await emptyFolder();
  await copy(hub, whole.target);
  const expected = await objectsIn(whole.path);

  for (const ending of ['lost', 'done but reported lost'] as const) {
    for (let at = 0; ; at += 1) {
      const { path, target } = await emptyFolder();
      let left = at;
      const broken = failing(target, async (write) => {
        left -= 1;
        if (left >= 0) return write();
        if (left === -1 && ending !== 'lost') await write();
        throw new WeirError('unavailable', 'the target broke');
      });
      let failed = false;
      try {
        await copyLog(copyParts(hub, broken), LOG);
      } catch {
        failed = true;
      }
      // What counts as copied is really there.
      const position = await hub.copies.position(target.name, LOG);
      for (let index = 0; index * 256 < (position?.copied ?? 0) - 255; index += 1) {
        assert.ok((await copiedLog(target, LOG).entries(index, 256)) !== undefined);
      }
      await copyLog(copyParts(hub, target), LOG);
      assert.deepEqual(await objectsIn(path), expected, `${ending} at write ${at}`);
      assert.equal((await verify(hub, target)).fault, null);
      if (!failed) break;
      assert.ok(at < 100);
    }
  }
});

test('a database that loses its answer, or what was written, does no harm', async () => {
  const hub = await hubWith(600);
  await tile(hub);
  for (const ending of ['lost', 'done but reported lost'] as const) {
    const { path, target } = await emptyFolder();
    const parts = copyParts(hub, target);
    for (let at = 0; at < 3; at += 1) {
      let left = at;
      const copies: typeof parts.copies = {
        position: (...of) => hub.copies.position(...of),
        behind: (...of) => hub.copies.behind(...of),
        unverified: (...of) => hub.copies.unverified(...of),
        async moved(...to) {
          left -= 1;
          if (left >= 0) return hub.copies.moved(...to);
          if (ending !== 'lost') await hub.copies.moved(...to);
          throw new Error('the database is gone');
        },
      };
      await copyLog({ ...parts, copies }, LOG).catch(() => undefined);
    }
    await copyLog(parts, LOG);
    assert.equal((await hub.copies.position(target.name, LOG))?.verified, 600);
    assert.equal((await verify(hub, target)).fault, null);
    assert.ok((await objectsIn(path)).has(`logs/${LOG}/checkpoint`));
  }
});

test('what does not lead to the receipted root never reaches the copy', async () => {
  const hub = await hubWith(600);
  await tile(hub);
  await hub.pool.query(`UPDATE audit_rows SET row = '\\x7b7d' WHERE index = 300`);
  const { path, target } = await emptyFolder();
  await assert.rejects(copyLog(copyParts(hub, target), LOG), /row 300 of .* is not the row that was receipted/);
  await copy(hub, target);
  assert.ok(!(await objectsIn(path)).has(`logs/${LOG}/checkpoint`));
  assert.equal((await hub.copies.position(target.name, LOG))?.verified ?? 0, 0);
});

test('an object that is there with other bytes stops its log, and no other', async () => {
  const hub = await hubWith(600);
  await growLog(hub.store, hub.signers, OTHER, 5);
  const { path, target } = await emptyFolder();
  await target.keep(`logs/${LOG}/tile/entries/001`, Buffer.from('something else'));
  await assert.rejects(async () => {
    await tile(hub);
    await copyLog(copyParts(hub, target), LOG);
  }, /tile\/entries\/001 is in the copy with other bytes/);
  await copy(hub, target);
  assert.equal((await hub.copies.position(target.name, OTHER))?.verified, 5);
  assert.equal((await hub.copies.position(target.name, LOG))?.verified ?? 0, 0);
  assert.ok((await objectsIn(path)).size > 0);
});

test('a database is restored byte for byte, and once more changes nothing', async () => {
  const hub = await hubWith(600);
  await growLog(hub.store, hub.signers, OTHER, 3);
  await growLog(hub.store, hub.signers, LOG, 300);
  const { target } = await emptyFolder();
  await copy(hub, target);
  const empty = await startHub(server, hub.signers);
  const look = await restoreAll(empty, [target], { lookOnly: true });
  assert.deepEqual(
    look.filter(({ done }) => done).map(({ log, added, fault }) => [log, added, fault]),
    [
      [LOG, 900, ''],
      [OTHER, 3, ''],
    ],
  );
  assert.deepEqual(await empty.store.heads({ limit: 10 }), []);
  await restoreAll(empty, [target]);
  assert.deepEqual(await ledgerOf(empty), await ledgerOf(hub));
  const again = await restoreAll(empty, [target]);
  assert.deepEqual(
    again.map(({ added }) => added).filter((added) => added > 0),
    [],
  );
  assert.deepEqual(await ledgerOf(empty), await ledgerOf(hub));
  // The log goes on where it was.
  await growLog(empty.store, hub.signers, LOG, 10);
  assert.equal((await empty.store.head(LOG))?.nextIndex, 910);
});

test("yesterday's backup gets the rows that it lacks, a database with holes gets them filled", async () => {
  const hub = await hubWith(300);
  const { target } = await emptyFolder();
  await copy(hub, target);
  const backup = await hub.store.head(LOG);
  await hub.pool.query(`UPDATE audit_copies SET checkpoint_at = now() - interval '2 hours'`);
  await growLog(hub.store, hub.signers, LOG, 400);
  await copy(hub, target);
  const whole = await ledgerOf(hub);
  assert.ok(backup !== undefined);
  // Back to 300 rows.
  await hub.pool.query('DELETE FROM audit_rows WHERE index >= 300');
  await hub.pool.query('DELETE FROM audit_tiles WHERE index >= 1');
  await hub.pool.query(
    `UPDATE audit_logs SET next_index = 300, tiled = 256, edge = $1, checkpoint = $2, receipt = $3`,
    [backup.edge, backup.checkpoint, backup.receipt],
  );
  const steps = await restoreAll(hub, [target]);
  assert.deepEqual(steps.at(-1), { log: LOG, rows: 700, total: 700, added: 400, done: true, fault: '' });
  assert.deepEqual(await ledgerOf(hub), whole);
  await hub.pool.query('DELETE FROM audit_rows WHERE index IN (0, 17, 255, 256, 699)');
  assert.equal((await restoreAll(hub, [target])).at(-1)?.added, 5);
  assert.deepEqual(await ledgerOf(hub), whole);
});

test('a restoring that ends between segments is gone on with', async () => {
  const hub = await hubWith(300);
  const { target } = await emptyFolder();
  await copy(hub, target);
  await hub.pool.query(`UPDATE audit_copies SET checkpoint_at = now() - interval '2 hours'`);
  await growLog(hub.store, hub.signers, LOG, 400);
  await copy(hub, target);
  const empty = await startHub(server, hub.signers);
  const object = `logs/${LOG}/tile/entries/002.p/188`;
  const broken: CopyTarget = { ...target, read: async (path) => (path === object ? undefined : target.read(path)) };
  const last = (await restoreAll(empty, [broken])).at(-1);
  assert.equal(last?.fault, `${object} is missing`);
  assert.equal((await empty.store.head(LOG))?.nextIndex, 300);
  // A second copy stands in for the first.
  assert.equal((await restoreAll(empty, [broken, target])).at(-1)?.fault, '');
  assert.deepEqual(await ledgerOf(empty), await ledgerOf(hub));
});

const tamperings: readonly (readonly [object: string, change: (bytes: Buffer) => Buffer, fault: RegExp])[] = [
  ['tile/entries/001', flip, /tile\/entries\/001: row \d+ is not the row that was receipted|ends within row/],
  ['tile/entries/002.p/88', flip, /tile\/entries\/002\.p\/88/],
  ['tile/0/001', flip, /tile\/0\/001 does not lead to the signed root/],
  ['tile/1/000.p/2', flip, /tile\/1\/000\.p\/2.* do not give the signed root/],
  ['checkpoint', flip, /checkpoint is refused/],
  [
    'checkpoint',
    (bytes) => bytes.subarray(0, bytes.lastIndexOf('— hub.')),
    /checkpoint is refused: .*lacks the cosignature/,
  ],
  ['vkey', flip, /vkey is refused/],
  ['binding', flip, /binding is refused/],
];
for (const [object, change, fault] of tamperings) {
  test(`a copy whose ${object} was changed (${fault.source.slice(0, 40)}) restores nothing and says so`, async () => {
    const hub = await hubWith(600);
    const { path, target } = await emptyFolder();
    await copy(hub, target);
    await openUp(path);
    const file = join(path, 'logs', LOG, object);
    await writeFile(file, change(await readFile(file)));
    const empty = await startHub(server, hub.signers);
    const steps = await restoreAll(empty, [target]);
    assert.match(steps.at(-1)?.fault ?? '', fault);
    assert.equal((await empty.store.head(LOG))?.nextIndex ?? 0, 0);
    assert.deepEqual((await empty.pool.query('SELECT 1 FROM audit_rows')).rows, []);
  });
}

test('a copy of another history is not mixed into a database', async () => {
  const hub = await hubWith(600);
  const { target } = await emptyFolder();
  await copy(hub, target);
  const other = await startHub(server, hub.signers);
  await growLog(other.store, hub.signers, LOG, 10);
  const steps = await restoreAll(other, [target]);
  assert.match(steps.at(-1)?.fault ?? '', /another history/);
  assert.equal((await other.store.head(LOG))?.nextIndex, 10);
});

test('a log that no enrolled spoke vouches for comes back closed', async () => {
  const hub = await hubWith(10);
  const { target } = await emptyFolder();
  await copy(hub, target);
  const empty = await startHub(server, hub.signers);
  await restoreAll(empty, [target], { knowsSpokes: false });
  const head = await empty.store.head(LOG);
  assert.deepEqual([head?.nextIndex, head?.state, head?.reason], [10, 'closed', 'retired']);
});

test('any row is proven, from the copy when it has moved there', async () => {
  const hub = await hubWith(600);
  const { target } = await emptyFolder();
  await copy(hub, target);
  const { hubKey } = hub.signers;
  const parts = { store: hub.store, tiles: hub.tiles };
  const prove = createRowProofs({ ...parts, targets: [target] });
  const check = async (index: number): Promise<number> => {
    const { proof, vkey } = await prove(LOG, index);
    return checkRowProof(proof, { log: parseVkey(vkey), hub: hubKey }).index;
  };
  for (const index of [0, 255, 256, 511, 512, 599]) assert.equal(await check(index), index);
  await hub.pool.query('DELETE FROM audit_rows WHERE index < 300');
  await hub.pool.query('UPDATE audit_logs SET kept_from = 300');
  for (const index of [0, 299]) assert.equal(await check(index), index);
  await assert.rejects(createRowProofs({ ...parts, targets: [] })(LOG, 17), /in the write-once copy only/);
  await assert.rejects(prove(LOG, 600), /has no row 600 yet/);
  await hub.pool.query(`UPDATE audit_rows SET row = '\\x7b7d' WHERE index = 301`);
  await hub.pool.query('DELETE FROM audit_rows WHERE index = 302');
  await assert.rejects(prove(LOG, 301), /does not lead to the root/);
  await assert.rejects(prove(LOG, 302), /is missing/);
});

/** One bit in the middle. */
function flip(bytes: Buffer): Buffer {
  const at = Math.floor(bytes.length / 2);
  const changed = Buffer.from(bytes);
  changed[at] = (changed[at] ?? 0) ^ 1;
  return changed;
}

function failing(target: CopyTarget, gate: (write: () => Promise<void>) => Promise<void>): CopyTarget {
  return {
    ...target,
    keep: (path, bytes) => gate(() => target.keep(path, bytes)),
    replace: (path, bytes) => gate(() => target.replace(path, bytes)),
    remove: (path) => gate(() => target.remove(path)),
  };
}
