// Forgetting who somebody is: before it their rows are found by name, after it the name is nowhere in the database, and no
// byte of any row, leaf or root has changed. Every table is searched as PostgreSQL itself writes it out.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Actors, createActors } from '@weir/hub/audit/actors.ts';
import { identitiesOf, jsonLayer } from '@weir/hub/bundle/assemble.ts';
import { systemClock } from '@weir/hub/io/system-clock.ts';
import { systemRandom } from '@weir/hub/io/system-random.ts';
import { createActorStore } from '@weir/hub/store/postgres/actor-store.ts';
import { createBundleStore } from '@weir/hub/store/postgres/bundle-store.ts';
import { createEventStore } from '@weir/hub/store/postgres/event-store.ts';
import type { Pool } from '@weir/hub/store/postgres/pool.ts';
import { createUnitStore } from '@weir/hub/store/postgres/unit-store.ts';
import { createUnitTokenStore } from '@weir/hub/store/postgres/unit-token-store.ts';
import { createUnitTokens, type UnitTokens } from '@weir/hub/unit/unit-tokens.ts';
import { createUnits } from '@weir/hub/unit/units.ts';
import { hashActor } from '@weir/shared/audit/hash-actor.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { identitiesSchema } from '@weir/shared/bundle/layers.ts';
import { digestOf } from '@weir/shared/domain/digest.ts';
import { ANONYMOUS } from '@weir/shared/domain/principal.ts';
import { createAuthenticator } from '@weir/spoke/identity/authenticate.ts';
import { testPostgres } from '../hub/database.ts';
import { servedDraft } from './sample-rows.ts';
import { columnsWith } from './search-database.ts';
import { storeRows } from './stored-rows.ts';

const server = testPostgres();
/** Letters that JSON, SQL and LIKE each treat in their own way. */
const NAME = `Jürgen "the 100%_ O'Neil\\ of Ops`;
const UNIT = 'payments';
const LOG = 'payments.edge.w0.1';

interface Ground {
  readonly pool: Pool;
  readonly actors: Actors;
  readonly tokens: UnitTokens;
  /** The identities layer that spokes run now. */
  identities(): Promise<ReturnType<typeof identitiesOf>>;
  /** What the unit's rows call whoever shows this token. */
  pseudonymOf(secret: string): Promise<string>;
  /** Whether a publication happens when it is asked for. */
  publishing: boolean;
}

async function layGround(): Promise<Ground> {
  const { pool } = await server.migratedPool();
  const [units, events, unitTokens, bundles, store] = [
    createUnitStore(pool),
    createEventStore(pool),
    createUnitTokenStore(pool),
    createBundleStore(pool),
    createActorStore(pool),
  ];
  /** As the publisher does it, without what an identities layer does not depend on: gates, signature, other layers. */
  const republish = async (unit: string): Promise<void> => {
    if (!ground.publishing) return;
    const active = await unitTokens.activeTokens(unit, systemClock.nowMs());
    const names = [ANONYMOUS, ...active.map(({ principal }) => principal)];
    const { ref, bytes } = jsonLayer('identities', identitiesOf(unit, active, await actors.ensure(unit, names)));
    const current = await bundles.currentBundle(unit);
    if (current?.layers[0]?.digest === ref.digest) return;
    await bundles.putLayer(ref.digest, bytes);
    const version = (current?.version ?? 0) + 1;
    const outcome = await bundles.insertBundle({
      unit,
      epoch: 1,
      version,
      digest: digestOf(`${unit} ${version}`),
      prev: current?.digest ?? null,
      issuedAt: 1_800_000_000,
      expires: 1_900_000_000,
      layers: [ref],
      envelope: Buffer.from('an envelope names digests alone'),
    });
    assert.equal(outcome, 'inserted');
  };
  const parts = { events, clock: systemClock, random: systemRandom, republish };
  const actors = createActors({ store, units, ...parts });
  const tokens = createUnitTokens({ store: unitTokens, ...parts });
  const identities: Ground['identities'] = async () => {
    const layer = (await bundles.currentBundle(UNIT))?.layers[0];
    const bytes = layer === undefined ? undefined : await bundles.readLayer(layer.digest, 0, layer.size);
    return identitiesSchema.parse(JSON.parse(Buffer.from(bytes ?? []).toString('utf8')));
  };
  const ground: Ground = {
    pool,
    actors,
    tokens,
    identities,
    publishing: true,
    async pseudonymOf(secret) {
      const settings = { unit: UNIT, anonymous: true } as Parameters<typeof createAuthenticator>[1];
      const who = createAuthenticator(await identities(), settings).authenticate(`Bearer ${secret}`, 1_800_000_000);
      assert.equal(who.kind, 'principal');
      return who.kind === 'principal' ? (who.principal.pseudonym ?? '') : '';
    },
  };
  const registry = createUnits({ store: units, events, random: systemRandom, republish });
  await registry.create(UNIT, '', 'ops');
  await registry.create('research', '', 'ops');
  return ground;
}

