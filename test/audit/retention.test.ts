// Retention: a month goes only when it is old and every copy has it, and what went can be brought back.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkRun } from '@weir/hub/audit/fsck-rows.ts';
import { fsck, type FsckStep } from '@weir/hub/audit/fsck.ts';
import type { CopyTarget } from '@weir/hub/audit/copy-target.ts';
import { createRowProofs } from '@weir/hub/audit/prove.ts';
import { onlyInCopies, removeOldMonths, type RetentionRules } from '@weir/hub/audit/retention.ts';
import { createFolderTarget } from '@weir/hub/io/copy-folder.ts';
import { createPushStore } from '@weir/hub/store/postgres/push-store.ts';
import { createRetentionStore } from '@weir/hub/store/postgres/retention-store.ts';
import { createRowScan } from '@weir/hub/store/postgres/row-scan.ts';
import type { RetentionStore } from '@weir/hub/store/retention-store.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import { quiet, testPostgres } from '../hub/database.ts';
import { copy, type Hub, ledgerOf, openUp, restoreAll, startHub } from './copy-ground.ts';
import { uncounted } from './doubles.ts';
import { growLog } from './stored-log.ts';

const LOG = 'payments.edge-1.w0.e1';
const RULES: RetentionRules = { days: 30, heldUnits: [], sinks: [] };
/** Long ago, and well within a month. */
const OLD = Date.parse('2025-03-10T00:00:00.000Z');
const NEWER = Date.parse('2025-04-10T00:00:00.000Z');

const server = testPostgres();
let folder = '';
let folders = 0;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-retention-'));
});
after(async () => {
  await openUp(folder);
  await rm(folder, { recursive: true, force: true });
});

interface Ground {
  readonly hub: Hub;
  readonly path: string;
  readonly target: CopyTarget;
  readonly months: RetentionStore;
}

/** 600 rows of March, 100 of April, of which all were stored long ago; `copied` says whether the copy has them. */
async function ground(copied = true): Promise<Ground> {
  const hub = await startHub(server);
  await hub.store.ensurePartitions(OLD, NEWER);
  await growLog(hub.store, hub.signers, LOG, 600, OLD);
  await growLog(hub.store, hub.signers, LOG, 100, NEWER);
  await hub.pool.query("UPDATE audit_rows SET stored_at = event_time + interval '1 second'");
  folders += 1;
  const path = join(folder, `copy-${folders}`);
  const target = await createFolderTarget(path);
  if (copied) await copy(hub, target);
  return { hub, path, target, months: createRetentionStore(hub.pool) };
}

async function clean(
  { hub, target, months }: Ground,
  change: {
    readonly rules?: Partial<RetentionRules>;
    readonly targets?: readonly CopyTarget[];
    readonly nowMs?: number;
  } = {},
): Promise<readonly string[]> {
  const told: string[] = [];
  const tell = (fields: Readonly<Record<string, unknown>>): void => {
    const { month, why, error } = fields as Readonly<Record<string, string | undefined>>;
    told.push(`${month}: ${why ?? error ?? 'removed'}`);
  };
  const logger: Logger = { ...quiet, info: tell, warn: tell, error: tell };
  await removeOldMonths(
    {
      store: hub.store,
      copies: hub.copies,
      pushes: createPushStore(hub.pool),
      months,
      hubKey: hub.signers.hubKey,
      targets: change.targets ?? [target],
      clock: { nowMs: () => change.nowMs ?? Date.parse('2025-05-15T00:00:00.000Z') },
      logger,
      metrics: uncounted,
    },
    { ...RULES, ...change.rules },
    new AbortController().signal,
  );
  return told;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(20);
}

async function rowsIn({ hub }: Ground): Promise<number> {
  const { rows } = await hub.pool.query<{ count: number }>('SELECT count(*)::int AS count FROM audit_rows');
  return rows[0]?.count ?? Number.NaN;
}

function check(hub: Hub): Promise<readonly FsckStep[]> {
  const { store, tiles, signers } = hub;
  const scan = createRowScan(hub.pool);
  return Array.fromAsync(
    fsck({ store, tiles, scan, check: async (run) => checkRun(run), hubKey: signers.hubKey }, { log: '' }),
  );
}

