// A row's members out of its bytes, by the quick way or the careful one; bytes that ingest would refuse are refused here too.

import { recheckRow } from '@weir/shared/audit/recheck-row.ts';
import { readRow } from '@weir/shared/audit/row-codec.ts';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import { type ScannedRow, scanRow } from '@weir/shared/audit/scan-row.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

/** Throws `too_large` or `invalid_argument` for bytes that are no sound row. */
export function soundRow(bytes: Uint8Array): ScannedRow {
  const scanned = scanRow(bytes);
  if (scanned !== undefined) return scanned;
  const row = readRow(bytes);
  const faults = recheckRow(row);
  if (faults.length > 0) throw new WeirError('invalid_argument', faults.join('; '));
  return membersOf(row);
}

/** What the store keeps beside a row's bytes. */
export function membersOf(row: AuditRow): ScannedRow {
  return {
    log: row.log,
    index: row.index,
    unit: row.unit,
    spoke: row.spoke,
    eventTimeMs: Date.parse(row.time),
    actor: row.actor.id,
    purl: row.subject.purl,
    level: row.level,
    rules: [...new Set(row.rules.map(({ rule }) => rule))],
    code: row.code,
    action: row.action,
    outcome: row.outcome,
  };
}
