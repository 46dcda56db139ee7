// The decision lattice: allow < warn < pending < deny. Joining two levels is taking the higher one.

export const LEVELS = ['allow', 'warn', 'pending', 'deny'] as const;
export type Level = (typeof LEVELS)[number];

/** Position in the chain: 0 (allow) to 3 (deny). */
export function rank(level: Level): number {
  return LEVELS.indexOf(level);
}

/** The higher of two levels: commutative, associative, idempotent, with `allow` as identity. */
export function join(a: Level, b: Level): Level {
  return rank(a) >= rank(b) ? a : b;
}

/** The lower of two levels; only exceptions may use it. */
export function meet(a: Level, b: Level): Level {
  return rank(a) <= rank(b) ? a : b;
}

export function isLevel(value: unknown): value is Level {
  return typeof value === 'string' && (LEVELS as readonly string[]).includes(value);
}
