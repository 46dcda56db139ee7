// Runs every signal over the facts of one candidate. A signal that throws has judged nothing and says so: its outcome
// is unknown `signal_failed`, which the floor does not let pass.

import type { Settings } from '@weir/shared/bundle/layers.ts';
import type { PackageName } from '@weir/shared/domain/coordinate.ts';
import type { Evidence, SignalOutcome } from '@weir/shared/domain/evidence.ts';
import { SIGNALS } from './signals/index.ts';
import { notApplicable, unknown } from './signals/outcome.ts';
import type { Fact, FactKind, Signal, SignalFacts } from './signals/signal.ts';

/** @param at unix seconds @returns one outcome per signal of the list */
export function evaluateSignals(facts: SignalFacts, at: number): Evidence {
  const evidence: Record<string, SignalOutcome> = {};
  for (const signal of BY_NAME) evidence[signal.name] = run(signal, facts, at);
  return evidence;
}

/**
 * Evidence before upstream is contacted: signals that need only the name and the settings are judged, all others are
 * not applicable `before_upstream`. The floor refuses internal names on it; it must never admit an artifact.
 * @param at unix seconds
 */
export function evaluateNameSignals(name: PackageName, settings: Settings, at: number): Evidence {
  const facts: SignalFacts = {
    name,
    version: '',
    releases: LATER,
    release: LATER,
    file: LATER,
    content: LATER,
    coreMetadata: LATER,
    intel: LATER,
    settings,
  };
  return Object.fromEntries(
    SIGNALS.map((signal) => [
      signal.name,
      signal.needs.every((kind) => AT_HAND.has(kind)) ? run(signal, facts, at) : BEFORE_UPSTREAM,
    ]),
  );
}

/** In the order in which the policy's input writes them, so that nobody has to sort them for every version. */
const BY_NAME: readonly Signal[] = SIGNALS.toSorted((a, b) => (a.name < b.name ? -1 : 1));

const AT_HAND: ReadonlySet<FactKind> = new Set<FactKind>(['name', 'settings']);
const LATER: Fact<never> = { known: false, reason: 'before_upstream' };
const BEFORE_UPSTREAM = notApplicable('before_upstream');

function run(signal: Signal, facts: SignalFacts, at: number): SignalOutcome {
  try {
    return signal.evaluate(facts, at);
  } catch {
    return unknown('signal_failed');
  }
}
