// Pushing as an operator has it: a line in the hub's configuration, two replicas, and the one that leads goes away.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hubConfigSchema } from '@weir/hub/config.ts';
import { startHub } from '@weir/hub/main.ts';
import { createPool } from '@weir/hub/store/postgres/pool.ts';
import { quiet, testPostgres } from '../hub/database.ts';
import { until } from './doubles.ts';
import { webhookReceiver } from './receivers.ts';
import { storeRows } from './stored-rows.ts';

const server = testPostgres();

test('configured sinks get rows from whichever replica leads', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-push-hub-'));
  const url = await server.emptyDatabase();
  await using receiver = await webhookReceiver();
  const config = hubConfigSchema.parse({
    federation: { port: 0 },
    join: { port: 0 },
    admin: { port: 0 },
    audit: { push: [{ kind: 'http', name: 'siem', url: receiver.url, format: 'ocsf' }] },
  });
  const start = (home: string) =>
    startHub({
      config,
      home: join(folder, home),
      logStream: { write: () => undefined },
      env: { ...process.env, DATABASE_URL: url },
    });
  const hubs = [await start('one'), await start('other')];
  const pool = createPool({ url, logger: quiet, max: 2 });
  try {
    const ids = [...(await storeRows(pool, 'payments.edge.w0.1', 20))];
    const arrived = () => new Set(receiver.lines.map((line) => (JSON.parse(line) as OcsfEvent).metadata.uid));
    await until(() => arrived().size === 20, 'the first rows arrive');
    assert.equal(receiver.lines.length, 20, 'one of the two pushes');
    await hubs.shift()?.close();
    ids.push(...(await storeRows(pool, 'payments.edge.w0.1', 20)));
    await until(() => arrived().size === 40, 'the other replica takes over');
    assert.deepEqual([...arrived()].toSorted(), ids.toSorted());
  } finally {
    await pool.end();
    await Promise.all(hubs.map((hub) => hub.close()));
    await rm(folder, { recursive: true, force: true });
  }
});

interface OcsfEvent {
  readonly metadata: { readonly uid: string };
}
