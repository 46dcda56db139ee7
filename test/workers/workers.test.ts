// A spoke of several processes, as operators run it: what one of them does or suffers must not show to clients, to the record
// or to the other processes, except where a row or a status says so.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CoverageCheck } from '@weir/shared/audit/coverage.ts';
import { makeSpokeHome } from '../bench/spoke-home.ts';
import { until } from '../federation/local-federation.ts';
import { ask, startLoad, type Received, type Target } from '../kill/load.ts';
import { type NpmIndex, startNpmIndex } from '../upstreams/npm-index.ts';
import { type PypiIndex, startPypiIndex } from '../upstreams/pypi-index.ts';
import { sampleNpmPackages, SAMPLES, samplePythonReleases } from '../upstreams/sample-packages.ts';
import { logsOnDisk, type LogOnDisk } from './rows-on-disk.ts';
import { type SpokeInProcesses, startSpokeInProcesses } from './spoke-in-processes.ts';

let npm: NpmIndex;
let pypi: PypiIndex;
const scratch = mkdtempSync(join(tmpdir(), 'weir-workers-'));

before(async () => {
  npm = await startNpmIndex({ packages: sampleNpmPackages(new Date()) });
  pypi = await startPypiIndex({ releases: samplePythonReleases(new Date()) });
});
after(async () => {
  await npm.close();
  await pypi.close();
  rmSync(scratch, { recursive: true, force: true });
});

