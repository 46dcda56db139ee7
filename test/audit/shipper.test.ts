// The shipper against a hub that answers from memory and misbehaves on request.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { NackCode, RowBatch, UploadAnswer } from '@weir/shared/wire/audit.ts';
import { type AuditLog, createAuditLog } from '@weir/spoke/audit/audit-log.ts';
import type { AuditUplink } from '@weir/spoke/audit/audit-uplink.ts';
import { type Shipper, type ShipperLimits, createShipper } from '@weir/spoke/audit/shipper.ts';
import { quiet } from '../hub/database.ts';
import { instantClock, uncounted, until } from './doubles.ts';
import { memoryDisk } from './memory-disk.ts';
import { servedDraft, uuid } from './sample-rows.ts';

interface FakeHub extends AuditUplink {
  readonly rows: Uint8Array[];
  /** Most batches that were unanswered at once. */
  mostUnanswered: number;
  opened: number;
  /** Answers in place of the hub; undefined lets it take the batch. */
  answer: (batch: RowBatch) => Promise<UploadAnswer | undefined>;
  /** Called before a position is told. */
  onPosition: () => Promise<void>;
}

function fakeHub(): FakeHub {
  const hub: FakeHub = {
    rows: [],
    mostUnanswered: 0,
    opened: 0,
    answer: async () => undefined,
    onPosition: async () => undefined,
    async position() {
      await hub.onPosition();
      return hub.rows.length;
    },
    open(signal) {
      hub.opened += 1;
      const queue: RowBatch[] = [];
      let arrived = Promise.withResolvers<void>();
      let unanswered = 0;
      return {
        async send(batch) {
          signal.throwIfAborted();
          queue.push(batch);
          unanswered += 1;
          hub.mostUnanswered = Math.max(hub.mostUnanswered, unanswered);
          arrived.resolve();
        },
        answers: (async function* () {
          for (;;) {
            const batch = queue.shift();
            if (batch === undefined) {
              arrived = Promise.withResolvers<void>();
              signal.addEventListener('abort', () => arrived.resolve(), { once: true });
              await arrived.promise;
              if (signal.aborted) return;
              continue;
            }
            const answer = (await hub.answer(batch)) ?? take(batch);
            unanswered -= 1;
            yield answer;
          }
        })(),
        close: () => undefined,
      };
    },
  };
  function take({ log, firstIndex, rows }: RowBatch): UploadAnswer {
    if (firstIndex > hub.rows.length) return nack(log, 'gap', hub.rows.length);
    hub.rows.push(...rows.slice(hub.rows.length - firstIndex));
    return { kind: 'ack', log, nextIndex: hub.rows.length, receipt: new Uint8Array() };
  }
  return hub;
}

function nack(log: string, code: NackCode, nextIndex = 0, retryAfterMs = 0): UploadAnswer {
  return { kind: 'nack', log, nextIndex, code, detail: 'because', retryAfterMs };
}

interface Running {
  readonly hub: FakeHub;
  readonly log: AuditLog;
  readonly shipper: Shipper;
  readonly slept: readonly number[];
  readonly diverged: string[];
  record(count: number): Promise<void>;
  start(): void;
  stop(): Promise<void>;
}

async function running(limits: Partial<ShipperLimits> = {}): Promise<Running> {
  const clock = instantClock();
  const random = { unit: () => 0.5, uuid };
  const log = await createAuditLog({
    disk: memoryDisk(),
    unit: 'payments',
    spoke: 'edge-1',
    site: '',
    worker: 'w0',
    clock,
    random,
    limits: { segmentBytes: 64 << 10, totalBytes: 1 << 20, keepBytes: 0 },
  });
  const hub = fakeHub();
  const diverged: string[] = [];
  const shipper = createShipper({
    log,
    uplink: hub,
    clock,
    random,
    logger: quiet,
    metrics: uncounted,
    limits: { batchRows: 4, window: 3, ...limits },
    onDiverged: ({ message }) => diverged.push(message),
  });
  const abort = new AbortController();
  let ended: Promise<void> = Promise.resolve();
  return {
    hub,
    log,
    shipper,
    slept: clock.slept,
    diverged,
    async record(count) {
      await Promise.all(Array.from({ length: count }, () => log.append(servedDraft())));
    },
    start() {
      ended = shipper.run(abort.signal);
    },
    async stop() {
      abort.abort();
      await ended;
      assert.equal(shipper.stats().state, 'stopped');
      await log.close();
    },
  };
}

