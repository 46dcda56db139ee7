// Policy sources and documents in Postgres. Versions are counted under a lock per scope, so that they have no gaps.

import type { LayerRef } from '@weir/shared/bundle/manifest.ts';
import type { Digest } from '@weir/shared/domain/digest.ts';
import type { JsonObject } from '@weir/shared/domain/json.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { cutPage, decodeCursor } from '../page.ts';
import type {
  DocumentKind,
  NewPolicy,
  PolicyDocument,
  PolicyScope,
  PolicyStore,
  PolicyVersion,
} from '../policy-store.ts';
import { inTransaction, type Pool, type Queryable } from './pool.ts';

interface Row {
  readonly version: number;
  readonly digest: Digest;
  readonly layers: LayerRef[];
  readonly facts: JsonObject;
  readonly rules: number;
  readonly note: string;
  readonly published_by: string;
  readonly published_at: Date;
}

interface DocumentRow {
  readonly kind: DocumentKind;
  readonly version: number;
  readonly digest: Digest;
  readonly size: number;
  readonly published_by: string;
  readonly published_at: Date;
}

const COLUMNS = 'version, digest, layers, facts, rules, note, published_by, published_at';
const DOCUMENT_COLUMNS = 'kind, version, digest, size, published_by, published_at';

export function createPolicyStore(pool: Pool): PolicyStore {
  return {
    insertSources: (policy) => inTransaction(pool, (client) => insertSources(client, policy)),
    async latest(scope) {
      const { rows } = await pool.query<Row>(
        `SELECT ${COLUMNS} FROM policy_versions WHERE kind = $1 AND unit = $2 ORDER BY version DESC LIMIT 1`,
        [scope.kind, unitOf(scope)],
      );
      return rows[0] === undefined ? undefined : versionOf(scope, rows[0]);
    },
    async list(scope, page) {
      const [before] = decodeCursor(page.cursor, ['number']) ?? [null];
      const { rows } = await pool.query<Row>(
        `SELECT ${COLUMNS} FROM policy_versions
         WHERE kind = $1 AND unit = $2 AND ($3::integer IS NULL OR version < $3) ORDER BY version DESC LIMIT $4`,
        [scope.kind, unitOf(scope), before, page.size + 1],
      );
      const cut = cutPage(rows, page.size, (last) => [last.version]);
      return { versions: cut.items.map((row) => versionOf(scope, row)), nextCursor: cut.nextCursor };
    },
    async read(scope, version) {
      const { rows } = await pool.query<{ path: string; content: Buffer }>(
        `SELECT path, content FROM policy_files
         WHERE kind = $1 AND unit = $2 AND version = CASE WHEN $3 > 0 THEN $3::integer
           ELSE (SELECT max(version) FROM policy_versions WHERE kind = $1 AND unit = $2) END
         ORDER BY path`,
        [scope.kind, unitOf(scope), version],
      );
      return rows.length === 0 ? undefined : rows;
    },
    insertDocument: ({ kind, digest, size, by }) =>
      inTransaction(pool, async (client) => {
        await lock(client, `document/${kind}`);
        const { rows } = await client.query<DocumentRow>(
          `INSERT INTO policy_documents (kind, version, digest, size, published_by)
           SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4 FROM policy_documents WHERE kind = $1
           RETURNING ${DOCUMENT_COLUMNS}`,
          [kind, digest, size, by],
        );
        return documentOf(rows[0]);
      }),
    async latestDocument(kind) {
      const { rows } = await pool.query<DocumentRow>(
        `SELECT ${DOCUMENT_COLUMNS} FROM policy_documents WHERE kind = $1 ORDER BY version DESC LIMIT 1`,
        [kind],
      );
      return rows[0] === undefined ? undefined : documentOf(rows[0]);
    },
  };
}

async function insertSources(client: Queryable, policy: NewPolicy): Promise<PolicyVersion> {
  const unit = unitOf(policy.scope);
  if (unit !== '') {
    const { rowCount } = await client.query('SELECT 1 FROM units WHERE name = $1', [unit]);
    if (rowCount === 0) throw new WeirError('not_found', `there is no unit ${unit}`);
  }
  await lock(client, `${policy.scope.kind}/${unit}`);
  const { rows } = await client.query<Row>(
    `INSERT INTO policy_versions (kind, unit, version, digest, layers, facts, rules, note, published_by)
     SELECT $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5, $6, $7, $8
     FROM policy_versions WHERE kind = $1 AND unit = $2 RETURNING ${COLUMNS}`,
    [
      policy.scope.kind,
      unit,
      policy.digest,
      JSON.stringify(policy.layers),
      policy.facts,
      policy.rules,
      policy.note,
      policy.by,
    ],
  );
  const [row] = rows;
  if (row === undefined) throw new WeirError('internal', 'the database returned no row');
  await client.query(
    `INSERT INTO policy_files (kind, unit, version, path, content)
     SELECT $1, $2, $3, file.path, file.content FROM unnest($4::text[], $5::bytea[]) AS file (path, content)`,
    [
      policy.scope.kind,
      unit,
      row.version,
      policy.files.map((file) => file.path),
      policy.files.map((file) => Buffer.from(file.content)),
    ],
  );
  return versionOf(policy.scope, row);
}

async function lock(client: Queryable, scope: string): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`weir/policy/${scope}`]);
}

function unitOf(scope: PolicyScope): string {
  return scope.kind === 'floor' ? '' : scope.unit;
}

function versionOf(scope: PolicyScope, row: Row): PolicyVersion {
  return {
    scope,
    version: row.version,
    digest: row.digest,
    layers: row.layers,
    facts: row.facts,
    rules: row.rules,
    note: row.note,
    by: row.published_by,
    publishedAtMs: row.published_at.getTime(),
  };
}

function documentOf(row: DocumentRow | undefined): PolicyDocument {
  if (row === undefined) throw new WeirError('internal', 'the database returned no row');
  return {
    kind: row.kind,
    version: row.version,
    digest: row.digest,
    size: row.size,
    by: row.published_by,
    publishedAtMs: row.published_at.getTime(),
  };
}
