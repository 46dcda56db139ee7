// When decisions cannot be written down: with a full spool, and with a disk that fails. In block nothing leaves but the
// reason; in warn installs go on, loudly. Afterwards the rows that were promised are all there, and the gap is told.

import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from '../federation/local-federation.ts';
import { SAMPLES } from '../upstreams/sample-packages.ts';
import { exchangeRaw, getRaw, prepareGround, statusOf, told, type Ground, type Row } from './ground.ts';

const BLOCK = 'payments';
const WARN = 'research';
const PLAIN = `/npm/${SAMPLES.plain}/-/${SAMPLES.plain}-1.0.0.tgz`;
/** Sent on one connection without waiting; each leaves a row. */
const BURST = 400;

let ground: Ground;
before(async () => {
  ground = await prepareGround({
    units: [{ name: BLOCK }, { name: WARN, settings: { mode: 'warn' } }],
    spokeLimits: { spool_segment_bytes: 1 << 20, spool_bytes: 4 << 20 },
  });
  // Known to both before the trouble, so that nothing but the row stands between request and answer.
  for (const unit of [BLOCK, WARN]) assert.equal((await get(unit)).status, 200);
});
after(() => ground?.[Symbol.asyncDispose]());

const get = (unit: string, target = PLAIN) => getRaw(ground.federation.origin(unit), target);
const ready = async (unit: string): Promise<number> =>
  (await fetch(`http://127.0.0.1:${ground.federation.spoke(unit).adminPort}/readyz`)).status;
const loudLines = (unit: string): readonly string[] =>
  ground.federation.log.filter(
    (line) =>
      line.includes('a row could not be made durable') &&
      line.includes(`"unit":"${unit}"`) &&
      line.includes('"level":"error"'),
  );

async function fill(unit: string): Promise<void> {
  const origin = ground.federation.origin(unit);
  const one = `GET /npm/%2e%2e HTTP/1.1\r\nHost: a.test\r\n`;
  const burst = `${`${one}\r\n`.repeat(BURST - 1)}${one}Connection: close\r\n\r\n`;
  while ((await statusOf(ground.federation, unit)).log.healthy) {
    await Promise.all(Array.from({ length: 4 }, () => exchangeRaw(origin, burst)));
  }
}

/** Every row that the hub has of a unit: each log gap-free from 0, each row once. */
async function wholeLedger(unit: string): Promise<readonly Row[]> {
  const rows = (await ground.federation.rows(unit)) as unknown as Row[];
  const logs = Map.groupBy(rows, ({ log }) => log);
  for (const own of logs.values()) {
    assert.deepEqual(
      own.map(({ index }) => index).toSorted((a, b) => a - b),
      own.map((_, i) => i),
    );
  }
  assert.equal(new Set(rows.map(({ id }) => id)).size, rows.length);
  return rows;
}

