// What a run of the simulation must have come across: each kind of trouble, and each way out of it. A path that is never taken
// is a path that nothing was said about.

import { FAULTS } from './faults.ts';

/** Come up in any few hundred schedules. */
const OFTEN: readonly string[] = [
  ...FAULTS.map((fault) => `fault ${fault}`),
  'answered',
  'database lost',
  'database done_but_reported_lost',
  'disk fails: full',
  'disk fails: write',
  'disk fails: replace',
  'line loses a batch',
  'line loses an answer',
  'line loses a call',
  'line loses the answer to a call',
  'flipped bit in segment',
  'poisoned batch refused',
  'superseded process heard',
  'start failed',
  'event epoch_opened',
  'event log_repaired',
  'event log_damaged',
  'event damage_accepted',
  'event log_salvaged',
  'event log_reopened',
  'event hub_lost_rows',
  'alarm: cloned_identity',
  'alarm: fork',
  'alarm: poisoned',
  'alarm: rollback',
  'alarm: rows_lost',
  'batch refused: bad_signature',
  'batch refused: closed',
  'batch refused: inconsistent',
  'batch refused: malformed',
  'rows sent again to payments',
  'commit tried again',
  'new epoch: disk_failed',
  'new epoch: fork',
  'new epoch: poisoned',
  'new epoch: rollback',
  'hub found without rows',
];

/** Come up in some thousand schedules. */
const SELDOM: readonly string[] = [
  'disk fails: allocate',
  'disk fails: flush',
  'disk fails: mkdir',
  'disk fails: recycle',
  'disk fails: remove',
  'disk fails: discard',
  'flipped bit in binding',
  'flipped bit in checkpoint',
  'flipped bit in closed.json',
  'flipped bit in current',
  'flipped bit in damage.json',
  'flipped bit in edge',
  'flipped bit in log-key.pem',
  'flipped bit in log.json',
  'flipped bit in receipt',
  'batch refused: fork',
  'batch refused: gap',
  'batch refused: unavailable',
  'batch refused: wrong_identity',
  'new epoch: gap',
];

const SELDOM_FROM = 5_000;

/** Paths that so many schedules should have taken and did not. */
export function missed(reached: ReadonlyMap<string, number>, schedules: number): readonly string[] {
  const wanted = schedules >= SELDOM_FROM ? [...OFTEN, ...SELDOM] : OFTEN;
  return wanted.filter((path) => !reached.has(path));
}
