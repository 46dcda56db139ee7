// What one layer (floor or overlay) answers: its findings, or why there are none. A failure is a value, because a decision
// has to be made of it; its code goes into the verdict, its detail into logs only.

import type { Finding } from '../domain/verdict.ts';

/**
 * timeout: ran past its deadline · memory: asked for more than its maximum · stack: recursed too deep · threw: aborted or
 * trapped · no_result: undefined · no_echo: did not repeat the input's schema · bad_output: not of the agreed shape ·
 * output_too_large, too_many_findings, input_too_large: over a limit · unavailable: no instance could be made ·
 * quarantined: failed too often to be asked again.
 */
export const LAYER_FAILURES = [
  'timeout',
  'memory',
  'stack',
  'threw',
  'no_result',
  'no_echo',
  'bad_output',
  'output_too_large',
  'too_many_findings',
  'input_too_large',
  'unavailable',
  'quarantined',
] as const;
export type LayerFailure = (typeof LAYER_FAILURES)[number];

export interface LayerFindings {
  readonly ok: true;
  readonly findings: readonly Finding[];
}

export interface LayerFailed {
  readonly ok: false;
  readonly failure: LayerFailure;
  /** For logs: what was thrown or which field was wrong, ≤ 300 characters. */
  readonly detail: string;
}

export type LayerAnswer = LayerFindings | LayerFailed;

const DETAIL_MAX = 300;

export function failed(failure: LayerFailure, detail: string): LayerFailed {
  return { ok: false, failure, detail: detail.slice(0, DETAIL_MAX) };
}
