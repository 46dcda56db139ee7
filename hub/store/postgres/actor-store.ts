// Actors in Postgres. The unit's row is the lock: while a name is being forgotten no token of the unit can be made (a token
// refers to that row), no bundle inserted and no pseudonym given out.

import { identitiesSchema } from '@weir/shared/bundle/layers.ts';
import { ANONYMOUS } from '@weir/shared/domain/principal.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Actor, ActorStore, Erasure, NewActor } from '../actor-store.ts';
import { cutPage, decodeCursor } from '../page.ts';
import { inTransaction, type Pool, type Queryable } from './pool.ts';

interface Row {
  readonly unit: string;
  readonly actor: string;
  readonly name: string;
  readonly created_at: Date;
  readonly erased_at: Date | null;
}

const COLUMNS = 'unit, actor, name, created_at, erased_at';

export function createActorStore(pool: Pool): ActorStore {
  return {
    async ensureActors(unit, names, make) {
      const known = await present(pool, unit, names);
      if (names.every((name) => known.has(name))) return known;
      return inTransaction(pool, (client) => ensure(client, unit, names, make));
    },
    async pseudonymsOf(unit, name) {
      const { rows } = await pool.query<{ actor: string }>(
        `SELECT actor FROM audit_actors WHERE unit = $1 AND name = $2 AND erased_at IS NULL
         ORDER BY created_at DESC, actor`,
        [unit, name],
      );
      return rows.map(({ actor }) => actor);
    },
    async actor(unit, pseudonym) {
      const { rows } = await pool.query<Row>(`SELECT ${COLUMNS} FROM audit_actors WHERE unit = $1 AND actor = $2`, [
        unit,
        pseudonym,
      ]);
      return rows[0] === undefined ? undefined : record(rows[0]);
    },
    async listActors(unit, page) {
      const [after] = decodeCursor(page.cursor, ['string']) ?? [''];
      const { rows } = await pool.query<Row>(
        `SELECT ${COLUMNS} FROM audit_actors WHERE unit = $1 AND actor > $2 ORDER BY actor LIMIT $3`,
        [unit, after, page.size + 1],
      );
      const cut = cutPage(rows, page.size, (last) => [last.actor]);
      return { actors: cut.items.map(record), nextCursor: cut.nextCursor };
    },
    erase: (unit, who, atMs) => inTransaction(pool, (client) => erase(client, unit, who, atMs)),
  };
}

/** The newest pseudonym of each of these names that has one. */
async function present(client: Queryable, unit: string, names: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await client.query<{ name: string; actor: string }>(
    `SELECT DISTINCT ON (name) name, actor FROM audit_actors
     WHERE unit = $1 AND name = ANY ($2::text[]) AND erased_at IS NULL ORDER BY name, created_at DESC, actor`,
    [unit, names],
  );
  return new Map(rows.map(({ name, actor }) => [name, actor]));
}

async function lockUnit(client: Queryable, unit: string): Promise<void> {
  const { rowCount } = await client.query('SELECT 1 FROM units WHERE name = $1 FOR UPDATE', [unit]);
  if (rowCount === 0) throw new WeirError('not_found', 'there is no such unit', { next: 'see `weir unit list`' });
}

async function ensure(
  client: Queryable,
  unit: string,
  names: readonly string[],
  make: (name: string) => NewActor,
): Promise<ReadonlyMap<string, string>> {
  await lockUnit(client, unit);
  const known = await present(client, unit, names);
  // A publisher that was overtaken by an erasure may still ask for the name: only who can come in gets a pseudonym.
  const { rows } = await client.query<{ principal: string }>(
    'SELECT DISTINCT principal FROM unit_tokens WHERE unit = $1 AND principal = ANY ($2::text[])',
    [unit, names],
  );
  const able = new Set([ANONYMOUS, ...rows.map(({ principal }) => principal)]);
  const made = names.filter((name) => able.has(name) && !known.has(name)).map(make);
  if (made.length > 0) {
    await client.query(
      `INSERT INTO audit_actors (unit, actor, name, salt)
       SELECT $1, a.actor, a.name, a.salt FROM unnest($2::text[], $3::text[], $4::bytea[]) AS a (actor, name, salt)`,
      [
        unit,
        made.map(({ pseudonym }) => pseudonym),
        made.map(({ name }) => name),
        made.map(({ salt }) => Buffer.from(salt)),
      ],
    );
  }
  for (const { name, pseudonym } of made) known.set(name, pseudonym);
  return known;
}

