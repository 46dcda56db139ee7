// Background jobs of several hubs on one database: one leads, another follows when it goes, however it goes.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type Leader, createLeader } from '@weir/hub/audit/leader.ts';
import { systemClock } from '@weir/hub/io/system-clock.ts';
import { type LeaderLocks, createLeaderLocks } from '@weir/hub/store/postgres/leader-lock.ts';
import { quiet, testPostgres } from '../hub/database.ts';
import { uncounted, until } from './doubles.ts';

const server = testPostgres();
const cleanup: (() => Promise<void>)[] = [];
after(() => Promise.all(cleanup.map((each) => each())));

interface Replica {
  readonly locks: LeaderLocks;
  readonly leader: Leader;
  /** Signals of the turns that this replica was given. */
  readonly turns: AbortSignal[];
  stop(): Promise<void>;
}

function replica(url: string, work?: () => Promise<void>): Replica {
  const locks = createLeaderLocks({ url, logger: quiet });
  const turns: AbortSignal[] = [];
  const leader = createLeader({
    lock: locks,
    name: 'partitions',
    everyMs: 20,
    async work(signal) {
      turns.push(signal);
      await work?.();
    },
    clock: { sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 50), signal) },
    logger: quiet,
    metrics: uncounted,
  });
  const stopping = new AbortController();
  const running = leader.run(stopping.signal);
  const stop = async (): Promise<void> => {
    stopping.abort();
    await running;
    await locks.close();
  };
  cleanup.push(stop);
  return { locks, leader, turns, stop };
}

async function leaderOf(replicas: readonly Replica[]): Promise<Replica> {
  await until(() => replicas.filter(({ leader }) => leader.isLeading()).length === 1, 'one of them leads');
  const found = replicas.find(({ leader }) => leader.isLeading());
  assert.ok(found);
  return found;
}

test('one of three hubs leads; the next one follows when it stops, and again when its connection dies', async () => {
  const { pool, url } = await server.migratedPool();
  const replicas = [replica(url), replica(url), replica(url)];
  const first = await leaderOf(replicas);
  await until(() => first.turns.length > 2, 'turn after turn');
  await first.stop();
  assert.equal(first.leader.isLeading(), false);
  const others = replicas.filter((each) => each !== first);
  const second = await leaderOf(others);
  const theirs = second.turns.at(-1);

  await pool.query(
    `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  );
  await until(() => theirs?.aborted === true, 'the one that lost the lock is told');
  const third = await leaderOf(others);
  await until(() => third.turns.some((signal) => !signal.aborted), 'somebody works again');
});

test('a failing turn is tried again by the same leader', async () => {
  const { url } = await server.migratedPool();
  let calls = 0;
  const only = replica(url, async () => {
    calls += 1;
    if (calls < 3) throw new Error('not yet');
  });
  await until(() => calls > 4, 'it goes on');
  assert.equal(only.leader.isLeading(), true);
});

test('two leaders of one process do not both lead, and different jobs do not wait for each other', async () => {
  const { url } = await server.migratedPool();
  const locks = createLeaderLocks({ url, logger: quiet });
  cleanup.push(() => locks.close());
  const [first, second, other] = await Promise.all([locks.take('tiles'), locks.take('tiles'), locks.take('copy')]);
  assert.equal([first, second].filter((lease) => lease !== undefined).length, 1);
  assert.notEqual(other, undefined);
  await (first ?? second)?.release();
  const again = await locks.take('tiles');
  assert.notEqual(again, undefined);
  await again?.release();
});

test('a hub without its database does not lead', async () => {
  const locks = createLeaderLocks({ url: 'postgres://nobody@127.0.0.1:1/none', logger: quiet });
  await assert.rejects(locks.take('tiles'));
  await locks.close();
  assert.equal(await locks.take('tiles'), undefined);
});
