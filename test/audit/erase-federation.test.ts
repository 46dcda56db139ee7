// A person who installed something is forgotten: over a whole federation, from the token to the row at the hub, with the
// hub's own check of every root before and after.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createAdminClient } from '@weir/hub/io/admin-client.ts';
import { createPool } from '@weir/hub/store/postgres/pool.ts';
import { AuditActorService, AuditLogService } from '@weir/proto/weir/console/v1/audit_pb.ts';
import { hashActor } from '@weir/shared/audit/hash-actor.ts';
import { createIdentityStore } from '@weir/spoke/io/identity-store.ts';
import { until } from '../federation/local-federation.ts';
import { quiet, testPostgres } from '../hub/database.ts';
import { getRaw, prepareGround, type Row } from '../trouble/ground.ts';
import { SAMPLES } from '../upstreams/sample-packages.ts';
import { columnsWith } from './search-database.ts';

const server = testPostgres();
const NAME = 'ann.example';
const UNIT = 'payments';
const ARTIFACT = `/npm/${SAMPLES.plain}/-/${SAMPLES.plain}-1.0.0.tgz`;

test('an erased person is in no table, and every row that they left still proves itself', async () => {
  const databaseUrl = await server.emptyDatabase();
  await using ground = await prepareGround({ units: [{ name: UNIT, settings: { anonymous: false } }], databaseUrl });
  const { federation } = ground;
  const pool = createPool({ url: databaseUrl, logger: quiet, max: 2 });
  try {
    const { console } = federation;
    const operator = readFileSync(federation.hub.operatorTokenFile, 'utf8').trim();
    const admin = createAdminClient({ url: federation.hub.addresses.adminUrl, token: operator, caFile: '' });
    const [actors, logs] = [admin(AuditActorService), admin(AuditLogService)];
    const { token, secret } = await console.tokens.createToken({ unit: UNIT, principal: NAME, ttlS: 0n });
    const get = () => getRaw(federation.origin(UNIT), ARTIFACT, [`Authorization: Bearer ${secret}`]);
    await until(async () => (await get()).status === 200, 'the token reaches the spoke');

    const rows = (await federation.rows(UNIT)) as unknown as readonly Row[];
    const pseudonym = rows.findLast(({ action }) => action === 'install')?.actor.id ?? '';
    assert.match(pseudonym, /^h:[0-9a-f]{32}$/);
    // What a spoke has does not lead from a name to a row.
    const { unit_salt: salt } = createIdentityStore(federation.spokeHome(UNIT)).read();
    assert.notEqual(pseudonym, hashActor(Buffer.from(salt, 'hex'), NAME));

    await assert.rejects(actors.eraseActor({ unit: UNIT, actor: NAME }), /revoke first|tokens/);
    await console.tokens.revokeToken({ id: token?.id ?? '' });
    await until(async () => (await get()).status === 401, 'the revocation reaches the spoke');
    await federation.rows(UNIT);
    await federation.stopSpoke(UNIT);
    const found = await console.audit.query({ filter: { unit: UNIT, actor: NAME } });
    assert.ok(found.rows.length > 0, 'rows are found by name');

    const check = async (): Promise<readonly (readonly [string, bigint, string, number])[]> => {
      const results: (readonly [string, bigint, string, number])[] = [];
      for await (const { step } of logs.fsck({})) {
        if (step.case === 'log')
          results.push([step.value.log, step.value.rows, step.value.root, step.value.faults.length]);
      }
      return results;
    };
    const before = await check();
    assert.ok(before.length > 0 && before.every(([, , , faults]) => faults === 0));
    assert.notDeepEqual(await columnsWith(pool, NAME), []);

    const erased = await actors.eraseActor({ unit: UNIT, actor: NAME });
    assert.deepEqual(erased.actors, [pseudonym]);
    assert.deepEqual(await columnsWith(pool, NAME), []);
    assert.deepEqual(await check(), before, 'every log has the size, root and soundness that it had');
    assert.deepEqual((await console.audit.query({ filter: { unit: UNIT, actor: NAME } })).rows, []);
    const still = await console.audit.query({ filter: { unit: UNIT, actor: pseudonym } });
    assert.deepEqual(
      still.rows.map(({ row }) => Buffer.from(row).toString('utf8')),
      found.rows.map(({ row }) => Buffer.from(row).toString('utf8')),
    );
  } finally {
    await pool.end();
  }
});