async function erase(
  client: Queryable,
  unit: string,
  who: { readonly name: string } | { readonly pseudonym: string },
  atMs: number,
): Promise<Erasure> {
  await lockUnit(client, unit);
  const name = 'name' in who ? who.name : await nameOf(client, unit, who.pseudonym);
  if (name === undefined) return { kind: 'unknown' };
  const tokens = await client.query<{ id: string; good: boolean }>(
    `SELECT id, revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3) AS good
     FROM unit_tokens WHERE unit = $1 AND principal = $2 ORDER BY id`,
    [unit, name, new Date(atMs)],
  );
  const good = tokens.rows.filter((token) => token.good).map(({ id }) => id);
  if (good.length > 0) return { kind: 'in_use', tokens: good };
  const erased = await client.query<{ actor: string }>(
    `UPDATE audit_actors SET name = '', salt = '', erased_at = $3
     WHERE unit = $1 AND name = $2 AND erased_at IS NULL RETURNING actor`,
    [unit, name, new Date(atMs)],
  );
  if (erased.rows.length === 0 && tokens.rows.length === 0) return { kind: 'unknown' };
  await client.query('DELETE FROM unit_tokens WHERE unit = $1 AND principal = $2', [unit, name]);
  await forgetInLayers(client, unit, name);
  return { kind: 'erased', pseudonyms: erased.rows.map(({ actor }) => actor).toSorted(), erasedAtMs: atMs };
}

async function nameOf(client: Queryable, unit: string, pseudonym: string): Promise<string | undefined> {
  const { rows } = await client.query<{ name: string }>(
    'SELECT name FROM audit_actors WHERE unit = $1 AND actor = $2 AND erased_at IS NULL',
    [unit, pseudonym],
  );
  return rows[0]?.name;
}

/**
 * Identities layers of earlier bundles name every principal of their time. Those that name this one lose their bytes; bundles
 * keep their digests, envelopes and order, and no spoke asks for the layers of a bundle that is not the newest. The newest one
 * cannot name it: its tokens are gone, and a bundle without them was published before. Layers of bundles that another
 * publisher was faster with belong to no bundle at all.
 */
async function forgetInLayers(client: Queryable, unit: string, name: string): Promise<void> {
  const { rows } = await client.query<{ digest: string; bytes: Buffer }>(
    `SELECT l.digest, l.bytes FROM layers l
     WHERE position(convert_to($2, 'UTF8') IN l.bytes) > 0
       AND position(convert_to('weir.identities/v1', 'UTF8') IN l.bytes) > 0
       AND NOT EXISTS (SELECT 1 FROM bundle_layers o WHERE o.digest = l.digest AND o.name <> 'identities')
       AND NOT EXISTS (SELECT 1 FROM bundle_layers o JOIN bundles b ON b.digest = o.bundle
         WHERE o.digest = l.digest AND b.unit <> $1)`,
    [unit, JSON.stringify(name)],
  );
  const naming = rows.filter(({ bytes }) => doesName(bytes, unit, name)).map(({ digest }) => digest);
  const current = await client.query<{ digest: string }>(
    `SELECT l.digest FROM bundle_layers l WHERE l.name = 'identities' AND l.bundle = (
       SELECT digest FROM bundles WHERE unit = $1 ORDER BY epoch DESC, version DESC LIMIT 1)`,
    [unit],
  );
  if (current.rows.some(({ digest }) => naming.includes(digest))) {
    throw new WeirError('unavailable', "the unit's newest bundle still names the actor", {
      retry: 'later',
      next: 'a bundle without it could not be published yet; see the log of the hub, then try again',
    });
  }
  await client.query("UPDATE layers SET bytes = '' WHERE digest = ANY ($1::text[])", [naming]);
}

function doesName(bytes: Buffer, unit: string, name: string): boolean {
  const layer = identitiesSchema.safeParse(parsed(bytes));
  return layer.success && layer.data.unit === unit && layer.data.tokens.some(({ principal }) => principal === name);
}

/** Undefined for what is not JSON: the words that were searched for may stand in any layer. */
function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

function record(row: Row): Actor {
  return {
    unit: row.unit,
    pseudonym: row.actor,
    name: row.name,
    createdAtMs: row.created_at.getTime(),
    erasedAtMs: row.erased_at?.getTime() ?? null,
  };
}
