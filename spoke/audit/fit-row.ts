// A decision with very much to say must still fit one row: what is listed for convenience gives way first, then the facts,
// then reasons that change nothing. The levels, the reasons that make them, and the counts never do.

import { rowText } from '@weir/shared/audit/row-codec.ts';
import { HIDDEN_MAX, RULES_MAX } from '@weir/shared/audit/row-schema.ts';
import { type AuditRow, ROW_BYTES_MAX, type RowRule } from '@weir/shared/audit/row.ts';
import { rank } from '@weir/shared/domain/level.ts';

/** Left in place of facts that did not fit. */
export const FACTS_LEFT_OUT = { left_out: true } as const;

/** The same row, small enough. Unchanged when it fits. */
export function fitRow(row: AuditRow): AuditRow {
  let fitted = row;
  if (row.hidden.length > HIDDEN_MAX) fitted = { ...fitted, hidden: row.hidden.slice(0, HIDDEN_MAX) };
  if (row.rules.length > RULES_MAX) fitted = { ...fitted, rules: weightiest(row.rules, RULES_MAX) };
  while (isTooLarge(fitted) && fitted.hidden.length > 0) {
    fitted = { ...fitted, hidden: fitted.hidden.slice(0, Math.floor(fitted.hidden.length / 2)) };
  }
  while (isTooLarge(fitted)) {
    const rules = withoutLargestFacts(fitted.rules);
    if (rules === undefined) break;
    fitted = { ...fitted, rules };
  }
  while (isTooLarge(fitted) && fitted.rules.length > LAYERS) {
    fitted = { ...fitted, rules: weightiest(fitted.rules, Math.max(LAYERS, Math.floor(fitted.rules.length / 2))) };
  }
  return fitted;
}

/** floor, overlay, host: one reason of each is always kept. */
const LAYERS = 3;

/** At most `count` reasons: the highest of each layer, then the highest of all, in their order. */
function weightiest(rules: readonly RowRule[], count: number): readonly RowRule[] {
  const byWeight = rules.toSorted((a, b) => rank(b.effective) - rank(a.effective));
  const kept = new Set<RowRule>();
  for (const layer of ['floor', 'overlay', 'host'] as const) {
    const first = byWeight.find((rule) => rule.layer === layer);
    if (first !== undefined) kept.add(first);
  }
  for (const rule of byWeight) if (kept.size < count) kept.add(rule);
  return rules.filter((rule) => kept.has(rule));
}

function withoutLargestFacts(rules: readonly RowRule[]): readonly RowRule[] | undefined {
  let largest = -1;
  let size = JSON.stringify(FACTS_LEFT_OUT).length;
  for (const [at, rule] of rules.entries()) {
    const { length } = JSON.stringify(rule.facts);
    if (length > size) {
      size = length;
      largest = at;
    }
  }
  return largest < 0
    ? undefined
    : rules.map((rule, at) => (at === largest ? { ...rule, facts: FACTS_LEFT_OUT } : rule));
}

function isTooLarge(row: AuditRow): boolean {
  return Buffer.byteLength(rowText(row), 'utf8') > ROW_BYTES_MAX;
}
