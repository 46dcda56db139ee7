// Rows on their way to a SIEM: over real sockets, to sinks that are down, slow, die in the middle or refuse, from hubs that
// are killed. Whatever happens, every row arrives, each log in its order, and repetitions are known by the row id.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after as afterAll, before as beforeAll, test } from 'node:test';
import { createPush, type PushOptions } from '@weir/hub/audit/push.ts';
import type { PushSink } from '@weir/hub/audit/push-sink.ts';
import { hubConfigSchema, type PushSettings } from '@weir/hub/config.ts';
import { makeAuthority, openAuthority } from '@weir/hub/enrollment/certificate-authority.ts';
import { createSink } from '@weir/hub/io/push-sink.ts';
import { systemClock } from '@weir/hub/io/system-clock.ts';
import { systemRandom } from '@weir/hub/io/system-random.ts';
import { createAuditStore } from '@weir/hub/store/postgres/audit-store.ts';
import type { Pool } from '@weir/hub/store/postgres/pool.ts';
import { createPushStore } from '@weir/hub/store/postgres/push-store.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import { testPostgres } from '../hub/database.ts';
import { until } from './doubles.ts';
import { syslogReceiver, webhookReceiver } from './receivers.ts';
import { storeRows } from './stored-rows.ts';

const server = testPostgres();
const LOGS = ['payments.edge.w0.1', 'payments.edge.w1.1', 'research.lab.w0.1'] as const;
const QUICK = { batchRows: 40, shareRows: 5, pollMs: 10, backoffMs: 4, backoffMaxMs: 30, refusedMs: 50 };

let folder = '';
const tls = { ca: '', key: '', cert: '' };
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-push-'));
  const ca = await makeAuthority('trial', Date.now(), systemRandom);
  const authority = await openAuthority('trial', ca, systemRandom);
  const issued = await authority.issueHub(['localhost', '127.0.0.1'], { fromMs: Date.now(), ttlMs: 3_600_000 });
  Object.assign(tls, { ca: ca.chain, key: issued.key, cert: issued.chain });
  await writeFile(join(folder, 'ca.pem'), ca.chain);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function settings(part: Readonly<Record<string, unknown>>): PushSettings {
  const [parsed] = hubConfigSchema.parse({ audit: { push: [{ name: 'siem', ...part }] } }).audit.push;
  assert.ok(parsed !== undefined);
  return parsed;
}

const nothing = (): void => undefined;

interface Running extends AsyncDisposable {
  readonly counts: ReadonlyMap<string, number>;
  readonly gauges: ReadonlyMap<string, number>;
  readonly errors: readonly Record<string, unknown>[];
}

/** A push that runs until it is disposed of. */
function running(pool: Pool, sink: PushSink, options: Partial<PushOptions> = {}): Running {
  const stop = new AbortController();
  const counts = new Map<string, number>();
  const gauges = new Map<string, number>();
  const errors: Record<string, unknown>[] = [];
  const metrics: Metrics = {
    count: (name, _labels, by = 1) => void counts.set(name, (counts.get(name) ?? 0) + by),
    gauge: (name, value) => void gauges.set(name, value),
    observe: () => undefined,
  };
  const logger: Logger = {
    debug: nothing,
    info: nothing,
    warn: nothing,
    error: (fields, message) => void errors.push({ ...fields, message }),
    child: () => logger,
  };
  const push = createPush(
    {
      rows: createAuditStore(pool),
      cursors: createPushStore(pool),
      sink,
      clock: systemClock,
      random: systemRandom,
      logger,
      metrics,
    },
    { name: 'siem', format: 'native', from: 'beginning', ...options, limits: { ...QUICK, ...options.limits } },
  );
  const done = push.run(stop.signal);
  return {
    counts,
    gauges,
    errors,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await done;
      await sink.close();
    },
  };
}

async function fill(pool: Pool, each = 60): Promise<readonly string[]> {
  const ids: string[] = [];
  for (const log of LOGS) ids.push(...(await storeRows(pool, log, each)));
  return ids;
}

interface Told {
  readonly id: string;
  readonly log: string;
  readonly index: number;
}

/** The row that a native line or message carries. */
function rowIn(text: string): Told {
  return JSON.parse(text.slice(text.indexOf('{"action"'))) as Told;
}

