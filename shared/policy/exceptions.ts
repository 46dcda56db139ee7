// Which exceptions are in force for a subject at a moment, and how far they lower a finding. Everything that can be known
// when a bundle is activated (rule, major version, authority, unit, longest life) is settled in the index; per decision
// only subject, digest and dates are left.

import type { Exception } from '../domain/exception.ts';
import { type Level, join, meet, rank } from '../domain/level.ts';
import type { RuleMeta } from '../domain/rule.ts';
import type { Candidate } from './input.ts';
import { type RuleBook, majorOf } from './rule-book.ts';

const DAY_S = 86_400;

/** An exception that its rule, its authority and its unit allow, with the moment at which it ends for this rule. */
export interface Grant {
  readonly id: string;
  readonly rule: string;
  readonly digest: string;
  readonly to: Level;
  /** Unix seconds, first moment in force. */
  readonly from: number;
  /** Unix seconds, first moment no longer in force. */
  readonly until: number;
}

export interface ExceptionIndex {
  /** Grants that name this subject or its package, whatever their dates; empty for almost every subject. */
  about(subject: Candidate['subject']): readonly Grant[];
}

const NONE: readonly Grant[] = [];

/** Leaves out what can never count: other units, unknown rules, another major, too little authority, no life at all. */
export function indexExceptions(exceptions: readonly Exception[], rules: RuleBook, unit: string): ExceptionIndex {
  const bySubject = new Map<string, Grant[]>();
  for (const exception of exceptions) {
    const grant = grantOf(exception, rules, unit);
    if (grant === undefined) continue;
    const grants = bySubject.get(exception.subject);
    if (grants === undefined) bySubject.set(exception.subject, [grant]);
    else grants.push(grant);
  }
  if (bySubject.size === 0) return { about: () => NONE };
  return {
    about: (subject) => {
      const exact = bySubject.get(subject.purl) ?? NONE;
      const name = packagePurl(subject.purl);
      const whole = name === subject.purl ? NONE : (bySubject.get(name) ?? NONE);
      return exact.length === 0 ? whole : whole.length === 0 ? exact : [...exact, ...whole];
    },
  };
}

function grantOf(exception: Exception, rules: RuleBook, unit: string): Grant | undefined {
  const rule = rules.byId(exception.rule);
  if (rule === undefined || majorOf(rule.version) !== exception.rule_major) return undefined;
  if (!mayLower(exception.authority, rule)) return undefined;
  if (exception.scope.units.length > 0 && !exception.scope.units.includes(unit)) return undefined;
  const until = Math.min(exception.expires, exception.not_before + rule.max_exception_days * DAY_S);
  if (until <= exception.not_before) return undefined;
  const { id, digest, to, not_before: from } = exception;
  return { id, rule: exception.rule, digest, to, from, until };
}

/** The hub may lower what is overridable at all; a spoke only its own overlay's rules, and of these only the ones that say so. */
export function mayLower(authority: Exception['authority'], rule: Pick<RuleMeta, 'layer' | 'override'>): boolean {
  if (rule.override === 'none') return false;
  return authority === 'hub' || (rule.layer === 'overlay' && rule.override === 'spoke');
}

/** The grants of `about` that hold at `at` (unix seconds) for the promised digest. */
export function inForce(grants: readonly Grant[], digest: string, at: number): readonly Grant[] {
  if (grants.length === 0) return grants;
  return grants.filter(
    (grant) => grant.from <= at && at < grant.until && (grant.digest === '' || grant.digest === digest),
  );
}

/**
 * The level a finding keeps: the lowest that a grant for its rule names, not below the rule's minimum, never above its own.
 * `exception` is '' when nothing was lowered; of several equal grants the one with the smallest id is named.
 */
export function lower(
  level: Level,
  rule: RuleMeta,
  grants: readonly Grant[],
): { readonly effective: Level; readonly exception: string } {
  let best: Grant | undefined;
  for (const grant of grants) {
    if (grant.rule !== rule.id) continue;
    if (best === undefined || rank(grant.to) < rank(best.to) || (grant.to === best.to && grant.id < best.id))
      best = grant;
  }
  if (best === undefined) return { effective: level, exception: '' };
  const effective = meet(level, join(rule.min_level, best.to));
  return { effective, exception: effective === level ? '' : best.id };
}

/** A purl without its version. The only bare '@' of a purl stands before the version: a scope's is written %40. */
export function packagePurl(purl: string): string {
  const at = purl.lastIndexOf('@');
  return at < 0 ? purl : purl.slice(0, at);
}