async function sameRows({ hub, log }: Running): Promise<void> {
  const { firstIndex, nextIndex } = log.stats();
  assert.equal(hub.rows.length, nextIndex);
  for (let index = firstIndex; index < nextIndex; ) {
    const { rows } = await log.read(index, 100, 1 << 20);
    for (const row of rows) {
      assert.deepEqual(hub.rows[index], row);
      index += 1;
    }
  }
}

test('rows recorded before and during the upload all arrive, within the window', async () => {
  const it = await running();
  await it.record(50);
  it.start();
  await until(() => it.shipper.stats().acknowledged === 50, 'the first rows');
  for (let n = 0; n < 20; n += 1) await it.record(3);
  await until(() => it.shipper.stats().acknowledged === 110, 'the rest');
  await sameRows(it);
  assert.ok(it.hub.mostUnanswered <= 3, String(it.hub.mostUnanswered));
  assert.equal(it.hub.opened, 1);
  assert.equal(it.log.stats().acknowledged, 110);
  assert.deepEqual(it.shipper.stats(), { state: 'shipping', acknowledged: 110, inFlight: 0, trouble: '' });
  await it.stop();
});

test('nothing more is sent while the window is full', async () => {
  const it = await running();
  const held = Promise.withResolvers<undefined>();
  it.hub.answer = () => held.promise;
  await it.record(40);
  it.start();
  await until(() => it.shipper.stats().inFlight === 3, 'a full window');
  for (let n = 0; n < 20; n += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(it.shipper.stats().inFlight, 3);
  held.resolve(undefined);
  await until(() => it.shipper.stats().acknowledged === 40, 'the rest');
  await it.stop();
});

test('the upload begins where the hub stands', async () => {
  const it = await running();
  await it.record(10);
  it.hub.rows.push(...(await it.log.read(0, 7, 1 << 20)).rows);
  const first: number[] = [];
  it.hub.answer = async ({ firstIndex }) => void first.push(firstIndex);
  it.start();
  await until(() => it.shipper.stats().acknowledged === 10, 'the rest');
  assert.equal(first[0], 7);
  await sameRows(it);
  await it.stop();
});

for (const code of ['gap', 'overloaded', 'unavailable'] as const) {
  test(`after ${code} the rows are sent again from the hub's position`, async () => {
    const it = await running();
    let left = 3;
    it.hub.answer = async ({ log, firstIndex }) => {
      if (firstIndex !== 8 || left === 0) return undefined;
      left -= 1;
      return nack(log, code, it.hub.rows.length, code === 'gap' ? 0 : 700);
    };
    await it.record(30);
    it.start();
    await until(() => it.shipper.stats().acknowledged === 30, 'all rows');
    await sameRows(it);
    assert.equal(it.hub.opened, 4);
    assert.equal(it.slept.length, 3);
    if (code !== 'gap') for (const ms of it.slept) assert.ok(ms >= 700, String(ms));
    await it.stop();
  });
}

for (const code of ['malformed', 'unsound', 'wrong_identity', 'fork', 'too_large', 'not_canonical'] as const) {
  test(`${code} stops the upload for a long while, loudly, and does not skip the row`, async () => {
    const it = await running();
    let refusing = true;
    const states: string[] = [];
    it.hub.answer = async ({ log }) => (refusing ? nack(log, code) : undefined);
    it.hub.onPosition = async () => {
      states.push(it.shipper.stats().state);
      if (states.length === 3) refusing = false;
    };
    await it.record(5);
    it.start();
    await until(() => it.shipper.stats().acknowledged === 5, 'all rows in the end');
    assert.deepEqual(states, ['waiting', 'refused', 'refused']);
    for (const ms of it.slept) assert.ok(ms >= 30_000, String(ms));
    await sameRows(it);
    await it.stop();
  });
}

test('while the hub cannot be reached attempts grow rarer, up to a limit', async () => {
  const it = await running({ backoffMs: 100, backoffMaxMs: 1_000 });
  let left = 8;
  it.hub.onPosition = async () => {
    left -= 1;
    if (left > 0) throw new WeirError('unavailable', 'the hub could not be reached');
  };
  await it.record(5);
  it.start();
  await until(() => it.shipper.stats().acknowledged === 5, 'all rows in the end');
  assert.deepEqual(it.slept, [50, 100, 200, 400, 500, 500, 500]);
  await it.stop();
});

test('a stream that breaks or ends in the middle is opened again and nothing is lost', async () => {
  const it = await running();
  let count = 0;
  it.hub.answer = async () => {
    count += 1;
    if (count % 4 === 0) throw new WeirError('unavailable', 'connection reset');
    return undefined;
  };
  await it.record(60);
  it.start();
  await until(() => it.shipper.stats().acknowledged === 60, 'all rows');
  await sameRows(it);
  assert.ok(it.hub.opened > 3);
  await it.stop();
});

test('a batch that was stored but whose answer was lost is not doubled', async () => {
  const it = await running();
  let lost = 0;
  it.hub.answer = async ({ firstIndex, rows }) => {
    if (lost >= 5) return undefined;
    lost += 1;
    it.hub.rows.push(...rows.slice(it.hub.rows.length - firstIndex));
    throw new WeirError('unavailable', 'connection reset');
  };
  await it.record(30);
  it.start();
  await until(() => it.shipper.stats().acknowledged === 30, 'all rows');
  await sameRows(it);
  await it.stop();
});

test('a hub that has rows which this log never wrote is another history: nothing is sent or pruned', async () => {
  const it = await running();
  await it.record(3);
  it.hub.rows.push(...Array.from({ length: 9 }, () => Buffer.from('x')));
  it.start();
  await until(() => it.diverged.length >= 2, 'divergence told');
  assert.equal(it.hub.opened, 0);
  assert.equal(it.log.stats().acknowledged, 0);
  assert.equal(it.log.stats().firstIndex, 0);
  assert.match(it.diverged[0] ?? '', /up to 9.*ends at 3/);
  await it.stop();
});

test('an acknowledgement beyond what was written is another history too', async () => {
  const it = await running();
  await it.record(3);
  it.hub.answer = async ({ log }) => ({ kind: 'ack', log, nextIndex: 4_000, receipt: new Uint8Array() });
  it.start();
  await until(() => it.diverged.length > 0, 'divergence told');
  assert.equal(it.log.stats().acknowledged, 0);
  await it.stop();
});

test('a hub that lost rows which this spoke no longer keeps is told apart from a gap', async () => {
  const it = await running();
  await it.record(200);
  it.start();
  await until(() => it.shipper.stats().acknowledged === 200, 'all rows');
  await until(() => it.log.stats().firstIndex > 0, 'old segments dropped');
  it.hub.rows.length = 0;
  it.hub.answer = async () => {
    throw new WeirError('unavailable', 'restored from a backup');
  };
  await it.record(1);
  await until(() => it.diverged.length > 0, 'divergence told');
  assert.match(it.diverged[0] ?? '', /copy ends at 0/);
  await it.stop();
});

test('an answer for another log is not believed', async () => {
  const it = await running();
  let lied = false;
  it.hub.answer = async () => {
    if (lied) return undefined;
    lied = true;
    return { kind: 'ack', log: 'payments.edge-1.w9.e', nextIndex: 2, receipt: new Uint8Array() };
  };
  await it.record(2);
  it.start();
  await until(() => it.shipper.stats().acknowledged === 2, 'all rows in the end');
  assert.equal(it.hub.opened, 2);
  await it.stop();
});

test('a full spool drains into the hub and goes on recording', async () => {
  const it = await running();
  const refused = async (): Promise<boolean> =>
    it.log.append(servedDraft()).then(
      () => false,
      () => true,
    );
  while (!(await refused()));
  assert.equal(it.log.stats().state, 'full');
  it.start();
  await until(async () => !(await refused()), 'room again');
  const { nextIndex } = it.log.stats();
  await until(() => it.shipper.stats().acknowledged === nextIndex, 'all rows');
  await sameRows(it);
  await it.stop();
});