test('an old month that is in the copy goes, and everything about it can still be proven and restored', async () => {
  const at = await ground();
  const { hub, target, months } = at;
  const whole = await ledgerOf(hub);
  assert.deepEqual(await clean(at), ['2025-03: removed']);
  // 700 rows are two full tiles: what is behind them stays, wherever it belongs.
  assert.equal(await rowsIn(at), 700 - 512);
  const head = await hub.store.head(LOG);
  assert.deepEqual([head?.keptFrom, head?.nextIndex], [512, 700]);
  const march = { fromMs: Date.UTC(2025, 2, 1), untilMs: Date.UTC(2025, 3, 1) };
  const gone = await onlyInCopies(months, { fromMs: OLD, untilMs: NEWER });
  assert.deepEqual(
    gone.map(({ fromMs, untilMs }) => ({ fromMs, untilMs })),
    [march],
  );
  assert.deepEqual(await onlyInCopies(months, { fromMs: NEWER, untilMs: NEWER + 1 }), []);

  const { proof } = await createRowProofs({ store: hub.store, tiles: hub.tiles, targets: [target] })(LOG, 100);
  assert.match(proof, /^c2sp\.org\/tlog-proof@v1\n/);
  const steps = await check(hub);
  assert.deepEqual(steps.at(-1), { kind: 'summary', logs: 1, rows: 188, faulty: 0 });
  // The log goes on, and so does its copy.
  await growLog(hub.store, hub.signers, LOG, 100, NEWER);
  await copy(hub, target);
  assert.equal((await hub.copies.position(target.name, LOG))?.verified, 800);

  const again = await ground();
  await clean(again);
  assert.equal((await restoreAll(again.hub, [again.target])).at(-1)?.added, 512);
  const [rows, logs] = await ledgerOf(again.hub);
  assert.equal(rows?.length, whole[0]?.length);
  assert.deepEqual(
    (logs as readonly { readonly kept_from: number }[]).map((log) => log.kept_from),
    [0],
  );
});

test('rows that stay although later ones have moved are still checked', async () => {
  const hub = await startHub(server);
  await hub.store.ensurePartitions(OLD, NEWER);
  // The clock of the spoke goes back by a month, and forward again.
  for (const time of [OLD, NEWER, OLD, NEWER]) await growLog(hub.store, hub.signers, LOG, 600, time);
  await hub.pool.query("UPDATE audit_rows SET stored_at = event_time + interval '1 second'");
  folders += 1;
  const path = join(folder, `copy-${folders}`);
  const at: Ground = { hub, path, target: await createFolderTarget(path), months: createRetentionStore(hub.pool) };
  await copy(hub, at.target);
  assert.deepEqual(await clean(at), ['2025-03: removed']);
  assert.equal((await hub.store.head(LOG))?.keptFrom, 1800);
  assert.equal(await rowsIn(at), 1200);
  const sound = (await check(hub)).at(-2);
  assert.deepEqual(sound?.kind === 'log' && [sound.rows, sound.moved, sound.faults], [1200, 1200, []]);

  await hub.pool.query(
    "UPDATE audit_rows SET row = row || ' ', leaf = sha256('\\x00'::bytea || row || ' ') WHERE index = 700",
  );
  const changed = (await check(hub)).at(-2);
  assert.deepEqual(changed?.kind === 'log' && changed.faults.map(({ index }) => index), [700]);
});

test('a second turn removes nothing more', async () => {
  const at = await ground();
  await clean(at);
  const left = await rowsIn(at);
  await clean(at);
  assert.equal(await rowsIn(at), left);
  assert.equal((await at.months.removed()).length, 1);
});

