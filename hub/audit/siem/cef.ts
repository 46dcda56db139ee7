// A row as one line of ArcSight's Common Event Format, version 0. The header escapes backslash and pipe, extension values
// backslash, equals sign and line breaks; everything is one line whatever the row holds.

import type { AuditRow } from '@weir/shared/audit/row.ts';
import type { LedgerRow } from '../ledger-row.ts';
import { decidingRule, type Effect, effectOf, messageOf } from './effect.ts';
import { packageOf } from './package-of.ts';
import { PRODUCT, VENDOR } from './product.ts';
import { type Severity, severityOf } from './severity.ts';

/** CEF's scale is 0 to 10: 0–3 low, 4–6 medium, 7–8 high, 9–10 very high. */
const SEVERITY: Readonly<Record<Severity, number>> = { informational: 1, low: 3, medium: 6, high: 8 };

const OUTCOME: Readonly<Record<Effect, string>> = {
  allowed: 'success',
  approved: 'success',
  filtered: 'success',
  tolerated: 'success',
  held: 'failure',
  blocked: 'failure',
  unauthorised: 'failure',
  rejected: 'failure',
  failed: 'failure',
  absent: 'failure',
  none: 'unknown',
};

/** Longest extension value in characters; what is cut ends in an ellipsis, and the row has the whole text. */
const VALUE_CHARS_MAX = 1023;

/** `CEF:0|…` without a line end. */
export function cefOf(entry: LedgerRow): string {
  const { row } = entry;
  const deciding = decidingRule(row);
  const header = ['CEF:0', VENDOR, PRODUCT, row.engine, deciding?.rule ?? row.outcome, headline(row)].map(headerText);
  return `${header.join('|')}|${SEVERITY[severityOf(row)]}|${extension(entry)}`;
}

function headline(row: AuditRow): string {
  return row.action === 'event' ? `spoke ${row.outcome}` : `${row.action} ${row.outcome}`;
}

function extension(entry: LedgerRow): string {
  const { row, leaf, storedAtMs } = entry;
  const subject = packageOf(row);
  const deciding = decidingRule(row);
  const pairs: readonly (readonly [key: string, value: string])[] = [
    ['rt', String(Date.parse(row.time))],
    ['art', String(storedAtMs)],
    ['externalId', row.id],
    ['cat', row.action],
    ['act', effectOf(row)],
    ['outcome', OUTCOME[effectOf(row)]],
    ['reason', deciding === undefined ? '' : `${deciding.rule} ${deciding.code}`],
    ['msg', messageOf(row)],
    ['suid', row.actor.id],
    ['spriv', row.actor.kind],
    ['dvchost', row.spoke],
    ['deviceExternalId', `${row.unit}/${row.spoke}`],
    ['requestMethod', row.request.method],
    ['requestClientApplication', row.request.client],
    ['app', row.request.registry],
    ['fname', row.request.target],
    ['fileHash', row.subject.digest],
    ['cs1Label', 'purl'],
    ['cs1', subject?.purl ?? ''],
    ['cs2Label', 'level'],
    ['cs2', row.level],
    ['cs3Label', 'unit'],
    ['cs3', row.unit],
    ['cs4Label', 'requestCode'],
    ['cs4', row.code],
    ['cs5Label', 'log'],
    ['cs5', row.log],
    ['cs6Label', 'leaf'],
    ['cs6', leaf.toString('hex')],
    ['cn1Label', 'index'],
    ['cn1', String(row.index)],
    ['cn2Label', 'status'],
    ['cn2', String(row.status)],
    ['cn3Label', 'hiddenCount'],
    ['cn3', String(row.hidden_count)],
    ['flexString1Label', 'mode'],
    ['flexString1', row.mode],
    ['flexString2Label', 'bundle'],
    ['flexString2', row.bundle],
  ];
  // A label without its value says nothing.
  const given = pairs.filter(([key, value]) =>
    key.endsWith('Label') ? pairs.some(([other, text]) => `${other}Label` === key && text !== '') : value !== '',
  );
  return given.map(([key, value]) => `${key}=${extensionText(value)}`).join(' ');
}

function headerText(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\u2028\u2029]/gu, ' ')
    .replaceAll('\\', '\\\\')
    .replaceAll('|', '\\|');
}

function extensionText(text: string): string {
  const cut = text.length > VALUE_CHARS_MAX ? `${text.slice(0, VALUE_CHARS_MAX - 1)}…` : text;
  return cut
    .toWellFormed()
    .replaceAll('\\', '\\\\')
    .replaceAll('=', '\\=')
    .replaceAll(/\r\n|\n|\u2028|\u2029|\u0085/g, '\\n')
    .replaceAll('\r', '\\r')
    .replaceAll(/\p{Cc}/gu, ' ');
}
