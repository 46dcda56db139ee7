// Finds popular names that differ from a given name by a few typing mistakes. Distance is optimal string alignment:
// insertion, deletion, substitution and the swap of two neighbours each count 1. Names are folded first, because
// separators and case are what eyes skip. Buckets by length and two 32-bit letter masks throw out nearly every name
// before any alignment is computed.

export interface NearName {
  readonly name: string;
  readonly distance: number;
}

interface Bucket {
  /** Positions in the popularity list, ascending. */
  readonly ranks: number[];
  readonly folded: string[];
  /** Characters that occur at least once, and at least twice. One edit changes at most two bits of the pair. */
  readonly once: number[];
  readonly twice: number[];
}

export const NEAR_NAME_LIMITS = { results: 8, recent: 1024 } as const;

export class NearNames {
  readonly #names: readonly string[];
  readonly #buckets = new Map<number, Bucket>();
  /** Answers already given: every version of a package asks for the same name. */
  readonly #recent = new Map<string, readonly NearName[]>();

  /** @param names most popular first */
  constructor(names: readonly string[]) {
    this.#names = names;
    for (const [rank, name] of names.entries()) {
      const folded = foldName(name);
      let bucket = this.#buckets.get(folded.length);
      if (bucket === undefined) {
        bucket = { ranks: [], folded: [], once: [], twice: [] };
        this.#buckets.set(folded.length, bucket);
      }
      const { once, twice } = letterMasks(folded);
      bucket.ranks.push(rank);
      bucket.folded.push(folded);
      bucket.once.push(once);
      bucket.twice.push(twice);
    }
  }

  /**
   * At most 8 names within `max`, nearest first, then most popular. Left out are the name itself and the names of its
   * own scope: whoever holds a scope holds every name in it.
   */
  find(name: string, max: number): readonly NearName[] {
    const key = `${max} ${name}`;
    const known = this.#recent.get(key);
    if (known !== undefined) return known;
    const found = this.#search(name, max);
    if (this.#recent.size >= NEAR_NAME_LIMITS.recent) this.#recent.clear();
    this.#recent.set(key, found);
    return found;
  }

  #search(name: string, max: number): readonly NearName[] {
    const folded = foldName(name);
    const scope = scopeOf(name);
    const { once, twice } = letterMasks(folded);
    const found: { readonly name: string; readonly distance: number; readonly rank: number }[] = [];
    for (let length = folded.length - max; length <= folded.length + max; length += 1) {
      const bucket = this.#buckets.get(length);
      if (bucket === undefined) continue;
      for (let i = 0; i < bucket.ranks.length; i += 1) {
        const bits = bitCount(once ^ (bucket.once[i] ?? 0)) + bitCount(twice ^ (bucket.twice[i] ?? 0));
        if (bits > 2 * max) continue;
        const distance = alignmentDistance(folded, bucket.folded[i] ?? '', max);
        if (distance > max) continue;
        const rank = bucket.ranks[i] ?? 0;
        const popular = this.#names[rank] ?? '';
        if (popular === name || (scope !== '' && scopeOf(popular) === scope)) continue;
        found.push({ name: popular, distance, rank });
      }
    }
    return found
      .toSorted((a, b) => a.distance - b.distance || a.rank - b.rank)
      .slice(0, NEAR_NAME_LIMITS.results)
      .map(({ name: popular, distance }) => ({ name: popular, distance }));
  }
}

/** Lower case, without the separators `-`, `_` and `.`; the marks of a scope stay. */
export function foldName(name: string): string {
  return name.toLowerCase().replaceAll(/[-_.]/g, '');
}

/** Optimal string alignment distance, or `max + 1` as soon as it is certain to exceed `max`. */
export function alignmentDistance(a: string, b: string, max: number): number {
  if (Math.abs(a.length - b.length) > max) return max + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    let best = i;
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(substitution, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      row.push(cost);
      best = Math.min(best, cost);
    }
    // A swap reaches back two rows, so one row above the limit is not yet proof; two are.
    if (best > max && Math.min(...last) > max) return max + 1;
    beforeLast = last;
    last = row;
  }
  return Math.min(last[b.length] ?? 0, max + 1);
}

function scopeOf(name: string): string {
  const slash = name.indexOf('/');
  return name.startsWith('@') && slash > 0 ? name.slice(0, slash) : '';
}

function letterMasks(folded: string): { readonly once: number; readonly twice: number } {
  let once = 0;
  let twice = 0;
  for (let i = 0; i < folded.length; i += 1) {
    const bit = 1 << (folded.charCodeAt(i) & 31);
    twice |= once & bit;
    once |= bit;
  }
  return { once, twice };
}

function bitCount(mask: number): number {
  let bits = mask - ((mask >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return (((bits + (bits >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}
