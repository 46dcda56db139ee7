// The join: what a candidate's findings, exceptions and the host's own reasons add up to. Pure, and small enough to be
// proved by enumeration (test/property/policy): an overlay can only raise the level, only signed grants for overridable
// rules lower it, and the result is the highest `effective` among its reasons, so that anyone can re-check a row.

import { canonicalJson } from '../crypto/canonical-json.ts';
import { type Level, join, rank } from '../domain/level.ts';
import type { Finding, Reason } from '../domain/verdict.ts';
import { type Grant, lower } from './exceptions.ts';
import { type Staleness, floorFailedReason, overlayFailedReason, stalenessReason } from './host-reasons.ts';
import type { LayerAnswer } from './layer-answer.ts';
import type { RuleBook } from './rule-book.ts';

/** Everything the level of one candidate depends on. */
export interface Parts {
  readonly floor: LayerAnswer;
  /** null when the unit has no overlay. */
  readonly overlay: LayerAnswer | null;
  readonly staleness: Staleness;
  readonly rules: RuleBook;
  /** In force for this candidate at this moment. */
  readonly grants: readonly Grant[];
  readonly onOverlayError: 'pending' | 'deny';
}

export interface Joined {
  readonly level: Level;
  /** Level without the overlay. */
  readonly floor_level: Level;
  readonly overlay_level: Level;
  /** Highest first; equal findings count once. */
  readonly reasons: readonly Reason[];
  /** Ids of the exceptions used, sorted. */
  readonly exceptions: readonly string[];
}

export function combine(parts: Parts): Joined {
  const stale = stalenessReason(parts.staleness);
  const floor = reasonsOf('floor', parts.floor, parts);
  const overlay = parts.overlay === null ? [] : reasonsOf('overlay', parts.overlay, parts);
  const reasons = inOrder(stale === undefined ? [...floor, ...overlay] : [stale, ...floor, ...overlay]);
  return {
    level: highest(reasons),
    floor_level: join(highest(floor), stale?.effective ?? 'allow'),
    overlay_level: highest(overlay),
    reasons,
    exceptions: [...new Set(reasons.map((reason) => reason.exception))].filter((id) => id !== '').toSorted(),
  };
}

function reasonsOf(layer: 'floor' | 'overlay', answer: LayerAnswer, parts: Parts): readonly Reason[] {
  if (answer.ok) return answer.findings.map((finding) => reasonOf(layer, finding, parts));
  if (layer === 'floor') return [floorFailedReason(answer.failure)];
  return [overlayFailedReason(answer.failure, parts.onOverlayError)];
}

function reasonOf(layer: 'floor' | 'overlay', finding: Finding, parts: Parts): Reason {
  const { rule, code, facts, level } = finding;
  const meta = parts.rules.find(layer, rule);
  if (meta === undefined) {
    return { layer, rule, code, facts, level, effective: level, effect: 'refuse', override: 'none', exception: '' };
  }
  const { effect, override } = meta;
  return { layer, rule, code, facts, level, ...lower(level, meta, parts.grants), effect, override };
}

function highest(reasons: readonly Reason[]): Level {
  return reasons.reduce<Level>((level, reason) => join(level, reason.effective), 'allow');
}

const LAYER_ORDER = { host: 0, floor: 1, overlay: 2 } as const;

/** One order for any order of findings, each distinct reason once: verdicts are compared byte for byte. */
function inOrder(reasons: readonly Reason[]): readonly Reason[] {
  if (reasons.length < 2) return reasons;
  const sorted = reasons
    .map((reason) => ({ reason, key: `${reason.rule} ${reason.code} ${canonicalJson(reason.facts)}` }))
    .toSorted(
      (a, b) =>
        rank(b.reason.effective) - rank(a.reason.effective) ||
        rank(b.reason.level) - rank(a.reason.level) ||
        LAYER_ORDER[a.reason.layer] - LAYER_ORDER[b.reason.layer] ||
        (a.key < b.key ? -1 : a.key > b.key ? 1 : 0),
    );
  return sorted.filter((entry, i) => !same(entry, sorted[i - 1])).map(({ reason }) => reason);
}

function same(a: { reason: Reason; key: string }, b: { reason: Reason; key: string } | undefined): boolean {
  return b !== undefined && a.key === b.key && a.reason.layer === b.reason.layer && a.reason.level === b.reason.level;
}
