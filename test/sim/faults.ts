// Kinds of trouble that a run may have, and the alarms that each of them may raise.

export const FAULTS = [
  'spoke_crash',
  'spoke_stop',
  'hub_crash',
  'line_lossy',
  'line_down',
  'commit_fails',
  'disk_full',
  'disk_fails',
  'clock_jump',
  'hub_restored',
  'spoke_restored',
  'clone',
  'flipped_bit',
  'poison',
] as const;
export type Fault = (typeof FAULTS)[number];

const ALARMS: Partial<Record<Fault, readonly string[]>> = {
  hub_restored: ['rows_lost'],
  // A copy from before the log had a key makes another.
  spoke_restored: ['rollback', 'fork', 'poisoned'],
  clone: ['cloned_identity', 'fork', 'rollback', 'poisoned'],
  // A batch at the very end that looks unfinished is cut off, although the hub may have it.
  flipped_bit: ['rollback', 'fork'],
  poison: ['poisoned', 'fork'],
};

/** Kinds of alarm that may be raised after such trouble; no other may. */
export function alarmsAfter(done: ReadonlySet<Fault>): ReadonlySet<string> {
  return new Set([...done].flatMap((fault) => ALARMS[fault] ?? []));
}

/** Two of one history, or rows that cannot be told from others: what was recorded again may be there already. */
export function mayDouble(done: ReadonlySet<Fault>): boolean {
  return done.has('flipped_bit') || done.has('clone') || done.has('spoke_restored');
}
