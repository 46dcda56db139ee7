import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { createAdminClient, readCallError } from '@weir/hub/io/admin-client.ts';
import { createAdminServer } from '@weir/hub/io/admin-server.ts';
import { FAILURE_LIMITS } from '@weir/hub/rpc/failure-limiter.ts';
import { createUnitTokenStore } from '@weir/hub/store/postgres/unit-token-store.ts';
import {
  AuditQueryService,
  EventService,
  FleetViewService,
  HealthService,
  PolicyService,
  SpokeService,
  TokenService,
  UnitService,
} from '@weir/proto/weir/console/v1/console_pb.ts';
import { tokenHash, unitOfToken } from '@weir/shared/domain/token.ts';
import { quiet, testPostgres } from './database.ts';
import { hubUnderTest } from './hub-under-test.ts';

const server = testPostgres();
const SERVICES = [
  AuditQueryService,
  EventService,
  FleetViewService,
  HealthService,
  PolicyService,
  SpokeService,
  TokenService,
  UnitService,
] as const;

function post(url: string, path: string, authorization?: string): Promise<Response> {
  return fetch(`${url}/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(authorization === undefined ? {} : { authorization }) },
    body: '{}',
  });
}

test('every method of every service refuses a call without a valid operator token', async (t) => {
  const under = await hubUnderTest(t, server);
  const url = under.hub.addresses.adminUrl;
  const good = (await readFile(under.hub.operatorTokenFile, 'utf8')).trim();
  for (const service of SERVICES) {
    for (const method of service.methods) {
      const response = await post(url, `${service.typeName}/${method.name}`);
      assert.ok([401, 429].includes(response.status), `${service.typeName}/${method.name}: ${response.status}`);
      assert.match(await response.text(), /token/);
    }
  }
  const path = `${HealthService.typeName}/Check`;
  for (const wrong of [`Bearer ${good}x`, `Bearer weirop_${'A'.repeat(43)}`, `Basic ${good}`, good, 'Bearer', '']) {
    assert.notEqual((await post(url, path, wrong)).status, 200, wrong.slice(0, 12));
  }
  assert.equal((await post(url, path, `Bearer ${good}`)).status, 200);
  assert.ok(!under.logLines.join('').includes(good));
});

test('an address that keeps failing is told to wait, while a valid token still works', async (t) => {
  const under = await hubUnderTest(t, server);
  const url = under.hub.addresses.adminUrl;
  const path = `${HealthService.typeName}/Check`;
  const statuses = [];
  for (let call = 0; call < FAILURE_LIMITS.failures + 2; call += 1) statuses.push((await post(url, path)).status);
  assert.deepEqual([statuses[0], statuses.at(-1)], [401, 429]);
  const good = (await readFile(under.hub.operatorTokenFile, 'utf8')).trim();
  assert.equal((await post(url, path, `Bearer ${good}`)).status, 200);
});

test('health, readiness and metrics answer without a token and tell no secret', async (t) => {
  const under = await hubUnderTest(t, server);
  const url = under.hub.addresses.adminUrl;
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
  assert.equal((await fetch(`${url}/readyz`)).status, 200);
  const metrics = await fetch(`${url}/metrics`);
  assert.match(metrics.headers.get('content-type') ?? '', /text\/plain/);
  assert.match(await metrics.text(), /# HELP weir_hub_rpc_seconds/);
  assert.equal((await fetch(`${url}/console`)).status, 401);
});

test('units are made once, with settings merged over the defaults and checked', async (t) => {
  const { admin } = await hubUnderTest(t, server);
  const client = admin(UnitService);
  const { unit } = await client.createUnit({
    name: 'payments',
    settings: '{"mode":"warn","policy":{"cooldown_hours":24}}',
  });
  const settings = JSON.parse(unit?.settings ?? '{}') as {
    mode: string;
    policy: Record<string, unknown>;
    unit: string;
  };
  assert.deepEqual(
    [settings.mode, settings.unit, settings.policy['cooldown_hours'], settings.policy['new_package_days']],
    ['warn', 'payments', 24, 30],
  );

  for (const [name, given, code] of [
    ['payments', '', 'conflict'],
    ['Payments', '', 'invalid_argument'],
    ['../etc', '', 'invalid_argument'],
    ['other', '{"mode":"open"}', 'invalid_argument'],
    ['other', '{"surprise":1}', 'invalid_argument'],
    ['other', '{"__proto__":{"mode":"warn"}}', 'invalid_argument'],
    ['other', '{"staleness":{"warn_s":100,"restrict_s":50,"deny_s":200}}', 'invalid_argument'],
    ['other', '[]', 'invalid_argument'],
  ] as const) {
    await assert.rejects(
      client.createUnit({ name, settings: given }),
      (thrown) => readCallError(thrown).code === code,
      `${name} ${given}`,
    );
  }
  const changed = await client.updateSettings({ unit: 'payments', settings: '{"mode":"block"}' });
  assert.equal(
    (JSON.parse(changed.unit?.settings ?? '{}') as { policy: Record<string, unknown> }).policy['cooldown_hours'],
    24,
  );
  assert.deepEqual(
    (await client.listUnits({})).units.map(({ name }) => name),
    ['payments'],
  );
});

test('a unit token is shown once, kept as a hash, listed without it, and revoked for good', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  const client = under.admin(TokenService);
  const { token, secret } = await client.createToken({
    unit: 'payments',
    principal: 'ci',
    groups: ['builders'],
    ttlS: 60n,
  });
  assert.equal(unitOfToken(secret), 'payments');
  const store = createUnitTokenStore(under.pool);
  const [active] = await store.activeTokens('payments', Date.now());
  assert.equal(active?.sha256, tokenHash(secret));
  assert.deepEqual(
    await store.activeTokens('payments', Date.now() + 61_000),
    [],
    'an expired token is not handed to spokes',
  );
  assert.deepEqual(await store.activeTokens('research', Date.now()), []);
  const listed = await client.listTokens({ unit: 'payments' });
  assert.ok(
    !JSON.stringify(listed, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value)).includes(
      secret,
    ),
  );

  const { token: revoked } = await client.revokeToken({ id: token?.id ?? '' });
  assert.equal(revoked?.revoked, true);
  assert.deepEqual(await store.activeTokens('payments', Date.now()), []);
  await assert.rejects(
    client.createToken({ unit: 'nobody', principal: 'ci' }),
    (thrown) => readCallError(thrown).code === 'not_found',
  );
  await assert.rejects(
    client.createToken({ unit: 'payments', principal: 'a\nb' }),
    (thrown) => readCallError(thrown).code === 'invalid_argument',
  );
});

test('lists page by cursor to the end, without a gap or a double', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  const client = under.admin(TokenService);
  const made = new Set<string>();
  for (let count = 0; count < 7; count += 1) {
    made.add((await client.createToken({ unit: 'payments', principal: `ci-${count}` })).token?.id ?? '');
  }
  const seen: string[] = [];
  let cursor = '';
  do {
    const page = await client.listTokens({ unit: 'payments', page: { size: 3, cursor } });
    seen.push(...page.tokens.map(({ id }) => id));
    cursor = page.nextCursor;
  } while (cursor !== '');
  assert.equal(seen.length, 7);
  assert.deepEqual(new Set(seen), made);
  for (const page of [
    { size: 1001, cursor: '' },
    { size: 1, cursor: 'nonsense' },
    { size: 1, cursor: 'WzFd' },
  ]) {
    await assert.rejects(
      client.listTokens({ unit: '', page }),
      (thrown) => readCallError(thrown).code === 'invalid_argument',
    );
  }
});

test('the admin port stays on loopback unless it has TLS, and the client keeps its token off plain networks', async () => {
  const admin = await createAdminServer({
    services: [],
    authenticate: () => Promise.resolve({ id: '', name: '' }),
    limiter: { isBlocked: () => false, noteFailure: () => undefined },
    ready: () => Promise.resolve(true),
    tls: null,
    logger: quiet,
    metrics: {
      count: () => undefined,
      gauge: () => undefined,
      observe: () => undefined,
      text: () => Promise.resolve(''),
      contentType: '',
    },
  });
  await assert.rejects(admin.listen('0.0.0.0', 0), /without TLS/);
  assert.throws(() => createAdminClient({ url: 'http://hub.example.test', token: 'x', caFile: '' }), /plain http/);
  assert.throws(() => createAdminClient({ url: 'ftp://127.0.0.1', token: 'x', caFile: '' }), /not an http/);
});
