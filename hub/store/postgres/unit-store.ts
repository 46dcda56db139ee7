// Units in Postgres.

import { settingsSchema } from '@weir/shared/bundle/layers.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { UnitRecord, UnitStore } from '../unit-store.ts';
import { type Pool, sqlState, UNIQUE_VIOLATION } from './pool.ts';

interface Row {
  readonly name: string;
  readonly settings: unknown;
  readonly salt: Buffer;
  readonly created_at: Date;
}

const COLUMNS = 'name, settings, salt, created_at';

export function createUnitStore(pool: Pool): UnitStore {
  return {
    async insertUnit({ name, settings, salt }) {
      try {
        const { rows } = await pool.query<Row>(
          `INSERT INTO units (name, settings, salt) VALUES ($1, $2, $3) RETURNING ${COLUMNS}`,
          [name, settings, salt],
        );
        return record(rows[0]);
      } catch (thrown) {
        if (sqlState(thrown) !== UNIQUE_VIOLATION) throw thrown;
        throw new WeirError('conflict', `unit ${name} exists already`, { cause: thrown, next: 'choose another name' });
      }
    },
    async unit(name) {
      const { rows } = await pool.query<Row>(`SELECT ${COLUMNS} FROM units WHERE name = $1`, [name]);
      return rows[0] === undefined ? undefined : record(rows[0]);
    },
    async listUnits() {
      const { rows } = await pool.query<Row>(`SELECT ${COLUMNS} FROM units ORDER BY name`);
      return rows.map(record);
    },
    async updateSettings(name, settings) {
      const { rows } = await pool.query<Row>(`UPDATE units SET settings = $2 WHERE name = $1 RETURNING ${COLUMNS}`, [
        name,
        settings,
      ]);
      return rows[0] === undefined ? undefined : record(rows[0]);
    },
  };
}

function record(row: Row | undefined): UnitRecord {
  if (row === undefined) throw new WeirError('internal', 'the database returned no row');
  return {
    name: row.name,
    settings: settingsSchema.parse(row.settings),
    salt: new Uint8Array(row.salt),
    createdAtMs: row.created_at.getTime(),
  };
}
