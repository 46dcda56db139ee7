// Seeded chance for the suites of faults: a run says its seed, and WEIR_SEED repeats it.

export interface Chance {
  readonly seed: number;
  /** In [0, 1). */
  unit(): number;
  /** Whole number in [from, until). */
  between(from: number, until: number): number;
  pick<Value>(list: readonly Value[]): Value;
  /** The failure of a run, with what it takes to repeat it. */
  blame(thrown: unknown, told?: readonly string[]): Error;
}

/** From the given seed, else from WEIR_SEED, else from the clock. */
export function createChance(given?: number): Chance {
  const named = given ?? Number(process.env['WEIR_SEED']);
  const seed = Number.isInteger(named) && named > 0 ? named : Date.now() % 2 ** 31;
  let state = seed;
  // mulberry32
  const unit = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (from: number, until: number): number => from + Math.floor(unit() * (until - from));
  return {
    seed,
    unit,
    between,
    pick(list) {
      const picked = list[between(0, list.length)];
      if (picked === undefined) throw new Error('nothing to pick from');
      return picked;
    },
    blame(thrown, told = []) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      error.stack = [`WEIR_SEED=${seed} repeats this run`, ...told, error.stack ?? error.message].join('\n');
      return error;
    },
  };
}
