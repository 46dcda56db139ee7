// Rows as CSV (RFC 4180): a header, CRLF line ends, every cell quoted that needs it. Spreadsheets run a cell as a formula when
// it begins with = + - @ tab or CR, so such a cell gets an apostrophe in front: whoever reads the file by program takes one
// leading apostrophe off a cell whose second character is one of these. Numbers written by this file are never negative.

import type { AuditRow } from '@weir/shared/audit/row.ts';
import type { LedgerRow } from '../ledger-row.ts';

type Cell = string | number | boolean;

/** Columns in order. Only ever added to at the end. */
const COLUMNS: readonly (readonly [name: string, read: (row: AuditRow, entry: LedgerRow) => Cell])[] = [
  ['log', (row) => row.log],
  ['index', (row) => row.index],
  ['leaf', (_row, entry) => entry.leaf.toString('hex')],
  ['id', (row) => row.id],
  ['time', (row) => row.time],
  ['stored_at', (_row, entry) => new Date(entry.storedAtMs).toISOString()],
  ['unit', (row) => row.unit],
  ['spoke', (row) => row.spoke],
  ['site', (row) => row.site],
  ['actor', (row) => row.actor.id],
  ['actor_kind', (row) => row.actor.kind],
  ['ecosystem', (row) => row.request.ecosystem],
  ['registry', (row) => row.request.registry],
  ['method', (row) => row.request.method],
  ['route', (row) => row.request.route],
  ['client', (row) => row.request.client],
  ['target', (row) => row.request.target],
  ['purl', (row) => row.subject.purl],
  ['digest', (row) => row.subject.digest],
  ['action', (row) => row.action],
  ['level', (row) => row.level],
  ['floor_level', (row) => row.floor_level],
  ['overlay_level', (row) => row.overlay_level],
  ['mode', (row) => row.mode],
  ['enforced', (row) => row.enforced],
  ['status', (row) => row.status],
  ['outcome', (row) => row.outcome],
  ['rules', (row) => row.rules.map(({ rule }) => rule).join(' ')],
  ['exceptions', (row) => row.exceptions.join(' ')],
  ['hidden_count', (row) => row.hidden_count],
  ['bundle', (row) => row.bundle],
  ['input', (row) => row.input],
  ['engine', (row) => row.engine],
  ['duration_us', (row) => row.duration_us],
  ['trace', (row) => row.trace],
  ['code', (row) => row.code],
];

export const CSV_HEADER = `${COLUMNS.map(([name]) => name).join(',')}\r\n`;

export function csvLine(entry: LedgerRow): string {
  return `${COLUMNS.map(([, read]) => csvCell(read(entry.row, entry))).join(',')}\r\n`;
}

/** One cell, quoted where RFC 4180 asks for it and defused where a spreadsheet would compute it. */
export function csvCell(value: Cell): string {
  if (typeof value !== 'string') return String(value);
  const defused = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(defused) ? `"${defused.replaceAll('"', '""')}"` : defused;
}
