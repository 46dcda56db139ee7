// The formats in which rows leave the ledger, and for those that are lines the way one row is written. The native format is
// the record; all others are readings of it.

import { cefOf } from '../siem/cef.ts';
import { ecsOf } from '../siem/ecs.ts';
import { ocsfOf } from '../siem/ocsf.ts';
import type { LedgerRow } from '../ledger-row.ts';
import { CSV_HEADER, csvLine } from './csv.ts';

export const LINE_FORMATS = ['jsonl', 'csv', 'ocsf', 'ecs', 'cef'] as const;
export type LineFormat = (typeof LINE_FORMATS)[number];

export const EXPORT_FORMATS = [...LINE_FORMATS, 'parquet'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export interface LineEncoder {
  /** Before the first row; '' for most. */
  readonly head: string;
  /** One row, with its line end. */
  readonly line: (entry: LedgerRow) => string;
  readonly contentType: string;
}

export const LINE_ENCODERS: Readonly<Record<LineFormat, LineEncoder>> = {
  jsonl: { head: '', line: (entry) => `${textOf(entry)}\n`, contentType: 'application/x-ndjson' },
  csv: { head: CSV_HEADER, line: csvLine, contentType: 'text/csv; charset=utf-8' },
  ocsf: { head: '', line: (entry) => `${JSON.stringify(ocsfOf(entry))}\n`, contentType: 'application/x-ndjson' },
  ecs: { head: '', line: (entry) => `${JSON.stringify(ecsOf(entry))}\n`, contentType: 'application/x-ndjson' },
  cef: { head: '', line: (entry) => `${cefOf(entry)}\n`, contentType: 'text/plain; charset=utf-8' },
};

/** The row's own bytes: canonical JSON has no line breaks, so a line is the record, byte for byte. */
function textOf({ bytes }: LedgerRow): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