/** Rows of these actors, as a spoke writes them, in a log of their own. */
async function writeRows(pool: Pool, ids: readonly string[]): Promise<void> {
  await storeRows(pool, LOG, ids.length, (index) => servedDraft({ actor: { id: ids[index] ?? '', kind: 'token' } }));
}

/** Root over the rows as they are stored, each leaf hashed anew. */
async function rootOf(pool: Pool): Promise<{ readonly size: number; readonly root: string; readonly rows: Buffer }> {
  const { rows } = await pool.query<{ row: Buffer; leaf: Buffer }>(
    'SELECT row, leaf FROM audit_rows WHERE log = $1 ORDER BY index',
    [LOG],
  );
  const edge = TreeEdge.decode(0, Buffer.alloc(0));
  for (const { row, leaf } of rows) {
    assert.deepEqual(leafHash(row), leaf);
    edge.append(leaf);
  }
  return { size: rows.length, root: edge.root().toString('hex'), rows: Buffer.concat(rows.map(({ row }) => row)) };
}

async function newToken(ground: Ground, principal: string, unit = UNIT) {
  return ground.tokens.create({ unit, principal, groups: ['builders'], ttlS: 0, by: 'ops' });
}

test('whoever is erased cannot be named any more, and every row and root is as it was', async () => {
  const ground = await layGround();
  const { pool, actors, tokens } = ground;
  const [first, second] = [await newToken(ground, NAME), await newToken(ground, NAME)];
  const other = await newToken(ground, 'other');
  await newToken(ground, 'somebody', 'research');

  const pseudonym = await ground.pseudonymOf(first.secret);
  assert.match(pseudonym, /^h:[0-9a-f]{32}$/);
  assert.equal(await ground.pseudonymOf(second.secret), pseudonym, 'one principal, one pseudonym');
  const others = await ground.pseudonymOf(other.secret);
  assert.notEqual(others, pseudonym);
  await writeRows(pool, [pseudonym, others, pseudonym]);
  const before = await rootOf(pool);

  assert.ok((await actors.pseudonymsOf(UNIT, NAME)).includes(pseudonym));
  assert.equal(await actors.nameOf(UNIT, pseudonym), NAME);
  assert.equal(await actors.nameOf('research', pseudonym), undefined, 'another unit knows nobody of them');
  const named = await columnsWith(pool, NAME);
  assert.deepEqual(named, ['audit_actors.name', 'layers.bytes', 'unit_tokens.principal'], 'the search finds names');

  // Who can still come in would be recorded again.
  await assert.rejects(actors.erase(UNIT, NAME, 'ops'), (error: { code?: string; next?: string }) => {
    assert.equal(error.code, 'conflict');
    assert.ok(error.next?.includes(first.token.id) && error.next.includes(second.token.id), 'it says what to revoke');
    return true;
  });
  assert.equal(await actors.nameOf(UNIT, pseudonym), NAME, 'a refused erasure changes nothing');
  await tokens.revoke(first.token.id, 'ops');
  await tokens.revoke(second.token.id, 'ops');

  const erased = await actors.erase(UNIT, NAME, 'ops');
  assert.deepEqual(erased.pseudonyms, [pseudonym]);
  assert.deepEqual(await rootOf(pool), before, 'rows, leaves and root');
  assert.deepEqual(await columnsWith(pool, NAME), []);
  assert.equal(await actors.nameOf(UNIT, pseudonym), undefined);
  assert.ok(!(await actors.pseudonymsOf(UNIT, NAME)).includes(pseudonym));

  const tombstone = await pool.query(
    'SELECT name, length(salt) AS salt, erased_at FROM audit_actors WHERE actor = $1',
    [pseudonym],
  );
  assert.deepEqual(tombstone.rows, [{ name: '', salt: 0, erased_at: new Date(erased.erasedAtMs) }]);
  const events = await pool.query<{ detail: unknown }>("SELECT detail FROM hub_events WHERE kind = 'actor_erased'");
  assert.deepEqual(events.rows, [{ detail: { by: 'ops', actors: [pseudonym] } }]);

  // Everybody else is who they were, in this unit and in others.
  assert.equal(await actors.nameOf(UNIT, others), 'other');
  assert.equal(await ground.pseudonymOf(other.secret), others);
  await assert.rejects(actors.erase(UNIT, NAME, 'ops'), { code: 'not_found' });
  await assert.rejects(actors.erase(UNIT, pseudonym, 'ops'), { code: 'not_found' });

  // The name may come back; nothing leads from it to what was.
  const again = await newToken(ground, NAME);
  assert.notEqual(await ground.pseudonymOf(again.secret), pseudonym);
});