const staying: readonly (readonly [
  name: string,
  prepare: (at: Ground) => Promise<unknown>,
  change: Parameters<typeof clean>[1],
  told: RegExp | undefined,
])[] = [
  ['there is no copy', () => Promise.resolve(), { targets: [] }, undefined],
  ['retention is not wanted', () => Promise.resolve(), { rules: { days: 0 } }, undefined],
  ['it is not old enough', () => Promise.resolve(), { nowMs: Date.parse('2025-04-20T00:00:00.000Z') }, undefined],
  ['its unit is held', () => Promise.resolve(), { rules: { heldUnits: ['payments'] } }, /rows of payments are held/],
  [
    'the copy is behind',
    ({ hub }) => hub.pool.query('UPDATE audit_copies SET verified = 599'),
    {},
    /has verified .* up to row 599, and needs row 599/,
  ],
  ['another copy knows nothing of it', () => Promise.resolve(), {}, /has verified .* up to row 0/],
  [
    'a row arrived late',
    ({ hub }) => hub.pool.query('UPDATE audit_rows SET stored_at = now() WHERE index = 3'),
    {},
    /arrived late/,
  ],
  [
    'a bundle of the copy was changed since',
    async ({ path }) => {
      await openUp(path);
      await writeFile(join(path, 'logs', LOG, 'tile/entries/001'), 'nothing');
    },
    {},
    /ends within row|is not itself in/,
  ],
  [
    'a bundle of the copy is gone',
    ({ path }) => rm(join(path, 'logs', LOG, 'tile/entries/001')),
    {},
    /bundle 1 of .* is missing/,
  ],
  [
    'a tile of the copy is gone, without which no row of it can be believed again',
    ({ path }) => rm(join(path, 'logs', LOG, 'tile/0/001')),
    {},
    /tile\/0\/001 is missing/,
  ],
  [
    'the copy has gone back to an earlier end, whatever was noted of it',
    async ({ path, hub }) => {
      const earlier = await readFile(join(path, 'logs', LOG, 'checkpoint'));
      await growLog(hub.store, hub.signers, LOG, 600, OLD);
      await hub.pool.query("UPDATE audit_rows SET stored_at = event_time + interval '1 second'");
      await copy(hub, await createFolderTarget(path));
      await writeFile(join(path, 'logs', LOG, 'checkpoint'), earlier);
    },
    {},
    /ends at row 700/,
  ],
  [
    'a sink was never begun',
    () => Promise.resolve(),
    { rules: { sinks: ['siem'] } },
    /the sink siem has taken .* row 0/,
  ],
  [
    'a sink has not taken all of it',
    async ({ hub }) => {
      await createPushStore(hub.pool).begin('siem', [{ log: LOG, nextIndex: 700 }]);
      await createPushStore(hub.pool).begin('lake', [{ log: LOG, nextIndex: 599 }]);
    },
    { rules: { sinks: ['siem', 'lake'] } },
    /the sink lake has taken .* up to row 599, and needs row 599/,
  ],
];
for (const [name, prepare, change, told] of staying) {
  test(`a month stays when ${name}`, async () => {
    const at = await ground();
    await prepare(at);
    const another = name.startsWith('another')
      ? { targets: [at.target, await createFolderTarget(`${at.path}-b`)] }
      : {};
    const lines = await clean(at, { ...change, ...another });
    const head = await at.hub.store.head(LOG);
    assert.equal(await rowsIn(at), head?.nextIndex);
    assert.equal(head?.keptFrom, 0);
    if (told === undefined) assert.deepEqual(lines, []);
    else assert.match(lines[0] ?? '', told);
  });
}

test('a month goes once every sink has taken its rows, and one that is no longer configured is not asked', async () => {
  const at = await ground();
  const pushes = createPushStore(at.hub.pool);
  await pushes.begin('siem', [{ log: LOG, nextIndex: 600 }]);
  await pushes.begin('former', []);
  assert.deepEqual(await clean(at, { rules: { sinks: ['siem'] } }), ['2025-03: removed']);
});

test('rows that come in while a month is looked at are not removed unseen', async () => {
  const at = await ground();
  const contents = at.months.contents.bind(at.months);
  const months: RetentionStore = {
    ...at.months,
    async contents(month) {
      const found = await contents(month);
      await growLog(at.hub.store, at.hub.signers, LOG, 1, OLD);
      return found;
    },
  };
  assert.match((await clean({ ...at, months }))[0] ?? '', /rows came in meanwhile/);
  assert.equal(await rowsIn(at), 701);
});

test('rows of other months come in and are found while a month is being removed', async () => {
  const at = await ground();
  const { hub } = at;
  const other = await hub.pool.connect();
  await other.query('BEGIN');
  // Holds the removal up where it looks at the month for the last time.
  await other.query('LOCK TABLE audit_rows_202503 IN SHARE MODE');
  const removing = clean(at);
  await until(async () => {
    const { rows } = await hub.pool.query('SELECT 1 FROM pg_locks WHERE NOT granted');
    return rows.length > 0;
  });
  await growLog(hub.store, hub.signers, LOG, 1, NEWER);
  assert.equal(await rowsIn(at), 701);
  await other.query('COMMIT');
  other.release();
  assert.deepEqual(await removing, ['2025-03: removed']);
  assert.equal(await rowsIn(at), 701 - 512);
});

test('a removal that is lost is done again, one that was reported lost is done once', async () => {
  const at = await ground();
  const remove = at.months.remove.bind(at.months);
  const lost: RetentionStore = { ...at.months, remove: () => Promise.reject(new Error('the database is gone')) };
  await clean({ ...at, months: lost });
  assert.equal(await rowsIn(at), 700);
  const unheard: RetentionStore = {
    ...at.months,
    async remove(...what) {
      await remove(...what);
      throw new Error('the answer is lost');
    },
  };
  await clean({ ...at, months: unheard });
  await clean(at);
  assert.equal(await rowsIn(at), 188);
  assert.deepEqual(
    (await at.months.removed()).map(({ rows }) => rows),
    [512],
  );
});

test('ends of logs that stay behind find their month again', async () => {
  const at = await ground();
  await clean(at);
  assert.deepEqual(await at.hub.store.strayMonths(), [Date.UTC(2025, 2, 1)]);
  await at.hub.store.ensurePartitions(OLD, OLD);
  assert.match((await clean(at))[0] ?? '', /open ends of their logs/);
  assert.equal(await rowsIn(at), 188);
});
