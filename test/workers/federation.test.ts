// A spoke of several processes and its hub: a bundle reaches every worker without a request lost, and the hub gets every
// worker's rows, also those of workers that the spoke no longer has.

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { after, before, test } from 'node:test';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import { type LocalFederation, startLocalFederation, until } from '../federation/local-federation.ts';
import { ask, startLoad, type Received, type Target } from '../kill/load.ts';
import { publishMarkedFloor } from '../kill/new-floor.ts';
import { type NpmIndex, startNpmIndex } from '../upstreams/npm-index.ts';
import { type PypiIndex, startPypiIndex } from '../upstreams/pypi-index.ts';
import { sampleNpmPackages, SAMPLES, samplePythonReleases } from '../upstreams/sample-packages.ts';
import { type SpokeInProcesses, startSpokeInProcesses } from './spoke-in-processes.ts';

const UNIT = 'payments';

let npm: NpmIndex;
let pypi: PypiIndex;
let federation: LocalFederation;

before(async () => {
  const now = new Date();
  npm = await startNpmIndex({ packages: sampleNpmPackages(now) });
  pypi = await startPypiIndex({ releases: samplePythonReleases(now) });
  federation = await startLocalFederation({
    units: [{ name: UNIT, overlay: 'policies/overlay/payments' }],
    npmUpstream: npm.origin,
    pypiUpstream: pypi.indexUrl,
  });
  await federation.stopSpoke(UNIT);
});
after(async () => {
  await federation[Symbol.asyncDispose]();
  await npm.close();
  await pypi.close();
});

function targets({ registry }: SpokeInProcesses): readonly [Target, Target] {
  const url = (name: string, version: string): string => `${registry}/npm/${name}/-/${name}-${version}.tgz`;
  return [
    { unit: UNIT, url: url(SAMPLES.plain, '1.0.0'), accept: '*/*', status: 200 },
    // Too young, says the floor.
    { unit: UNIT, url: url(SAMPLES.fresh, '1.2.0'), accept: '*/*', status: 403 },
  ];
}

async function rowsAtHub(): Promise<readonly AuditRow[]> {
  const rows: AuditRow[] = [];
  let cursor = '';
  do {
    const page = await federation.console.audit.query({
      filter: { unit: UNIT },
      page: { size: 500, cursor },
      oldestFirst: true,
    });
    rows.push(...page.rows.map(({ row }) => JSON.parse(Buffer.from(row).toString('utf8')) as AuditRow));
    cursor = page.nextCursor;
  } while (cursor !== '');
  return rows;
}

/** Each log's rows have the indexes from 0 on. */
function assertWhole(rows: readonly AuditRow[]): void {
  const logs = Map.groupBy(rows, ({ log }) => log);
  for (const [log, own] of logs) {
    const indexes = own.map(({ index }) => index).toSorted((a, b) => a - b);
    assert.deepEqual(
      indexes,
      indexes.map((_, i) => i),
      log,
    );
  }
}

test('a new bundle is active in every worker, and no request is lost for it', async () => {
  await using spoke = await startSpokeInProcesses(federation.spokeHome(UNIT), 2);
  const former = (await spoke.status()).bundle?.digest;
  const load = startLoad(targets(spoke), { loopsPerTarget: 4 });
  await load.answered(5);
  const version = await publishMarkedFloor(federation.console, 'marked for workers');
  assert.ok(version > 0);
  await until(async () => {
    const { bundle, workers } = await spoke.status();
    return bundle?.digest !== former && workers.serving.every((worker) => worker.bundle === bundle?.digest);
  }, 'every worker runs the new bundle');
  await load.answered(5);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.ok(load.received.every(({ status, target }) => status === target.status));

  const present = (await spoke.status()).bundle?.digest;
  const [, refused] = targets(spoke);
  const logs = new Set<string>();
  await until(async () => {
    const answer = await ask(refused, new Agent(), () => undefined);
    assert.match(answer.body, /marked for workers/);
    const { row } = (await (await fetch(`${spoke.admin}/why?code=${answer.code}`)).json()) as { row: AuditRow };
    logs.add(row.log);
    return logs.size === 2;
  }, 'both workers have refused in the new words');
  assert.equal((await spoke.status()).workers.restarts, 0);
  assert.equal(await spoke.stop(), 0);

  const rows = await rowsAtHub();
  assertWhole(rows);
  const ids = new Set(rows.map(({ id }) => id));
  const codes = new Set(rows.map(({ code }) => code));
  for (const { row, code } of load.received) assert.ok(ids.has(row) || codes.has(code));
  const activated = rows.filter(({ outcome, log }) => outcome === 'bundle_activated' && logs.has(log));
  assert.equal(activated.filter(({ bundle }) => bundle === present).length, 2, 'each log says so');
});

test('rows of workers that are no more reach the hub through those that are', async () => {
  const home = federation.spokeHome(UNIT);
  await federation.stopHub();
  const answers: Received[] = [];
  {
    await using spoke = await startSpokeInProcesses(home, 3);
    const [, refused] = targets(spoke);
    const agents = Array.from({ length: 24 }, () => new Agent({ keepAlive: true }));
    answers.push(...(await Promise.all(agents.map((agent) => ask(refused, agent, () => undefined)))));
    for (const agent of agents) agent.destroy();
    assert.equal(await spoke.stop(), 0);
  }
  await federation.startHub();
  await using spoke = await startSpokeInProcesses(home, 1);
  await until(async () => {
    const { log } = await spoke.status();
    return log.acknowledged >= log.nextIndex;
  }, 'the hub has every row');
  const rows = await rowsAtHub();
  assertWhole(rows);
  const codes = new Map(rows.map(({ code, log }) => [code, log]));
  assert.ok(answers.every(({ code }) => codes.has(code)));
  assert.ok(new Set(answers.map(({ code }) => codes.get(code))).size > 1, 'more than one worker had answered');
});