/** Every row is there, and of each log, repetitions apart, in order. */
function assertComplete(told: readonly string[], ids: readonly string[]): void {
  const rows = told.map(rowIn);
  const seen = new Set<string>();
  const next = new Map<string, number>();
  for (const { id, log, index } of rows) {
    if (seen.has(id)) continue;
    seen.add(id);
    assert.equal(index, next.get(log) ?? 0, `${log} in order`);
    next.set(log, index + 1);
  }
  assert.deepEqual([...seen].toSorted(), ids.toSorted());
}

async function cursorsOf(pool: Pool, sink = 'siem') {
  return createPushStore(pool).cursors(sink);
}

async function settled(pool: Pool, each: number): Promise<void> {
  await until(async () => {
    const cursors = await cursorsOf(pool);
    return cursors.length === LOGS.length && cursors.every(({ nextIndex }) => nextIndex === each);
  }, 'all rows are pushed');
}

for (const secure of [false, true]) {
  for (const confirm of ['closed', 'written'] as const) {
    test(`syslog over ${secure ? 'TLS' : 'TCP'} (${confirm}) takes every row once, in order, as RFC 5424 says`, async () => {
      const { pool } = await server.migratedPool();
      const ids = await fill(pool);
      await using receiver = await syslogReceiver(secure ? { key: tls.key, cert: tls.cert } : undefined);
      const address = { kind: 'syslog', host: secure ? 'localhost' : '127.0.0.1', port: receiver.port, confirm };
      await using push = running(
        pool,
        createSink(settings({ ...address, tls: secure ? { ca_file: join(folder, 'ca.pem') } : null })),
      );
      await settled(pool, 60);
      await until(() => receiver.messages.length >= ids.length, 'the last batch is read');
      assertComplete(receiver.messages, ids);
      assert.equal(receiver.messages.length, ids.length, 'nothing went wrong, so nothing is repeated');
      assert.equal(receiver.connections() > 1, confirm === 'closed', 'a connection for each batch, or one');
      assert.equal(push.counts.get('weir_hub_push_rows_total'), ids.length);
      await until(() => push.gauges.get('weir_hub_push_lag_rows') === 0, 'the lag is gone');
      for (const message of receiver.messages) {
        const match =
          /^<(\d+)>1 (\S+) (edge|lab) weir - (served|refused) \[weir@32473 id="([^"]+)" log="([^"]+)" index="(\d+)" leaf="([0-9a-f]{64})" unit="([^"]+)"\] (\{.*\})$/.exec(
            message,
          );
        assert.ok(match !== null, message);
        const [, priority, time, , outcome, id, log, index, leaf, , text = ''] = match;
        const row = rowIn(text) as Told & { readonly time: string };
        assert.equal(Number(priority), 13 * 8 + (outcome === 'refused' ? 4 : 6));
        assert.deepEqual([time, id, log, Number(index)], [row.time, row.id, row.log, row.index]);
        assert.equal(leaf, leafHash(Buffer.from(text)).toString('hex'), 'the row is whole, byte for byte');
      }
    });
  }
}

test('a receiver with a certificate of somebody else gets nothing', async () => {
  const { pool } = await server.migratedPool();
  await fill(pool, 3);
  await using receiver = await syslogReceiver({ key: tls.key, cert: tls.cert });
  const address = { kind: 'syslog', host: 'localhost', port: receiver.port };
  for (const trust of [{}, { ca_file: join(folder, 'ca.pem'), server_name: 'other.test' }]) {
    await using push = running(pool, createSink(settings({ ...address, tls: trust })));
    await until(() => (push.counts.get('weir_hub_push_failures_total') ?? 0) > 5, 'it fails');
    assert.deepEqual(await cursorsOf(pool), []);
  }
  assert.deepEqual(receiver.messages, []);
});

for (const secure of [false, true]) {
  test(`a ${secure ? 'TLS' : 'TCP'} receiver that dies in the middle of batches and comes back has every row`, async () => {
    const { pool } = await server.migratedPool();
    const ids = await fill(pool);
    await using receiver = await syslogReceiver(secure ? { key: tls.key, cert: tls.cert } : undefined);
    const address = { kind: 'syslog', host: 'localhost', port: receiver.port };
    receiver.dieAfter(17);
    await using push = running(
      pool,
      createSink(settings({ ...address, tls: secure ? { ca_file: join(folder, 'ca.pem') } : null })),
    );
    for (const [round, after] of [23, 31, 5, 0, 1].entries()) {
      await until(() => (push.counts.get('weir_hub_push_failures_total') ?? 0) > round, 'it is missed');
      const before = push.counts.get('weir_hub_push_failures_total') ?? 0;
      await until(() => (push.counts.get('weir_hub_push_failures_total') ?? 0) > before, 'it stays away');
      await receiver.listen();
      receiver.dieAfter(after);
      await until(() => (push.counts.get('weir_hub_push_failures_total') ?? 0) > before + 1, 'it dies again');
    }
    receiver.dieAfter(Number.POSITIVE_INFINITY);
    await receiver.listen().catch(() => undefined);
    await settled(pool, 60);
    assertComplete(receiver.messages, ids);
    assert.ok(receiver.messages.length > ids.length, 'some came twice: at least once is the promise');
  });
}

