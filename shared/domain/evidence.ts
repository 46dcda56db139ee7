// What is known about a subject. A signal's outcome is one of four states; unknown carries its reason and reaches the
// policy as such, never as "clear".

import type { JsonObject } from './json.ts';

export const SIGNAL_STATES = ['hit', 'clear', 'unknown', 'not_applicable'] as const;
export type SignalState = (typeof SIGNAL_STATES)[number];

export const SEVERITIES = ['none', 'low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

export interface SignalOutcome {
  readonly state: SignalState;
  readonly severity: Severity;
  /** Facts behind the state, small (≤ 512 bytes as JSON), built from typed values only. */
  readonly value: JsonObject;
  /** Why the state is `unknown` or `not_applicable`, as a snake_case code; '' otherwise. */
  readonly reason: string;
}

/** Outcomes by signal name, e.g. `{ known_malicious: …, age: … }`. */
export type Evidence = Readonly<Record<string, SignalOutcome>>;
