// Bundles and layers in Postgres. A unit's row is the lock under which its next bundle is inserted, and the notification
// that other replicas listen to leaves with the commit.

import type { LayerName, LayerRef } from '@weir/shared/bundle/manifest.ts';
import type { Digest } from '@weir/shared/domain/digest.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { BundleRecord, BundleStore, StoredBundle } from '../bundle-store.ts';
import { cutPage, decodeCursor } from '../page.ts';
import { inTransaction, type Pool, type Queryable } from './pool.ts';

/** Channel of bundle notifications; the payload is the unit's name. */
export const BUNDLE_CHANNEL = 'weir_bundles';

interface Row {
  readonly digest: Digest;
  readonly unit: string;
  readonly epoch: number;
  readonly version: number;
  readonly prev: Digest | null;
  readonly issued_at: number;
  readonly expires: number;
  readonly layers: { name: LayerName; media_type: string; digest: Digest; size: number }[];
}

const COLUMNS = `b.digest, b.unit, b.epoch, b.version, b.prev, b.issued_at, b.expires,
  (SELECT coalesce(jsonb_agg(jsonb_build_object('name', l.name, 'media_type', l.media_type, 'digest', l.digest, 'size', l.size)
     ORDER BY l.position), '[]') FROM bundle_layers l WHERE l.bundle = b.digest) AS layers`;

/** No layer is empty: one without bytes named somebody who was erased since, and is kept for its digest alone. */
const KEPT = 'octet_length(bytes) > 0';

export function createBundleStore(pool: Pool): BundleStore {
  return {
    async putLayer(digest, bytes) {
      await pool.query('INSERT INTO layers (digest, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
        digest,
        Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
      ]);
    },
    async readLayer(digest, offset, limit) {
      const { rows } = await pool.query<{ part: Buffer }>(
        `SELECT substring(bytes FROM ($2::bigint + 1)::integer FOR $3::integer) AS part
         FROM layers WHERE digest = $1 AND ${KEPT}`,
        [digest, offset, limit],
      );
      return rows[0]?.part;
    },
    async layerSize(digest) {
      const { rows } = await pool.query<{ size: number }>(
        `SELECT octet_length(bytes)::bigint AS size FROM layers WHERE digest = $1 AND ${KEPT}`,
        [digest],
      );
      return rows[0]?.size;
    },
    insertBundle: (bundle) => inTransaction(pool, (client) => insert(client, bundle)),
    async currentBundle(unit) {
      const { rows } = await pool.query<Row & { envelope: Buffer }>(
        `SELECT ${COLUMNS}, b.envelope FROM bundles b WHERE b.unit = $1 ORDER BY b.epoch DESC, b.version DESC LIMIT 1`,
        [unit],
      );
      return rows[0] === undefined ? undefined : stored(rows[0]);
    },
    async bundleByDigest(digest) {
      const { rows } = await pool.query<Row & { envelope: Buffer }>(
        `SELECT ${COLUMNS}, b.envelope FROM bundles b WHERE b.digest = $1`,
        [digest],
      );
      return rows[0] === undefined ? undefined : stored(rows[0]);
    },
    async listBundles(unit, page) {
      const [at, before] = decodeCursor(page.cursor, ['number', 'string']) ?? [null, null];
      const { rows } = await pool.query<Row>(
        `SELECT ${COLUMNS} FROM bundles b
         WHERE ($1 = '' OR b.unit = $1) AND ($2::bigint IS NULL OR (b.issued_at, b.digest) < ($2, $3::text))
         ORDER BY b.issued_at DESC, b.digest DESC LIMIT $4`,
        [unit, at, before, page.size + 1],
      );
      const cut = cutPage(rows, page.size, (last) => [last.issued_at, last.digest]);
      return { bundles: cut.items.map(record), nextCursor: cut.nextCursor };
    },
  };
}

async function insert(client: Queryable, bundle: StoredBundle): Promise<'inserted' | 'conflict'> {
  const unit = await client.query('SELECT 1 FROM units WHERE name = $1 FOR UPDATE', [bundle.unit]);
  if (unit.rowCount === 0) throw new WeirError('not_found', `there is no unit ${bundle.unit}`);
  const { rows } = await client.query<{ digest: Digest; epoch: number; version: number }>(
    'SELECT digest, epoch, version FROM bundles WHERE unit = $1 ORDER BY epoch DESC, version DESC LIMIT 1',
    [bundle.unit],
  );
  const current = rows[0];
  if ((current?.digest ?? null) !== bundle.prev) return 'conflict';
  const above =
    current === undefined ||
    bundle.epoch > current.epoch ||
    (bundle.epoch === current.epoch && bundle.version > current.version);
  if (!above) return 'conflict';
  await client.query(
    `INSERT INTO bundles (digest, unit, epoch, version, prev, issued_at, expires, envelope)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      bundle.digest,
      bundle.unit,
      bundle.epoch,
      bundle.version,
      bundle.prev,
      bundle.issuedAt,
      bundle.expires,
      Buffer.from(bundle.envelope),
    ],
  );
  for (const [position, layer] of bundle.layers.entries()) {
    await client.query(
      `INSERT INTO bundle_layers (bundle, position, name, media_type, digest, size) VALUES ($1, $2, $3, $4, $5, $6)`,
      [bundle.digest, position, layer.name, layer.media_type, layer.digest, layer.size],
    );
  }
  await client.query('SELECT pg_notify($1, $2)', [BUNDLE_CHANNEL, bundle.unit]);
  return 'inserted';
}

function record(row: Row): BundleRecord {
  return {
    unit: row.unit,
    epoch: row.epoch,
    version: row.version,
    digest: row.digest,
    prev: row.prev,
    issuedAt: row.issued_at,
    expires: row.expires,
    layers: row.layers satisfies LayerRef[],
  };
}

function stored(row: Row & { readonly envelope: Buffer }): StoredBundle {
  return { ...record(row), envelope: row.envelope };
}
