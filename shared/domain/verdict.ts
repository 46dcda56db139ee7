// The decision's vocabulary: findings (what a rule saw), reasons (a finding after exceptions) and the joined verdict.

import type { Digest } from './digest.ts';
import type { JsonObject } from './json.ts';
import type { Level } from './level.ts';

/** Where a reason comes from; `host` covers staleness and engine failures, which no exception can lower. */
export type Layer = 'floor' | 'overlay' | 'host';

/** How a refusal is shown to a resolver: refuse the artifact, hide the version, hide and say so, or only warn. */
export const EFFECTS = ['refuse', 'hide', 'hide+notice', 'warn'] as const;
export type Effect = (typeof EFFECTS)[number];

/** Who may lower a rule's finding: nobody, the hub, or the hub and the spoke. */
export const OVERRIDES = ['none', 'hub', 'spoke'] as const;
export type Override = (typeof OVERRIDES)[number];

/** What one Rego rule says of one candidate; decoded from the layer's output, nothing in it can express lowering. */
export interface Finding {
  /** Index into the input's `candidates`. */
  readonly candidate: number;
  /** Rule id, e.g. `WEIR-AGE-001`. */
  readonly rule: string;
  readonly level: Exclude<Level, 'allow'>;
  /** Key into the text catalogue, snake_case. */
  readonly code: string;
  /** Values for the text and for `why`. */
  readonly facts: JsonObject;
}

/** A finding with its layer and the level that remains after exceptions. */
export interface Reason {
  readonly layer: Layer;
  readonly rule: string;
  readonly code: string;
  readonly facts: JsonObject;
  readonly level: Level;
  readonly effective: Level;
  readonly effect: Effect;
  readonly override: Override;
  /** Id of the exception that lowered it, '' when none did. */
  readonly exception: string;
}

export interface Obligation {
  readonly kind: 'require_approval';
  /** Digest over subject and pending rules: what an approver is shown. */
  readonly key: string;
  readonly min_reviewers: number;
}

/** The joined answer for one candidate. Level = max over `effective` of all reasons; re-checkable from the row alone. */
export interface Verdict {
  readonly level: Level;
  readonly floor_level: Level;
  readonly overlay_level: Level;
  readonly reasons: readonly Reason[];
  readonly obligations: readonly Obligation[];
  /** Ids of the exceptions used. */
  readonly exceptions: readonly string[];
  readonly bundle: Digest;
  readonly input: Digest;
  readonly engine: string;
  /** Unix seconds after which time alone may change this verdict; null when it cannot. */
  readonly valid_until: number | null;
}
