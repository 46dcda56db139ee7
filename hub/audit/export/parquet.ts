// Rows as Parquet files: one typed column per member, and the row's own bytes beside them, so that a file can be queried and
// still be checked. A file is written group by group; only one group of rows is ever in memory.

import { ByteWriter, ParquetWriter, type SchemaElement } from 'hyparquet-writer';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import type { LedgerRow } from '../ledger-row.ts';

export const PARQUET_LIMITS = {
  /** Rows in memory at once: one row group. At 16 KiB a row this is 64 MiB at the very most. */
  rowsPerGroup: 4_096,
  /** Rows after which a file ends, a page more at most; an interrupted export goes on after the last whole file. */
  rowsPerFile: 262_144,
} as const;

type ColumnType = 'text' | 'int32' | 'int64' | 'time' | 'bool' | 'bytes' | 'hash' | 'texts';

interface Column {
  readonly name: string;
  readonly type: ColumnType;
  readonly read: (row: AuditRow, entry: LedgerRow) => unknown;
}

function column(name: string, type: ColumnType, read: Column['read']): Column {
  return { name, type, read };
}

/** Columns in order. Only ever added to at the end. */
const COLUMNS: readonly Column[] = [
  column('log', 'text', (row) => row.log),
  column('index', 'int64', (row) => BigInt(row.index)),
  column('leaf', 'hash', (_row, entry) => entry.leaf),
  column('id', 'text', (row) => row.id),
  column('time', 'time', (row) => new Date(row.time)),
  column('stored_at', 'time', (_row, entry) => new Date(entry.storedAtMs)),
  column('unit', 'text', (row) => row.unit),
  column('spoke', 'text', (row) => row.spoke),
  column('site', 'text', (row) => row.site),
  column('actor', 'text', (row) => row.actor.id),
  column('actor_kind', 'text', (row) => row.actor.kind),
  column('ecosystem', 'text', (row) => row.request.ecosystem),
  column('registry', 'text', (row) => row.request.registry),
  column('method', 'text', (row) => row.request.method),
  column('route', 'text', (row) => row.request.route),
  column('client', 'text', (row) => row.request.client),
  column('target', 'text', (row) => row.request.target),
  column('purl', 'text', (row) => row.subject.purl),
  column('digest', 'text', (row) => row.subject.digest),
  column('action', 'text', (row) => row.action),
  column('level', 'text', (row) => row.level),
  column('floor_level', 'text', (row) => row.floor_level),
  column('overlay_level', 'text', (row) => row.overlay_level),
  column('mode', 'text', (row) => row.mode),
  column('enforced', 'bool', (row) => row.enforced),
  column('status', 'int32', (row) => row.status),
  column('outcome', 'text', (row) => row.outcome),
  column('rule_ids', 'texts', (row) => row.rules.map(({ rule }) => rule)),
  column('rules', 'text', (row) => JSON.stringify(row.rules)),
  column('exceptions', 'texts', (row) => [...row.exceptions]),
  column('hidden', 'texts', (row) => [...row.hidden]),
  column('hidden_count', 'int64', (row) => BigInt(row.hidden_count)),
  column('bundle', 'text', (row) => row.bundle),
  column('input', 'text', (row) => row.input),
  column('engine', 'text', (row) => row.engine),
  column('duration_us', 'int64', (row) => BigInt(row.duration_us)),
  column('trace', 'text', (row) => row.trace),
  column('code', 'text', (row) => row.code),
  column('row', 'bytes', (_row, entry) => entry.bytes),
];

/** One Parquet file. Bytes come in pieces; together, in order, they are the file. */
export interface ParquetFile {
  /** A row group; at most `rowsPerGroup` rows. */
  group(entries: readonly LedgerRow[]): Buffer;
  /** The footer, after the last group. */
  end(): Buffer;
}

export function createParquetFile(): ParquetFile {
  const writer = new ByteWriter();
  const file = new ParquetWriter({ writer, schema: [...SCHEMA], createdBy: 'weir' });
  const take = (): Buffer => {
    const bytes = Buffer.from(writer.getBytes());
    writer.index = 0;
    return bytes;
  };
  return {
    group(entries) {
      const columnData = COLUMNS.map(({ name, read }) => ({
        name,
        data: entries.map((entry) => read(entry.row, entry)),
      }));
      void file.write({ columnData, rowGroupSize: PARQUET_LIMITS.rowsPerGroup });
      return take();
    },
    end() {
      void file.finish();
      return take();
    },
  };
}

const ELEMENTS: Readonly<Record<ColumnType, readonly Omit<SchemaElement, 'name'>[]>> = {
  text: [{ type: 'BYTE_ARRAY', converted_type: 'UTF8' }],
  bytes: [{ type: 'BYTE_ARRAY' }],
  hash: [{ type: 'FIXED_LEN_BYTE_ARRAY', type_length: 32 }],
  int32: [{ type: 'INT32' }],
  int64: [{ type: 'INT64' }],
  bool: [{ type: 'BOOLEAN' }],
  time: [{ type: 'INT64', logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' } }],
  texts: [
    { converted_type: 'LIST', num_children: 1 },
    { repetition_type: 'REPEATED', num_children: 1 },
    { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  ],
};
/** Names of the elements below a list, as the format's specification asks for. */
const BELOW = ['list', 'element'] as const;

/** No column is ever null: what a row does not know it says with an empty text. */
function elementsOf(name: string, type: ColumnType): readonly SchemaElement[] {
  return ELEMENTS[type].map((element, depth) => ({
    name: depth === 0 ? name : (BELOW[depth - 1] ?? ''),
    repetition_type: 'REQUIRED',
    ...element,
  }));
}

const SCHEMA: readonly SchemaElement[] = [
  { name: 'rows', num_children: COLUMNS.length },
  ...COLUMNS.flatMap(({ name, type }) => elementsOf(name, type)),
];
