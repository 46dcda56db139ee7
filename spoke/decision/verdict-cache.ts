// Verdicts remembered for a while, so that the many requests of one install get one answer. It belongs to one bundle and
// is emptied by activation; it keeps nothing that an approval, a recovery or the passing of time could change.

import { LRUCache } from 'lru-cache';
import type { Digest } from '@weir/shared/domain/digest.ts';
import type { Verdict } from '@weir/shared/domain/verdict.ts';
import type { Staleness } from '@weir/shared/policy/host-reasons.ts';

export const VERDICT_CACHE_LIMITS = {
  /** Verdicts over all entries; a metadata view counts one per version. */
  verdicts: 200_000,
  /** Seconds an entry lives at most: evidence such as a package's age moves on unnoticed. */
  maxAgeS: 300,
} as const;

/** What a verdict was asked for. The key must name everything else that the input is made of. */
export interface CacheQuestion {
  readonly bundle: Digest;
  readonly staleness: Staleness;
  /** Subject, action, class of actor and evidence, as the caller sees fit. */
  readonly key: string;
}

export interface VerdictCache {
  /** @param now unix seconds. undefined when nothing is known that still holds */
  recall(question: CacheQuestion, now: number): readonly Verdict[] | undefined;
  /** Keeps the verdicts where that is safe; otherwise does nothing. @returns whether they were kept */
  keep(question: CacheQuestion, verdicts: readonly Verdict[], now: number): boolean;
  /** Empties the cache and binds it to this bundle; verdicts of any other are neither kept nor recalled. */
  activate(bundle: Digest): void;
  readonly size: number;
}

interface Entry {
  readonly verdicts: readonly Verdict[];
  readonly from: number;
  /** First second at which the entry no longer counts. */
  readonly until: number;
}

export function createVerdictCache(
  limits: { readonly verdicts: number; readonly maxAgeS: number } = VERDICT_CACHE_LIMITS,
): VerdictCache {
  const entries = new LRUCache<string, Entry>({
    maxSize: limits.verdicts,
    sizeCalculation: (entry) => Math.max(1, entry.verdicts.length),
  });
  let active: Digest | undefined;
  return {
    recall: (question, now) => {
      if (question.bundle !== active) return undefined;
      const entry = entries.get(nameOf(question));
      // A wall clock that went back makes an entry look younger than it is; such an entry is not trusted either.
      return entry !== undefined && entry.from <= now && now < entry.until ? entry.verdicts : undefined;
    },
    keep: (question, verdicts, now) => {
      if (question.bundle !== active || verdicts.length > limits.verdicts) return false;
      if (!verdicts.every((verdict) => verdict.bundle === active && isLasting(verdict))) return false;
      const until = verdicts.reduce((end, { valid_until }) => Math.min(end, valid_until ?? end), now + limits.maxAgeS);
      if (until <= now) return false;
      entries.set(nameOf(question), { verdicts, from: now, until });
      return true;
    },
    activate: (bundle) => {
      entries.clear();
      active = bundle;
    },
    get size() {
      return entries.size;
    },
  };
}

function nameOf({ staleness, key }: CacheQuestion): string {
  return `${staleness} ${key}`;
}

/** A pending verdict ends with an approval; a reason of the host (a failed layer, staleness) ends with a recovery. */
function isLasting(verdict: Verdict): boolean {
  return verdict.level !== 'pending' && verdict.reasons.every((reason) => reason.layer !== 'host');
}
