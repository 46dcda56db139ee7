// A stored audit row for people: one line, or as JSON the row itself inside its place in the ledger.

import type { StoredRow } from '@weir/proto/weir/console/v1/console_pb.ts';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import { printable } from './output.ts';

/** The hub verified the row's bytes when they came in. */
export function rowOf(stored: StoredRow): AuditRow {
  return JSON.parse(Buffer.from(stored.row).toString('utf8')) as AuditRow;
}

export function rowJson(stored: StoredRow): unknown {
  return { log: stored.log, index: Number(stored.index), stored_at_ms: Number(stored.storedAtMs), row: rowOf(stored) };
}

export function rowLine(row: AuditRow): string {
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
    ]
      .filter((part) => part !== '')
      .join('  '),
  );
}