test('an actor is erased by pseudonym as well', async () => {
  const ground = await layGround();
  const { token, secret } = await newToken(ground, NAME);
  const pseudonym = await ground.pseudonymOf(secret);
  await ground.tokens.revoke(token.id, 'ops');
  assert.deepEqual((await ground.actors.erase(UNIT, pseudonym, 'ops')).pseudonyms, [pseudonym]);
  assert.deepEqual(await columnsWith(ground.pool, NAME), []);
});

test('nothing is erased while the newest bundle still names the actor', async () => {
  const ground = await layGround();
  const { token, secret } = await newToken(ground, NAME);
  const pseudonym = await ground.pseudonymOf(secret);
  ground.publishing = false;
  await ground.tokens.revoke(token.id, 'ops');
  await assert.rejects(ground.actors.erase(UNIT, NAME, 'ops'), { code: 'unavailable' });
  assert.equal(await ground.actors.nameOf(UNIT, pseudonym), NAME);
  ground.publishing = true;
  await ground.actors.erase(UNIT, NAME, 'ops');
  assert.deepEqual(await columnsWith(ground.pool, NAME), []);
});

test('a publisher that was overtaken by an erasure brings no name back', async () => {
  const ground = await layGround();
  const { token } = await newToken(ground, NAME);
  await ground.tokens.revoke(token.id, 'ops');
  await ground.actors.erase(UNIT, NAME, 'ops');
  assert.deepEqual(await ground.actors.ensure(UNIT, [NAME]), new Map());
  assert.deepEqual(await columnsWith(ground.pool, NAME), []);
});

test('hubs that ask at once give one pseudonym', async () => {
  const ground = await layGround();
  ground.publishing = false;
  await newToken(ground, NAME);
  const asked = await Promise.all(Array.from({ length: 8 }, () => ground.actors.ensure(UNIT, [NAME, ANONYMOUS])));
  assert.equal(new Set(asked.map((found) => found.get(NAME))).size, 1);
  assert.equal(new Set(asked.map((found) => found.get(ANONYMOUS))).size, 1);
  const { rows } = await ground.pool.query('SELECT actor FROM audit_actors WHERE unit = $1', [UNIT]);
  assert.equal(rows.length, 2, 'the name and anonymous');
});

test('a layer without pseudonyms leaves it to the spoke, as before', async () => {
  const layer = identitiesSchema.parse({ schema: 'weir.identities/v1', unit: UNIT, tokens: [] });
  const settings = { unit: UNIT, anonymous: true } as Parameters<typeof createAuthenticator>[1];
  const who = createAuthenticator(layer, settings).authenticate(undefined, 0);
  assert.ok(who.kind === 'principal' && who.principal.pseudonym === undefined);
});

test('rows from before pseudonyms are still found by name', async () => {
  const ground = await layGround();
  const { rows } = await ground.pool.query<{ salt: Buffer }>('SELECT salt FROM units WHERE name = $1', [UNIT]);
  const legacy = hashActor(rows[0]?.salt ?? Buffer.alloc(0), NAME);
  assert.deepEqual(await ground.actors.pseudonymsOf(UNIT, NAME), [legacy]);
  assert.deepEqual(await ground.actors.pseudonymsOf('nowhere', NAME), []);
});