test('a slow receiver gets every row, and a new one that is faster does not wait for it', async () => {
  const { pool } = await server.migratedPool();
  const ids = await fill(pool, 20);
  await using slow = await syslogReceiver();
  await using fast = await syslogReceiver();
  slow.slow(4_000, 5);
  const address = { kind: 'syslog', host: '127.0.0.1', tls: null };
  await using patient = running(pool, createSink(settings({ ...address, port: slow.port })));
  await using quick = running(pool, createSink(settings({ ...address, name: 'fast', port: fast.port })), {
    name: 'fast',
  });
  await until(() => fast.messages.length === ids.length, 'the fast one has all');
  await settled(pool, 20);
  assertComplete(slow.messages, ids);
  assertComplete(fast.messages, ids);
  assert.deepEqual([patient.errors, quick.errors], [[], []]);
});

test('a receiver that reads and never closes runs into the time limit, and its rows come again', async () => {
  const { pool } = await server.migratedPool();
  const ids = await fill(pool, 4);
  await using receiver = await syslogReceiver();
  receiver.slow(1, 20);
  const address = { kind: 'syslog', host: '127.0.0.1', port: receiver.port, tls: null, timeout_s: 1 };
  await using push = running(pool, createSink(settings(address)));
  await until(() => (push.counts.get('weir_hub_push_failures_total') ?? 0) > 0, 'patience ends');
  assert.deepEqual(await cursorsOf(pool), [], 'nothing counts as taken');
  receiver.slow(1 << 20, 0);
  await settled(pool, 4);
  assertComplete(receiver.messages, ids);
});

test('HTTP gets lines with token, type and encoding, every row once', async () => {
  const { pool } = await server.migratedPool();
  const ids = await fill(pool);
  await using receiver = await webhookReceiver();
  const tokenFile = join(folder, 'token');
  await writeFile(tokenFile, 'wrong\n');
  receiver.answer = ({ headers }) => ({ status: headers.authorization === 'Bearer right' ? 200 : 401 });
  await using push = running(pool, createSink(settings({ kind: 'http', url: receiver.url, token_file: tokenFile })));
  await until(() => (push.counts.get('weir_hub_push_failures_total') ?? 0) > 6, 'the token is refused');
  assert.equal(push.gauges.get('weir_hub_push_healthy'), 0, 'the breaker is open');
  assert.ok(
    push.errors.some(({ message }) => String(message).includes('keeps failing')),
    'and somebody is told',
  );
  assert.equal(receiver.batches.at(-1)?.lines.length, 1, 'an open breaker asks with one row');
  await writeFile(tokenFile, 'right\n');
  await settled(pool, 60);
  assertComplete(receiver.lines, ids);
  assert.equal(receiver.lines.length, ids.length);
  await until(() => push.gauges.get('weir_hub_push_healthy') === 1, 'all is well again');
  for (const { headers, path } of receiver.batches) {
    assert.equal(path, '/rows');
    assert.equal(headers['content-type'], 'application/x-ndjson');
    assert.equal(headers['content-encoding'], 'gzip');
  }
});

for (const [format, first] of [
  ['ocsf', '{"category_uid":6'],
  ['ecs', '{"@timestamp":"'],
  ['cef', 'CEF:0|Weir|Weir|'],
] as const) {
  test(`HTTP gets ${format} lines`, async () => {
    const { pool } = await server.migratedPool();
    await fill(pool, 3);
    await using receiver = await webhookReceiver();
    const http = settings({ kind: 'http', url: receiver.url, format, gzip: false });
    await using push = running(pool, createSink(http), { format });
    await settled(pool, 3);
    assert.deepEqual(push.errors, []);
    assert.equal(receiver.lines.length, 9);
    assert.ok(receiver.lines.every((line) => line.startsWith(first)));
    assert.equal(receiver.batches[0]?.headers['content-encoding'], undefined);
  });
}