describe('promise 1: with the hub away until the spool is full', () => {
  const unrecorded = new Map<string, number>();

  before(async () => {
    await ground.federation.stopHub();
    await Promise.all([fill(BLOCK), fill(WARN)]);
  });

  test('block: 503 with the reason and no byte, for artifacts and for indexes; not ready', async () => {
    for (const target of [PLAIN, `/npm/${SAMPLES.plain}`, `/pypi/simple/${SAMPLES.plain}/`]) {
      const answer = await get(BLOCK, target);
      assert.equal(answer.status, 503, target);
      assert.match(answer.body.toString(), /cannot be recorded/);
      assert.equal(answer.headers['cache-control'], 'no-store');
    }
    const { title, weir } = told((await get(BLOCK)).body);
    assert.deepEqual([title, weir.rules], ['Decision cannot be recorded', ['WEIR-HOST-014']]);
    assert.equal(await ready(BLOCK), 503);
  });

  test('block: what cannot be recorded is not turned away either, only cut', async () => {
    const answer = await exchangeRaw(ground.federation.origin(BLOCK), 'no http\r\n\r\n');
    assert.equal(answer.status, 0);
  });

  test('warn: served as ever, each time with a loud line and a count', async () => {
    const lines = loudLines(WARN).length;
    const counted = await ground.metric(WARN, 'weir_spoke_rows_unrecorded_total');
    const answer = await get(WARN);
    assert.deepEqual([answer.status, answer.complete], [200, true]);
    assert.equal(loudLines(WARN).length, lines + 1);
    assert.equal(await ground.metric(WARN, 'weir_spoke_rows_unrecorded_total'), counted + 1);
    assert.equal(await ground.metric(WARN, 'weir_spoke_spool_healthy'), 0);
  });

  test('the spool stays within its limit', async () => {
    for (const unit of [BLOCK, WARN]) {
      assert.ok((await ground.metric(unit, 'weir_spoke_spool_used_bytes')) <= 4 << 20);
      assert.ok((await ground.metric(unit, 'weir_spoke_spool_refused_rows')) > 0);
      unrecorded.set(unit, await ground.metric(unit, 'weir_spoke_rows_unrecorded_total'));
    }
  });

  test('with the hub back both go on, no promised row is lost or doubled, and the gap has a row', async () => {
    await ground.federation.startHub();
    for (const unit of [BLOCK, WARN]) {
      const isDrained = async (): Promise<boolean> => {
        const { log } = await statusOf(ground.federation, unit);
        return log.acknowledged >= log.nextIndex;
      };
      await until(isDrained, `the hub has the rows of ${unit}`);
      assert.equal((await get(unit)).status, 200);
      assert.equal(await ready(unit), 200);
      // The hot path repeats an answer; one that takes the whole way tells of the gap.
      assert.equal((await get(unit, '/npm/-/ping')).status, 200);
      await until(
        async () => (await wholeLedger(unit)).some(({ outcome }) => outcome === 'answers_unrecorded'),
        'the gap is told',
      );
      const gaps = (await wholeLedger(unit)).filter(({ outcome }) => outcome === 'answers_unrecorded');
      const [refused = 0, served = 0] = (gaps[0]?.request.target.match(/\d+(?= refused| served)/g) ?? []).map(Number);
      assert.equal(gaps.length, 1);
      assert.deepEqual(
        [refused, served],
        unit === BLOCK ? [unrecorded.get(unit), 0] : [0, unrecorded.get(unit)],
        gaps[0]?.request.target ?? '',
      );
    }
  });
});

describe('promise 1: with a disk that fails under the spool', { skip: process.platform !== 'linux' }, () => {
  test('block: 503, then it goes on in a new log by itself, and everything that was promised is there', async () => {
    await ground.federation.rows(BLOCK);
    breakSegments(BLOCK);
    const refused = await get(BLOCK);
    assert.equal(refused.status, 503);
    assert.match(told(refused.body).detail, /cannot be recorded/);
    await until(async () => (await get(BLOCK)).status === 200, 'served again without a restart');
    assert.equal(await ready(BLOCK), 200);
    await until(() => isReopened(BLOCK), 'the hub is told of the new log');
  });

  test('warn: served, with a loud line each, and in order again in a new log', async () => {
    await ground.federation.rows(WARN);
    breakSegments(WARN);
    const lines = loudLines(WARN).length;
    assert.equal((await get(WARN)).status, 200);
    assert.equal(loudLines(WARN).length, lines + 1);
    await until(() => isReopened(WARN), 'the hub is told of the new log');
    assert.equal((await get(WARN)).status, 200);
  });
});

async function isReopened(unit: string): Promise<boolean> {
  const rows = await wholeLedger(unit);
  const [opened, reopened] = ['epoch_opened', 'log_reopened'].map((outcome) =>
    rows.findLast((row) => row.outcome === outcome),
  );
  return reopened !== undefined && opened?.index === 0 && reopened.log === opened.log;
}

/** Lets every write to the open segments of a unit's spool fail: their descriptors now lead to a device that is full. */
function breakSegments(unit: string): void {
  const folder = join(ground.federation.spokeHome(unit), 'audit', 'w0');
  const wanted = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(folder) && path.endsWith('.seg');
    } catch {
      return false; // the descriptor of this very listing
    }
  });
  assert.ok(wanted.length > 0, 'the spool has a segment open');
  for (const fd of wanted.map(Number)) {
    closeSync(fd);
    const others: number[] = [];
    for (let opened = openSync('/dev/full', 'w'); opened !== fd; opened = openSync('/dev/full', 'w'))
      others.push(opened);
    for (const other of others) closeSync(other);
  }
}