async function newHome(name: string): Promise<string> {
  const home = join(scratch, name);
  await makeSpokeHome(home, { npm: npm.origin, pypi: pypi.indexUrl });
  // Small segments are laid out at once.
  const file = join(home, 'spoke.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as object;
  const limits = { spool_segment_bytes: 1 << 20, spool_bytes: 64 << 20 };
  writeFileSync(file, JSON.stringify({ ...config, limits }));
  return home;
}

function artifact({ registry }: SpokeInProcesses, version = '1.0.0'): Target {
  const url = `${registry}/npm/${SAMPLES.plain}/-/${SAMPLES.plain}-${version}.tgz`;
  return { unit: 'payments', url, accept: '*/*', status: 200 };
}

/** Refused: it may run code at install time, which the overlay of payments denies. */
function refused({ registry }: SpokeInProcesses): Target {
  const url = `${registry}/npm/${SAMPLES.scripted}/-/${SAMPLES.scripted}-1.0.0.tgz`;
  return { unit: 'payments', url, accept: '*/*', status: 403 };
}

/** On connections of their own, all open at once, so that they spread over the workers. */
async function many(target: Target, count: number): Promise<readonly Received[]> {
  const agents = Array.from({ length: count }, () => new Agent({ keepAlive: true }));
  try {
    return await Promise.all(agents.map((agent) => ask(target, agent, () => undefined)));
  } finally {
    for (const agent of agents) agent.destroy();
  }
}

function assertGapFree(logs: readonly LogOnDisk[]): void {
  for (const { log, rows } of logs) {
    assert.deepEqual(
      rows.map(({ index }) => index),
      rows.map((_, i) => i),
      log,
    );
    assert.ok(rows.every((row) => row.log === log));
    const coverage = new CoverageCheck();
    for (const row of rows) {
      if (row.outcome === 'counters') coverage.counters(row);
      else coverage.row(row.action);
    }
    assert.deepEqual(coverage.report().faults, [], log);
  }
}

/** Every answer has one row, and what clients were told stands in it. */
function assertRecorded(logs: readonly LogOnDisk[], answers: readonly Received[]): void {
  const rows = logs.flatMap((log) => log.rows);
  const ids = new Set(rows.map(({ id }) => id));
  assert.equal(ids.size, rows.length, 'no row twice');
  const codes = new Set(rows.map(({ code }) => code));
  for (const { status, row, code } of answers) {
    if (status === 200) assert.ok(ids.has(row), `no row of ${row}`);
    else assert.ok(codes.has(code), `no row of ${code}`);
  }
}

test('workers share one port and one cache, and each has a log of its own', async () => {
  const home = await newHome('shared');
  await using spoke = await startSpokeInProcesses(home, 2);
  assert.deepEqual([...(await spoke.workers()).keys()], ['w0', 'w1']);
  const path = new URL(artifact(spoke).url).pathname.replace('/npm', '');
  const fetchesBefore = npm.requests.filter(({ url }) => url === path).length;
  const first = await ask(artifact(spoke), undefined, () => undefined);
  // The other worker hears of the new file by word of the lead.
  await delay(200);
  const answers = [first, ...(await many(artifact(spoke), 40)), ...(await many(refused(spoke), 20))];
  assert.ok(answers.every(({ target, status }) => status === target.status));
  assert.ok(answers.every(({ body }, i) => i > 40 || body === first.body));
  assert.equal(npm.requests.filter(({ url }) => url === path).length - fetchesBefore, 1, 'fetched once');

  const text = await (await fetch(`${spoke.admin}/metrics`)).text();
  const value = (name: string): number =>
    text
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  assert.equal(value('weir_spoke_decisions_total'), answers.length);
  assert.equal(value('weir_spoke_rows'), answers.length);
  assert.equal(value('weir_spoke_http_refused'), 20);
  assert.equal(value('weir_spoke_workers'), 2);
  assert.equal(value('weir_spoke_spool_healthy'), 1);
  assert.equal(value('weir_spoke_cache_entries'), 1);

  // Any worker's row is found by its code, whoever is asked.
  const codes = answers.filter(({ code }) => code !== '').map(({ code }) => code);
  const logs = new Set<string>();
  for (const code of codes) {
    const response = await fetch(`${spoke.admin}/why?code=${code}`);
    const { row } = (await response.json()) as { row: { code: string; log: string } };
    assert.equal(row.code, code);
    logs.add(row.log);
  }
  assert.equal(logs.size, 2, 'both workers have answered');
  assert.equal(await spoke.stop(), 0);

  const onDisk = await logsOnDisk(home);
  assert.equal(onDisk.length, 2);
  assertGapFree(onDisk);
  assertRecorded(onDisk, answers);
  for (const { rows } of onDisk) {
    assert.equal(rows[0]?.log, rows.at(-1)?.log);
    assert.ok(rows.some(({ outcome }) => outcome === 'spoke_started'));
    assert.deepEqual(
      rows.slice(-2).map(({ outcome }) => outcome),
      ['counters', 'spoke_stopped'],
    );
  }
});

test('every answer about an artifact says where its row stands, and the row says what was sent', async () => {
  const home = await newHome('receipts');
  await using spoke = await startSpokeInProcesses(home, 2);
  const page = await (await fetch(`${spoke.registry}/pypi/simple/${SAMPLES.plain}/`)).text();
  const wheel = new URL(/href="([^"#]*\.whl)/.exec(page)?.[1] ?? '', `${spoke.registry}/pypi/simple/${SAMPLES.plain}/`);
  const told: { readonly receipt: string; readonly status: number }[] = [];
  for (const url of [artifact(spoke).url, refused(spoke).url, wheel.href]) {
    const get = async (init: RequestInit = {}): Promise<Response> => {
      const response = await fetch(url, init);
      await response.arrayBuffer();
      told.push({ receipt: response.headers.get('weir-receipt') ?? '', status: response.status });
      return response;
    };
    const first = await get();
    const etag = (await get()).headers.get('etag') ?? '';
    // From the third on they are repeats.
    for (let i = 0; i < 8; i += 1) await get();
    await get({ method: 'HEAD' });
    if (first.status === 403) continue;
    assert.equal((await get({ headers: { range: 'bytes=0-9' } })).status, 206);
    assert.equal((await get({ headers: { range: 'bytes=99999999-' } })).status, 416);
    assert.equal((await get({ headers: { 'if-none-match': etag } })).status, 304);
  }
  const other = await fetch(`${spoke.registry}/npm/${SAMPLES.plain}`);
  assert.equal(other.headers.get('weir-receipt'), null, 'an index document is no artifact');
  assert.equal(await spoke.stop(), 0);

  const logs = new Map((await logsOnDisk(home)).map((log) => [log.log, log]));
  const seen = new Set<string>();
  for (const { receipt, status } of told) {
    const match = /^row="([0-9a-f-]{36})", log="([a-z0-9.-]+)", index=(\d+), leaf=:([A-Za-z0-9+/]{43}=):$/.exec(
      receipt,
    );
    assert.ok(match !== null, receipt);
    const [, id = '', log = '', index = '', leaf = ''] = match;
    const row = logs.get(log)?.rows[Number(index)];
    assert.equal(row?.id, id);
    assert.equal(row.status, status);
    assert.equal(logs.get(log)?.leaves[Number(index)], leaf);
    seen.add(id);
  }
  assert.equal(seen.size, told.length, 'a row of its own for each');
});

test('a worker that is killed takes only its own connections with it, and comes back', async () => {
  const home = await newHome('killed');
  await using spoke = await startSpokeInProcesses(home, 2);
  const load = startLoad([artifact(spoke), artifact(spoke, '1.1.0'), refused(spoke)], { loopsPerTarget: 4 });
  await load.answered(5);
  for (const victim of ['w0', 'w1']) {
    const pid = (await spoke.workers()).get(victim);
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGKILL');
    await until(async () => {
      const now = (await spoke.workers()).get(victim);
      return now !== undefined && now !== pid;
    }, `${victim} is started again`);
    await load.answered(3);
  }
  await load.stop();
  // Each loop has one connection and one request on it: the victim's are broken, and nobody is turned away.
  assert.ok(load.failures.length <= 24, `${load.failures.length} failures`);
  assert.deepEqual(
    [...new Set(load.failures.map(({ reason }) => reason))].filter((reason) => reason === 'ECONNREFUSED'),
    [],
  );
  const status = await spoke.status();
  assert.ok(status.ready);
  assert.equal(status.workers.restarts, 2);
  assert.equal(await spoke.stop(), 0);
  const logs = await logsOnDisk(home);
  assertGapFree(logs);
  assertRecorded(logs, load.received);
  const restarts = logs.flatMap(({ rows }) => rows).filter(({ outcome }) => outcome === 'worker_restarted');
  assert.equal(restarts.length, 2);
  assert.match(restarts[0]?.request.target ?? '', /after signal SIGKILL/);
});

test('a worker that keeps ending makes the spoke not ready, by name, while the other one serves', async () => {
  const home = await newHome('failing');
  await using spoke = await startSpokeInProcesses(home, 2);
  let last = 0;
  for (let i = 0; i < 3; i += 1) {
    await until(async () => ((await spoke.workers()).get('w1') ?? last) !== last, 'w1 runs');
    last = (await spoke.workers()).get('w1') ?? 0;
    process.kill(last, 'SIGKILL');
  }
  await until(async () => (await spoke.status()).workers.failing.length > 0, 'it is called failing');
  const { ready, workers } = await spoke.status();
  assert.equal(ready, false);
  assert.deepEqual(workers.failing, [{ name: 'w1', reason: 'signal SIGKILL' }]);
  assert.equal((await fetch(`${spoke.admin}/readyz`)).status, 503);
  assert.equal((await ask(artifact(spoke), undefined, () => undefined)).status, 200);
});

test('a spoke started with another number of workers keeps every log and finds every row', async () => {
  const home = await newHome('counts');
  const answers: Received[] = [];
  for (const count of [3, 1, 2]) {
    await using spoke = await startSpokeInProcesses(home, count);
    answers.push(...(await many(refused(spoke), 12)), ...(await many(artifact(spoke), 12)));
    for (const { code } of answers.filter((answer) => answer.code !== '')) {
      const response = await fetch(`${spoke.admin}/why?code=${code}`);
      assert.equal(response.status, 200, `${code} with ${count} workers`);
    }
    const { log } = await spoke.status();
    assert.ok(log.each.length >= count);
    assert.equal(await spoke.stop(), 0);
  }
  const logs = await logsOnDisk(home);
  assert.equal(logs.length, 3);
  assertGapFree(logs);
  assertRecorded(logs, answers);
});

test('workers end with their lead, and the next start finds port and logs free', async () => {
  const home = await newHome('leaderless');
  const first = await startSpokeInProcesses(home, 2);
  const pids = [...(await first.workers()).values()];
  const answers = await many(artifact(first), 8);
  await first.kill();
  await using second = await startSpokeInProcesses(home, 2);
  assert.ok(pids.every((pid) => !isAlive(pid)));
  await second.stop();
  const logs = await logsOnDisk(home);
  assertGapFree(logs);
  assertRecorded(logs, answers);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
