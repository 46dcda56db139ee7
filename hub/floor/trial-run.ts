// Tries policy trees out without a hub: compiles them, and asks the very engine of the spokes for a verdict, under given
// settings and exceptions. What `weir policy eval` and `weir policy explain` show.

import type { Exceptions, Rules, Settings } from '@weir/shared/bundle/layers.ts';
import { digestOf } from '@weir/shared/domain/digest.ts';
import type { JsonObject } from '@weir/shared/domain/json.ts';
import type { RuleMeta } from '@weir/shared/domain/rule.ts';
import type { Reason, Verdict } from '@weir/shared/domain/verdict.ts';
import { createEngine } from '@weir/shared/policy/engine.ts';
import type { Candidate, PolicyInput } from '@weir/shared/policy/input.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { SourceFile } from '../store/policy-store.ts';
import type { GateFinding } from './gate-finding.ts';
import type { Compiled, Gates } from './gates.ts';

export interface TrialRequest {
  readonly floor: readonly SourceFile[];
  /** Null to try the floor alone. */
  readonly overlay: readonly SourceFile[] | null;
  readonly settings: Settings;
  readonly exceptions: Exceptions;
  readonly input: PolicyInput;
}

export interface ExplainedReason extends Reason {
  /** What a person reads, with the facts filled in; the code itself when the catalogue has no text. */
  readonly title: string;
  readonly detail: string;
  /** Undefined for what the host itself says (staleness, failures). */
  readonly meta: RuleMeta | undefined;
}

export interface ExplainedVerdict {
  readonly purl: string;
  readonly verdict: Verdict;
  readonly reasons: readonly ExplainedReason[];
}

export type TrialOutcome =
  | {
      readonly ok: true;
      readonly verdicts: readonly ExplainedVerdict[];
      /** Where a rule reads the version, which costs one evaluation per version: '' when none does. */
      readonly versionUse: string;
    }
  | { readonly ok: false; readonly findings: readonly GateFinding[] };

/** @throws WeirError `invalid_argument` or `too_large` for an input that the engine does not take */
export async function tryPolicy(
  gates: Pick<Gates, 'compile'>,
  clock: Pick<Clock, 'monotonicMs'>,
  request: TrialRequest,
): Promise<TrialOutcome> {
  const { settings, input } = request;
  const floor = await gates.compile({ kind: 'floor' }, request.floor, []);
  if (!floor.ok) return floor;
  let overlay: Compiled | null = null;
  if (request.overlay !== null) {
    const compiled = await gates.compile({ kind: 'overlay', unit: settings.unit }, request.overlay, request.floor);
    if (!compiled.ok) return compiled;
    overlay = compiled.compiled;
  }
  const rules: Rules = {
    schema: 'weir.rules/v1',
    rules: [...floor.compiled.rules.rules, ...(overlay?.rules.rules ?? [])],
    texts: { ...overlay?.rules.texts, ...floor.compiled.rules.texts },
  };
  const engine = await createEngine({
    floor: floor.compiled.module,
    overlay: overlay?.module ?? null,
    rules,
    exceptions: request.exceptions,
    settings,
    unit: settings.unit,
    bundle: digestOf(floor.compiled.module),
    readsVersion: floor.compiled.readsVersion || (overlay?.readsVersion ?? false),
    clock,
  });
  try {
    const verdicts = engine.decide(input).map((verdict, index) => {
      const subject = input.candidates[index]?.subject;
      const reasons = verdict.reasons.map((reason) => explain(reason, rules, subject));
      return { purl: subject?.purl ?? '', verdict, reasons };
    });
    return { ok: true, verdicts, versionUse: [floor.compiled.versionUse, overlay?.versionUse].find(Boolean) ?? '' };
  } finally {
    engine.close();
  }
}

function explain(reason: Reason, rules: Rules, subject: Candidate['subject'] | undefined): ExplainedReason {
  const text = rules.texts[reason.code];
  return {
    ...reason,
    title: text?.title ?? reason.code,
    detail: fill(text?.detail ?? '', { ...reason.facts, ...subject, subject: subject?.purl ?? '' }),
    meta: rules.rules.find(({ id, layer }) => id === reason.rule && layer === reason.layer),
  };
}

function fill(template: string, facts: JsonObject): string {
  return template.replaceAll(/\{([a-z_]+)\}/g, (placeholder, name: string) => {
    const value = facts[name];
    return value === undefined ? placeholder : typeof value === 'string' ? value : JSON.stringify(value);
  });
}
