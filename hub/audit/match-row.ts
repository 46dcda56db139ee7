// Does a row match a filter? The same question that the store answers in SQL, for rows that are followed as they come.

import type { AuditRow } from '@weir/shared/audit/row.ts';
import type { RowFilter } from '../store/audit-store.ts';

export function matchesFilter(row: AuditRow, filter: RowFilter): boolean {
  const { purl } = filter;
  const at = Date.parse(row.time);
  return (
    is(filter.unit, row.unit) &&
    is(filter.spoke, row.spoke) &&
    (filter.actors === undefined || filter.actors.includes(row.actor.id)) &&
    is(filter.level, row.level) &&
    is(filter.code, row.code) &&
    is(filter.log, row.log) &&
    is(filter.action, row.action) &&
    is(filter.outcome, row.outcome) &&
    (filter.rule === undefined || row.rules.some(({ rule }) => rule === filter.rule)) &&
    (purl?.endsWith('*') === true ? row.subject.purl.startsWith(purl.slice(0, -1)) : is(purl, row.subject.purl)) &&
    at >= (filter.fromMs ?? Number.NEGATIVE_INFINITY) &&
    at < (filter.untilMs ?? Number.POSITIVE_INFINITY)
  );
}

function is(wanted: string | undefined, found: string): boolean {
  return wanted === undefined || wanted === found;
}
