// A rule as data: what the signed `rules` layer says of each rule id. Read from Rego METADATA at publish time.

import type { Effect, Override } from './verdict.ts';
import type { Level } from './level.ts';

export interface RuleMeta {
  readonly id: string;
  /** Semantic version; exceptions are bound to the major. */
  readonly version: string;
  readonly layer: 'floor' | 'overlay';
  readonly title: string;
  readonly description: string;
  /** Highest level the rule emits. */
  readonly level: Exclude<Level, 'allow'>;
  readonly override: Override;
  /** Lowest level an exception may lower a finding of this rule to. */
  readonly min_level: Level;
  readonly max_exception_days: number;
  readonly effect: Effect;
  /** What a developer can do about it. */
  readonly solution: string;
}
