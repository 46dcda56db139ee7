// A decision with very much to say must still fit one row: what is listed for convenience gives way, what explains the
// decision (rules, levels, counts) never does.

import { rowText } from '@weir/shared/audit/row-codec.ts';
import { HIDDEN_MAX } from '@weir/shared/audit/row-schema.ts';
import { type AuditRow, ROW_BYTES_MAX } from '@weir/shared/audit/row.ts';

/** Left in place of facts that did not fit. */
export const FACTS_LEFT_OUT = { left_out: true } as const;

/** The same row, small enough: first fewer `hidden` versions, then the largest facts left out. Unchanged when it fits. */
export function fitRow(row: AuditRow): AuditRow {
  let fitted = row.hidden.length > HIDDEN_MAX ? { ...row, hidden: row.hidden.slice(0, HIDDEN_MAX) } : row;
  while (fitted.hidden.length > 0 && bytesOf(fitted) > ROW_BYTES_MAX) {
    fitted = { ...fitted, hidden: fitted.hidden.slice(0, Math.floor(fitted.hidden.length / 2)) };
  }
  while (bytesOf(fitted) > ROW_BYTES_MAX) {
    const sizes = fitted.rules.map((rule) => JSON.stringify(rule.facts).length);
    const largest = sizes.indexOf(Math.max(...sizes));
    if (largest < 0 || fitted.rules[largest]?.facts === FACTS_LEFT_OUT) return fitted;
    const rules = fitted.rules.map((rule, at) => (at === largest ? { ...rule, facts: FACTS_LEFT_OUT } : rule));
    fitted = { ...fitted, rules };
  }
  return fitted;
}

function bytesOf(row: AuditRow): number {
  return Buffer.byteLength(rowText(row), 'utf8');
}
