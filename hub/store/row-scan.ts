// Rows with all that stands beside them, in runs by index, as raw as the database gives them: for checks that must not
// believe anything. Whoever reads a run decides what is wrong with it.

/** Rows [from, until) of one log as they are stored: possibly too few, too many, or with columns that say something else. */
export interface RawRows {
  readonly log: string;
  readonly from: number;
  readonly until: number;
  /** Tuples of PostgreSQL's binary COPY format without its header: see `readRawRows`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface RawRow {
  readonly index: number;
  /** As in the column, unix milliseconds (with a fraction when it is not whole). */
  readonly eventTimeMs: number;
  readonly bytes: Buffer;
  readonly leaf: Buffer;
  /** Columns unit, spoke, actor, purl, level (its rank), rules (with spaces), code, action, outcome. */
  readonly columns: readonly string[];
}

export const RAW_COLUMNS = ['unit', 'spoke', 'actor', 'purl', 'level', 'rules', 'code', 'action', 'outcome'] as const;

export interface RowScan {
  /** Stored rows of a log with an index in [from, until), by index. */
  rows(log: string, from: number, until: number): Promise<RawRows>;
  /** The smallest index at or after `from` that a row of the log has, undefined when there is none. */
  firstIndex(log: string, from: number): Promise<number | undefined>;
  /** Ids of logs that rows name, by id, those after `after`. */
  logsOfRows(after: string, limit: number): Promise<readonly string[]>;
}

/** Unix milliseconds of 2000-01-01, where Postgres counts from. */
const POSTGRES_EPOCH_MS = 946_684_800_000;
const TWO_32 = 2 ** 32;

/** One row after the other, as views of `raw.bytes`. */
export function* readRawRows(raw: RawRows): Generator<RawRow> {
  const { bytes } = raw;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < buffer.length; ) {
    // Two bytes: how many columns; then each column after its length.
    let start = at + 2 + 4;
    const index = readInt64(buffer, start);
    start += 8 + 4;
    const eventTimeMs = readInt64(buffer, start) / 1000 + POSTGRES_EPOCH_MS;
    start += 8;
    const row = column(buffer, start);
    const leaf = column(buffer, row.end);
    const columns = column(buffer, leaf.end);
    yield {
      index,
      eventTimeMs,
      bytes: row.bytes,
      leaf: leaf.bytes,
      columns: columns.bytes.toString('latin1').split('\n'),
    };
    at = columns.end;
  }
}

function column(buffer: Buffer, at: number): { readonly bytes: Buffer; readonly end: number } {
  const end = at + 4 + buffer.readInt32BE(at);
  return { bytes: buffer.subarray(at + 4, end), end };
}

function readInt64(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at) * TWO_32 + buffer.readUInt32BE(at + 4);
}