test('an endpoint that is down, slow, resets connections or keeps rows without saying so has every row in the end', async () => {
  const { pool } = await server.migratedPool();
  const ids = await fill(pool);
  await using receiver = await webhookReceiver();
  await receiver.close();
  let turn = 0;
  receiver.answer = () => {
    turn += 1;
    if (turn % 5 === 1) return 'die';
    if (turn % 5 === 2) return 'die_after_keeping';
    if (turn % 5 === 3) return { status: 503, headers: { 'retry-after': '0' } };
    if (turn % 7 === 0) return { status: 429 };
    return { status: 200, pauseMs: 3 };
  };
  await using push = running(pool, createSink(settings({ kind: 'http', url: receiver.url, timeout_s: 2 })));
  await until(() => (push.counts.get('weir_hub_push_failures_total') ?? 0) > 3, 'it is down');
  assert.deepEqual(await cursorsOf(pool), []);
  await receiver.listen();
  await settled(pool, 60);
  assertComplete(receiver.lines, ids);
  assert.ok(receiver.lines.length > ids.length, 'what was kept without an answer came again');
});

test('an endpoint that does not answer runs into the time limit', async () => {
  const { pool } = await server.migratedPool();
  const ids = await fill(pool, 2);
  await using receiver = await webhookReceiver();
  receiver.answer = () => ({ status: 200, pauseMs: receiver.batches.length === 1 ? 2_500 : 0 });
  await using push = running(pool, createSink(settings({ kind: 'http', url: receiver.url, timeout_s: 1 })));
  await settled(pool, 2);
  assert.equal(push.counts.get('weir_hub_push_failures_total'), 1);
  assertComplete(receiver.lines, ids);
});

test('a redirect is not followed, and the token does not travel', async () => {
  const { pool } = await server.migratedPool();
  await fill(pool, 2);
  await using elsewhere = await webhookReceiver();
  await using receiver = await webhookReceiver();
  receiver.answer = () => ({ status: 307, headers: { location: elsewhere.url } });
  await using push = running(pool, createSink(settings({ kind: 'http', url: receiver.url })));
  await until(() => (push.counts.get('weir_hub_push_failures_total') ?? 0) > 6, 'it is no success');
  assert.deepEqual(elsewhere.batches, []);
  assert.deepEqual(await cursorsOf(pool), []);
  assert.ok(push.errors.some(({ error }) => String(error).includes('redirects are not followed')));
});

test('a row that an endpoint refuses for good holds up its own log, is named, and goes when it is taken', async () => {
  const { pool } = await server.migratedPool();
  const ids = await fill(pool);
  const poisoned = ids[25] ?? '';
  await using receiver = await webhookReceiver();
  let refusing = true;
  receiver.answer = ({ lines }) => {
    if (lines.length > 16) return { status: 413 };
    return { status: refusing && lines.some((line) => rowIn(line).id === poisoned) ? 422 : 200 };
  };
  await using push = running(pool, createSink(settings({ kind: 'http', url: receiver.url })));
  await until(async () => {
    const cursors = new Map((await cursorsOf(pool)).map(({ log, nextIndex }) => [log, nextIndex]));
    return LOGS.every((log) => cursors.get(log) === (log === LOGS[0] ? 25 : 60));
  }, 'the other logs are through, and this one up to its row');
  await until(
    () => push.errors.some(({ row, log, index }) => row === poisoned && log === LOGS[0] && index === 25),
    'the row is named',
  );
  await until(() => push.gauges.get('weir_hub_push_lag_rows') === 35, 'what waits behind it is seen');
  await until(() => push.gauges.get('weir_hub_push_healthy') === 0, 'the sink is not well');
  refusing = false;
  await settled(pool, 60);
  assertComplete(receiver.lines, ids);
});

test('a new sink begins with the first row there is, or with the first that comes', async () => {
  const { pool } = await server.migratedPool();
  await fill(pool, 10);
  await using receiver = await webhookReceiver();
  const sink = createSink(settings({ kind: 'http', url: receiver.url }));
  {
    await using push = running(pool, sink, { from: 'now' });
    await until(async () => (await cursorsOf(pool)).length === LOGS.length, 'it has begun');
    assert.equal(push.gauges.get('weir_hub_push_lag_rows') ?? 0, 0);
  }
  assert.deepEqual(receiver.lines, []);
  // What comes while nothing runs is not history: also not of a log that nobody knew.
  const fresh = 'payments.edge.w9.1';
  const ids = [...(await storeRows(pool, LOGS[0], 5)), ...(await storeRows(pool, fresh, 3))];
  await using push = running(pool, createSink(settings({ kind: 'http', url: receiver.url })), { from: 'now' });
  await until(() => push.counts.get('weir_hub_push_rows_total') === 8, 'the new rows are there');
  assert.deepEqual(receiver.lines.map((line) => rowIn(line).id).toSorted(), ids.toSorted());
});

