// What happened to a request, in one word. A row tells it by level, mode, outcome and status together; each schema of the
// outside world has its own numbers for it, so the reading is done once, here.

import type { AuditRow } from '@weir/shared/audit/row.ts';

/**
 * - `allowed` let through without an objection that counts
 * - `approved` let through because a signed exception lowered an objection
 * - `filtered` an index was answered with versions taken out of it
 * - `tolerated` an objection was recorded and not acted on (unit in warn or observe mode, or an index that names versions
 *   which are refused only when they are asked for)
 * - `held` refused until somebody approves
 * - `blocked` refused by policy
 * - `unauthorised` refused for want of good credentials
 * - `rejected` refused by the spoke before any policy ran
 * - `failed` refused because something broke
 * - `absent` upstream has no such thing
 * - `none` the row is no request: it tells of the spoke itself
 */
export const EFFECTS = [
  'allowed',
  'approved',
  'filtered',
  'tolerated',
  'held',
  'blocked',
  'unauthorised',
  'rejected',
  'failed',
  'absent',
  'none',
] as const;
export type Effect = (typeof EFFECTS)[number];

/** Outcomes with which the client got what it asked for, whole or in part. */
const GIVEN = /^(?:served|filtered|judged)/;

export function effectOf(row: AuditRow): Effect {
  if (row.action === 'event') return 'none';
  const objected = row.level === 'deny' || row.level === 'pending';
  if (GIVEN.test(row.outcome)) {
    if (row.hidden_count > 0) return 'filtered';
    if (objected) return 'tolerated';
    return row.rules.some(({ exception }) => exception !== '') ? 'approved' : 'allowed';
  }
  if (!row.enforced && objected) return 'tolerated';
  if (row.status === 401) return 'unauthorised';
  if (row.outcome === 'not_found' || row.status === 404) return 'absent';
  if (row.status >= 500) return 'failed';
  if (row.level === 'pending') return 'held';
  if (row.level === 'deny') return row.input === '' && byHost(row) ? 'rejected' : 'blocked';
  return row.status >= 400 ? 'rejected' : 'allowed';
}

/** Whether no policy had a say: the reasons, if any, are the spoke's own. */
function byHost(row: AuditRow): boolean {
  return row.rules.every(({ layer }) => layer === 'host');
}

/** The reason that decided: the highest effective level, the first of equals. */
export function decidingRule(row: AuditRow): AuditRow['rules'][number] | undefined {
  const order = ['deny', 'pending', 'warn', 'allow'] as const;
  for (const level of order) {
    const found = row.rules.find(({ effective }) => effective === level);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** One line for people: what was asked, for what, and how it ended. */
export function messageOf(row: AuditRow): string {
  if (row.action === 'event') {
    return `spoke ${row.spoke}: ${row.outcome}${row.request.target === '' ? '' : ` (${row.request.target})`}`;
  }
  const rule = decidingRule(row);
  const subject = row.subject.purl === '' ? row.request.target || row.request.route : row.subject.purl;
  const reason = rule === undefined ? '' : `, ${rule.rule} ${rule.code}`;
  return `${row.action} ${subject}: ${row.outcome} (${row.level}${reason})`;
}
