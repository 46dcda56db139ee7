// The hub gone, its database gone, the line between them cut: installs and refusals go on as if nothing had happened, and
// afterwards the hub has every row once, in order, without a gap.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '@weir/hub/io/embedded-postgres.ts';
import { startCutLine, type CutLine } from '../federation/cut-line.ts';
import { until } from '../federation/local-federation.ts';
import { quiet } from '../hub/database.ts';
import { MALICIOUS_VERSION, SAMPLES } from '../upstreams/sample-packages.ts';
import { getRaw, prepareGround, spooledRows, statusOf, type Ground, type Row } from './ground.ts';

const UNIT = 'payments';
const PLAIN = `/npm/${SAMPLES.plain}/-/${SAMPLES.plain}-1.0.0.tgz`;
const MALWARE = `/npm/${SAMPLES.malware}/-/${SAMPLES.malware}-${MALICIOUS_VERSION}.tgz`;

const folder = mkdtempSync(join(tmpdir(), 'weir-outage-'));
let database: EmbeddedPostgres;
let ground: Ground;
let line: CutLine;

const startDatabase = (): Promise<EmbeddedPostgres> => startEmbeddedPostgres({ home: folder, logger: quiet });

before(async () => {
  database = await startDatabase();
  ground = await prepareGround({
    units: [{ name: UNIT }],
    malicious: [{ ecosystem: 'npm', name: SAMPLES.malware, versions: [MALICIOUS_VERSION] }],
    databaseUrl: database.url,
  });
  const { federation } = ground;
  line = await startCutLine({ host: '127.0.0.1', port: federation.hub.addresses.federation.port });
  const file = join(federation.spokeHome(UNIT), 'spoke.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...config, hub: [line.address] }));
  await federation.restartSpoke(UNIT);
  await installs(1);
  await wholeLedger();
});
after(async () => {
  await ground?.[Symbol.asyncDispose]();
  await line?.[Symbol.asyncDispose]();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** An allowed and a refused install, so many times. */
async function installs(times: number): Promise<void> {
  const origin = ground.federation.origin(UNIT);
  for (let i = 0; i < times; i += 1) {
    assert.equal((await getRaw(origin, PLAIN)).status, 200);
    const refusal = await getRaw(origin, MALWARE);
    assert.equal(refusal.status, 403);
    assert.equal(refusal.headers['x-weir-rule'], 'WEIR-MAL-001');
  }
}

/** What the hub has equals what the spoke wrote: from 0, each row once, no gap. */
async function wholeLedger(): Promise<readonly Row[]> {
  const rows = (await ground.federation.rows(UNIT)) as unknown as Row[];
  assert.deepEqual(
    rows.map(({ index }) => index),
    rows.map((_, i) => i),
  );
  assert.deepEqual(rows, await spooledRows(ground.federation, UNIT));
  return rows;
}

const acknowledged = async (): Promise<number> => (await statusOf(ground.federation, UNIT)).log.acknowledged;

test('promise 4: with the hub gone installs and refusals go on, also for a spoke started anew, and then the hub has it all', async () => {
  const { federation } = ground;
  const earlier = (await wholeLedger()).length;
  await federation.stopHub();
  await installs(5);
  const active = federation.spoke(UNIT).activeBundle();
  await federation.restartSpoke(UNIT);
  assert.equal(federation.spoke(UNIT).activeBundle(), active, 'the last-known-good bundle');
  const status = await statusOf(federation, UNIT);
  assert.deepEqual([status.ready, status.log.healthy], [true, true]);
  await installs(5);
  assert.ok((await acknowledged()) <= earlier + 1);
  await federation.startHub();
  const rows = await wholeLedger();
  const decisions = rows.slice(earlier).filter(({ action }) => action === 'install');
  assert.equal(decisions.filter(({ outcome }) => outcome === 'served').length, 10);
  assert.equal(decisions.filter(({ outcome }) => outcome === 'refused').length, 10);
});

test('promise 5: with the database gone under the hub nothing stops, nothing is acknowledged that is not kept, nothing is lost', async () => {
  const earlier = (await wholeLedger()).length;
  await database.stop();
  await installs(10);
  assert.equal(await acknowledged(), earlier, 'the hub acknowledges only what it has committed');
  const ready = await fetch(`${ground.federation.hub.addresses.adminUrl}/readyz`);
  assert.equal(ready.status, 503, 'the hub says that it is not ready');
  const again = await startDatabase();
  assert.equal(again.url, database.url);
  database = again;
  const rows = await wholeLedger();
  assert.equal(rows.slice(earlier).filter(({ action }) => action === 'install').length, 20);
});

test('promise 5: a line that is cut in the middle of uploads, again and again, loses and doubles nothing', async () => {
  const earlier = (await wholeLedger()).length;
  const cutsBefore = line.cuts;
  for (const bytes of [1, 700, 3_000, 9_000]) {
    const cuts = line.cuts;
    line.cutAfter(bytes);
    await installs(6);
    await until(() => line.cuts > cuts, 'the line is cut');
    line.mend();
  }
  line.cut();
  await installs(6);
  line.mend();
  const rows = await wholeLedger();
  assert.equal(rows.slice(earlier).filter(({ action }) => action === 'install').length, 60);
  assert.equal(line.cuts, cutsBefore + 5);
});
