// The four ways a signal can answer, written once so that every signal spells them alike.

import type { Severity, SignalOutcome } from '@weir/shared/domain/evidence.ts';
import type { JsonObject } from '@weir/shared/domain/json.ts';

const NOTHING: JsonObject = Object.freeze({});
const CLEAR: SignalOutcome = Object.freeze({ state: 'clear', severity: 'none', value: NOTHING, reason: '' });

/** The signal saw what it looks for. Only here may a value tell one version of a package from another. */
export function hit(severity: Exclude<Severity, 'none'>, value: JsonObject): SignalOutcome {
  return { state: 'hit', severity, value, reason: '' };
}

/** The signal looked and saw nothing. A value given here must be equal for as many versions as possible. */
export function clear(value?: JsonObject): SignalOutcome {
  return value === undefined ? CLEAR : { state: 'clear', severity: 'none', value, reason: '' };
}

/** The signal could not look. @param reason snake_case code of the missing fact */
export function unknown(reason: string): SignalOutcome {
  return { state: 'unknown', severity: 'none', value: NOTHING, reason };
}

/** There was nothing to look at. @param reason snake_case code */
export function notApplicable(reason: string): SignalOutcome {
  return { state: 'not_applicable', severity: 'none', value: NOTHING, reason };
}
