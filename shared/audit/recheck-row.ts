// Is a row's level explained by its own rules? Anyone who holds a row can ask this without the policy: the level must be
// the highest effective level of the reasons, and no effective level may fall below its rule's without naming an exception.

import { type Level, join, rank } from '../domain/level.ts';
import { requestCodeOf } from '../domain/request-code.ts';
import type { AuditRow } from './row.ts';

/** Faults of a row's explanation as sentences; empty when it is sound. */
export function recheckRow(row: Omit<AuditRow, 'v' | 'log' | 'index' | 'unit' | 'spoke' | 'site'>): readonly string[] {
  const faults: string[] = [];
  const floor = highest(row, ['floor']);
  const overlay = highest(row, ['overlay']);
  const host = highest(row, ['host']);
  const explained = join(join(floor, overlay), host);

  if (row.input === '') {
    // No policy ran (unparsable, unauthenticated, an event): the level may stand on its own, but never below its reasons.
    if (rank(row.level) < rank(explained)) faults.push(`level ${row.level} is below its rules' ${explained}`);
  } else if (row.level !== explained) {
    faults.push(`level ${row.level} is not its rules' ${explained}`);
  }
  if (rank(row.level) < rank(join(row.floor_level, row.overlay_level))) {
    faults.push('level is below the floor or overlay level');
  }
  // A failure of the host may stand in for either layer, so each layer's level lies between its own and the host's.
  for (const [name, level, own] of [
    ['floor_level', row.floor_level, floor],
    ['overlay_level', row.overlay_level, overlay],
  ] as const) {
    if (row.input !== '' && (rank(level) < rank(own) || rank(level) > rank(join(own, host)))) {
      faults.push(`${name} ${level} is not its rules' ${own}`);
    }
  }
  for (const rule of row.rules) {
    if (rank(rule.effective) > rank(rule.level)) faults.push(`${rule.rule} is raised above its own level`);
    if (rule.effective !== rule.level && rule.exception === '') faults.push(`${rule.rule} is lowered by no exception`);
    if (rule.exception !== '' && rule.layer === 'host') faults.push(`${rule.rule} of the host cannot be lowered`);
    if (rule.exception !== '' && !row.exceptions.includes(rule.exception)) {
      faults.push(`${rule.rule} names an exception that the row does not list`);
    }
  }
  if (row.hidden_count < row.hidden.length) faults.push('hidden_count is below the versions listed');
  if (row.code !== '' && row.code !== requestCodeOf(row.id)) faults.push('code does not belong to id');
  return faults;
}

function highest(row: Pick<AuditRow, 'rules'>, layers: readonly string[]): Level {
  let level: Level = 'allow';
  for (const rule of row.rules) if (layers.includes(rule.layer)) level = join(level, rule.effective);
  return level;
}