test('rows that left the database before they were pushed are counted and told, never passed over in silence', async () => {
  const { pool } = await server.migratedPool();
  await fill(pool, 20);
  await pool.query('DELETE FROM audit_rows WHERE log = $1 AND (index < 4 OR index BETWEEN 9 AND 11)', [LOGS[0]]);
  await pool.query('DELETE FROM audit_rows WHERE log = $1', [LOGS[1]]);
  await using receiver = await webhookReceiver();
  await using push = running(pool, createSink(settings({ kind: 'http', url: receiver.url })));
  await settled(pool, 20);
  assert.equal(push.counts.get('weir_hub_push_missing_rows_total'), 4 + 3 + 20);
  assert.ok(push.errors.some(({ log, from, until: end }) => log === LOGS[1] && from === 0 && end === 20));
  assert.equal(receiver.lines.length, 60 - 27);
});

test('two hubs that push at once double rows at worst', async () => {
  const { pool } = await server.migratedPool();
  const ids = await fill(pool);
  await using receiver = await webhookReceiver();
  const http = settings({ kind: 'http', url: receiver.url });
  await using one = running(pool, createSink(http));
  await using other = running(pool, createSink(http));
  await settled(pool, 60);
  assert.deepEqual([...one.errors, ...other.errors], []);
  assert.deepEqual([...new Set(receiver.lines.map((line) => rowIn(line).id))].toSorted(), ids.toSorted());
});

test('a database that fails when a cursor should move costs a repetition, not a row', async () => {
  const { pool } = await server.migratedPool();
  const ids = await fill(pool, 30);
  await using receiver = await webhookReceiver();
  const store = createPushStore(pool);
  const sink = createSink(settings({ kind: 'http', url: receiver.url }));
  const stop = new AbortController();
  const logger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => logger };
  let calls = 0;
  const push = createPush(
    {
      rows: createAuditStore(pool),
      cursors: {
        ...store,
        // Lost, or done and reported as lost, in turn.
        async advance(name, cursors) {
          calls += 1;
          if (calls % 3 === 0) await store.advance(name, cursors);
          if (calls % 3 !== 1) throw new WeirError('unavailable', 'the database went away');
          await store.advance(name, cursors);
        },
      },
      sink,
      clock: systemClock,
      random: systemRandom,
      logger,
      metrics: { count: nothing, gauge: nothing, observe: nothing },
    },
    { name: 'siem', format: 'native', from: 'beginning', limits: QUICK },
  );
  const done = push.run(stop.signal);
  await settled(pool, 30);
  stop.abort();
  await done;
  await sink.close();
  assertComplete(receiver.lines, ids);
});

test('a hub that is killed at any moment leaves nothing out', async () => {
  const { pool, url } = await server.migratedPool();
  const ids = await fill(pool, 400);
  await using receiver = await webhookReceiver();
  await using syslog = await syslogReceiver();
  const start = (sink: Readonly<Record<string, unknown>>): ChildProcess =>
    spawn(process.execPath, [join(import.meta.dirname, 'push-process.ts'), url, JSON.stringify(sink)], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  const sinks = [
    [{ kind: 'http', name: 'siem', url: receiver.url, batch_rows: 60 }, receiver.lines],
    [
      { kind: 'syslog', name: 'other', host: '127.0.0.1', port: syslog.port, tls: null, batch_rows: 60 },
      syslog.messages,
    ],
  ] as const;
  // The answer comes late enough that a kill can fall between taking and hearing.
  receiver.answer = () => ({ status: 200, pauseMs: 4 });
  syslog.slow(20_000, 2);
  await Promise.all(
    sinks.map(async ([sink, told]) => {
      for (let kills = 0; kills < 4; kills += 1) {
        const before = told.length;
        const child = start(sink);
        const gone = once(child, 'exit');
        await until(() => told.length >= Math.min(before + 100 + kills * 37, ids.length), 'it is at work', 60_000);
        child.kill('SIGKILL');
        await gone;
      }
      const child = start(sink);
      await until(
        async () => (await cursorsOf(pool, sink.name)).filter(({ nextIndex }) => nextIndex === 400).length === 3,
        'all rows are pushed',
        60_000,
      );
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
      assertComplete(told, ids);
    }),
  );
});
