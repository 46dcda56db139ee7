// A stored audit row for people: one line; as JSON the row itself inside its place in the ledger; or as one line of CSV.

import type { StoredRow } from '@weir/proto/weir/console/v1/console_pb.ts';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import { LINE_ENCODERS } from '../audit/export/formats.ts';
import { ledgerRow } from '../audit/ledger-row.ts';
import { instant, printable } from './output.ts';

const FLAG_WORDS: Readonly<Record<string, string>> = {
  ahead: 'clock ahead of the hub',
  backwards: 'clock went backwards',
};

/** Stored much later than it happened: worth seeing on the line. */
const LATE_MS = 60_000;

/** The hub verified the row's bytes when they came in. */
export function rowOf(stored: StoredRow): AuditRow {
  return JSON.parse(Buffer.from(stored.row).toString('utf8')) as AuditRow;
}

export function rowJson(stored: StoredRow): object {
  return {
    log: stored.log,
    index: Number(stored.index),
    stored_at_ms: Number(stored.storedAtMs),
    flags: stored.flags,
    leaf: Buffer.from(stored.leaf).toString('base64'),
    row: rowOf(stored),
  };
}

export const CSV_HEAD = LINE_ENCODERS.csv.head;

export function rowCsv(stored: StoredRow): string {
  return LINE_ENCODERS.csv.line(ledgerRow({ bytes: stored.row, storedAtMs: Number(stored.storedAtMs) }));
}

export function rowLine(stored: StoredRow): string {
  const row = rowOf(stored);
  const subject = row.subject.purl === '' ? row.request.target : row.subject.purl;
  const rules = row.rules.filter((rule) => rule.effective !== 'allow').map((rule) => rule.rule);
  return printable(
    [
      row.time,
      row.level.padEnd(7),
      row.outcome.padEnd(10),
      `${row.unit}/${row.spoke}`,
      row.action,
      subject === '' ? '-' : subject,
      row.hidden_count > 0 ? `hidden:${row.hidden_count}` : '',
      rules.join(','),
      row.code,
      storedText(stored, row),
      ...stored.flags.map((flag) => `[${flagWords(flag)}]`),
    ]
      .filter((part) => part !== '')
      .join('  '),
  );
}

export function flagWords(flag: string): string {
  return FLAG_WORDS[flag] ?? flag;
}

/** When the hub stored it, where that is not about when it happened. */
function storedText(stored: StoredRow, row: AuditRow): string {
  const late = Math.abs(Number(stored.storedAtMs) - Date.parse(row.time)) > LATE_MS;
  return late || stored.flags.length > 0 ? `stored ${instant(stored.storedAtMs)}` : '';
}
