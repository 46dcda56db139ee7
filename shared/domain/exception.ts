// A signed, scoped, expiring lowering of one overridable rule for one subject. Applied after evaluation: the finding stays.

import type { Level } from './level.ts';

export interface ExceptionScope {
  /** Unit ids it covers; empty means every unit. */
  readonly units: readonly string[];
}

export interface Exception {
  readonly id: string;
  readonly rule: string;
  /** Major version of the rule it was granted for; another major is an orphan and matches nothing. */
  readonly rule_major: number;
  /** purl: with a version it matches exactly that one, without it every version of the package. Never a wildcard. */
  readonly subject: string;
  /** Digest the artifact must have, '' for any. */
  readonly digest: string;
  readonly to: Level;
  readonly scope: ExceptionScope;
  /** Unix seconds. */
  readonly not_before: number;
  readonly expires: number;
  readonly authority: 'hub' | 'spoke';
  readonly category: 'waiver' | 'mitigated';
  readonly reason: string;
  readonly ticket: string;
  readonly approvers: readonly string[];
}
