// The decision engine of one activated bundle: a policy input in, one verdict per candidate out. Floor and overlay are
// separate wasm instances over the same bytes; their findings meet in `combine`. Synchronous, deterministic, without a
// clock of its own (the monotonic clock only stops policies that do not end), and closed on every failure: a floor that
// fails denies, an overlay that fails counts as the signed `on_overlay_error`.

import { ENGINE } from '../bundle/manifest.ts';
import type { Exceptions, Rules, Settings } from '../bundle/layers.ts';
import { type Digest, digestOf } from '../domain/digest.ts';
import type { Json } from '../domain/json.ts';
import { rank } from '../domain/level.ts';
import type { Finding, Verdict } from '../domain/verdict.ts';
import type { Clock } from '../ports/clock.ts';
import { type Joined, type Parts, combine } from './combine.ts';
import { classesOf, groupsOf } from './evidence-classes.ts';
import { indexExceptions, inForce } from './exceptions.ts';
import { selfCheckReason } from './host-reasons.ts';
import { type EncodedInput, encodeInput, encodeJson } from './input-bytes.ts';
import { FLOOR_ENTRYPOINT, type PolicyInput, overlayEntrypoint } from './input.ts';
import { type LayerAnswer, type LayerFailed, type LayerFailure, failed } from './layer-answer.ts';
import { obligationsOf } from './obligations.ts';
import { ruleBook } from './rule-book.ts';
import { floorAlone } from './self-check.ts';
import { type Strikes, createStrikes } from './strikes.ts';
import { validUntil } from './valid-until.ts';
import { FLOOR_LIMITS, type LayerLimits, OVERLAY_LIMITS, type WasmLayer, loadWasmLayer } from './wasm-layer.ts';

/** What an operator wants to know about; never thrown, because the verdict already carries the consequence. */
export type EngineEvent =
  | {
      readonly kind: 'layer_failed';
      readonly layer: 'floor' | 'overlay';
      readonly failure: LayerFailure;
      readonly detail: string;
    }
  | { readonly kind: 'strike'; readonly overlay: Digest; readonly strikes: number }
  | { readonly kind: 'quarantined'; readonly overlay: Digest }
  | { readonly kind: 'self_check_failed'; readonly input: Digest };

export interface EngineOptions {
  /** Compiled modules as they are in the bundle. */
  readonly floor: Uint8Array;
  readonly overlay: Uint8Array | null;
  readonly rules: Rules;
  readonly exceptions: Exceptions;
  /** Seen by both layers as `data.settings`. */
  readonly settings: Settings;
  readonly unit: string;
  readonly bundle: Digest;
  /** The manifest's `reads_version`. */
  readonly readsVersion: boolean;
  /**
   * Time that counts against a policy's deadline. Best the CPU time of this thread (`process.threadCpuUsage`): then a busy
   * machine does not fail a good overlay; wall-bound monotonic time does as well.
   */
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Hand over the same one at every activation, so that strikes outlive a bundle. */
  readonly strikes?: Strikes;
  readonly onEvent?: (event: EngineEvent) => void;
  readonly limits?: { readonly floor?: Partial<LayerLimits>; readonly overlay?: Partial<LayerLimits> };
}

export interface PolicyEngine {
  readonly bundle: Digest;
  readonly unit: string;
  /** Digest of the overlay module, null without one. */
  readonly overlay: Digest | null;
  /**
   * One verdict per candidate, in their order; an empty list for no candidates. All carry the digest of the whole input.
   * @throws WeirError `invalid_argument` or `too_large` for an input that has no canonical bytes within the limits:
   *   then nothing was judged and nothing may be served
   */
  decide(input: PolicyInput): readonly Verdict[];
  /** The exact bytes that `decide` hashes and evaluates. Same errors. */
  inputBytes(input: PolicyInput): Uint8Array;
  /**
   * What a layer itself says of a document: its result set parsed, or the failure. For self-test vectors and explanations;
   * counts no strikes. Throws like `decide`.
   */
  evaluateLayer(layer: 'floor' | 'overlay', input: Json): LayerEvaluation;
  /** Gives the instances up; later decisions deny. */
  close(): void;
}

export type LayerEvaluation = { readonly ok: true; readonly output: Json } | LayerFailed;

/** @throws WeirError `engine_failed` when a module cannot be accepted: the bundle must not be activated */
export async function createEngine(options: EngineOptions): Promise<PolicyEngine> {
  const data = encodeJson({ settings: options.settings as unknown as Json });
  const { clock, limits } = options;
  const load = (module: Uint8Array, entrypoint: string, of: LayerLimits): Promise<WasmLayer> =>
    loadWasmLayer({ module, entrypoint, data, limits: of, clock });
  const floor = await load(options.floor, FLOOR_ENTRYPOINT, { ...FLOOR_LIMITS, ...limits?.floor });
  const overlay =
    options.overlay === null
      ? null
      : await load(options.overlay, overlayEntrypoint(options.unit), { ...OVERLAY_LIMITS, ...limits?.overlay });
  return new Engine(options, floor, overlay);
}

class Engine implements PolicyEngine {
  readonly bundle: Digest;
  readonly unit: string;
  readonly overlay: Digest | null;
  readonly #floor: WasmLayer;
  readonly #overlay: WasmLayer | null;
  readonly #options: EngineOptions;
  readonly #rules: ReturnType<typeof ruleBook>;
  readonly #exceptions: ReturnType<typeof indexExceptions>;
  readonly #strikes: Strikes;

  constructor(options: EngineOptions, floor: WasmLayer, overlay: WasmLayer | null) {
    this.bundle = options.bundle;
    this.unit = options.unit;
    this.overlay = options.overlay === null ? null : digestOf(options.overlay);
    this.#floor = floor;
    this.#overlay = overlay;
    this.#options = options;
    this.#rules = ruleBook(options.rules.rules);
    this.#exceptions = indexExceptions(options.exceptions.exceptions, this.#rules, options.unit);
    this.#strikes = options.strikes ?? createStrikes();
  }

  inputBytes(input: PolicyInput): Uint8Array {
    return encodeInput(input).whole.bytes;
  }

  decide(input: PolicyInput): readonly Verdict[] {
    const encoded = encodeInput(input);
    if (input.candidates.length === 0) return [];
    const { classOf, representatives } = classesOf(encoded, this.#options.readsVersion);
    const texts = representatives.map((index) => encoded.candidates[index] as string);
    const groups = texts.length === encoded.candidates.length && texts.length === 1 ? [texts] : groupsOf(texts);
    const floor = this.#answers('floor', encoded, groups);
    const overlay = this.#overlay === null ? null : this.#answers('overlay', encoded, groups);
    const withoutGrants = new Map<number, Joined>();
    return input.candidates.map((candidate, i) => {
      const of = classOf[i] as number;
      const about = this.#exceptions.about(candidate.subject);
      const parts: Parts = {
        floor: floor[of] as LayerAnswer,
        overlay: overlay === null ? null : (overlay[of] as LayerAnswer),
        staleness: input.context.staleness,
        rules: this.#rules,
        grants: inForce(about, candidate.subject.digest, input.context.now),
        onOverlayError: this.#options.settings.on_overlay_error,
      };
      let joined = parts.grants.length === 0 ? withoutGrants.get(of) : undefined;
      if (joined === undefined) {
        joined = this.#join(parts, encoded.digest);
        if (parts.grants.length === 0) withoutGrants.set(of, joined);
      }
      return {
        ...joined,
        obligations: joined.level === 'pending' ? obligationsOf(candidate.subject, joined.reasons, this.#rules) : [],
        bundle: this.bundle,
        input: encoded.digest,
        engine: ENGINE,
        valid_until: validUntil(candidate.subject, about, this.#options.settings.policy, input.context.now),
      };
    });
  }

  evaluateLayer(layer: 'floor' | 'overlay', input: Json): LayerEvaluation {
    const bytes = encodeJson(input);
    const of = layer === 'floor' ? this.#floor : this.#overlay;
    if (of === null) return failed('unavailable', 'the bundle has no overlay');
    const text = of.evaluateRaw(bytes);
    if (typeof text !== 'string') return text;
    try {
      const [set] = JSON.parse(text) as readonly [{ readonly result: Json }?];
      return set === undefined ? failed('no_result', 'result is undefined') : { ok: true, output: set.result };
    } catch {
      return failed('bad_output', 'result is not json');
    }
  }

  close(): void {
    this.#floor.close();
    this.#overlay?.close();
  }

  #join(parts: Parts, input: Digest): Joined {
    const joined = combine(parts);
    if (rank(joined.level) >= rank(floorAlone(parts))) return joined;
    this.#tell({ kind: 'self_check_failed', input });
    const reasons = [selfCheckReason(), ...joined.reasons];
    return { ...joined, level: 'deny', floor_level: 'deny', reasons };
  }

  /** The layer's answer for each class: its own findings, or the failure of the group it was evaluated in. */
  #answers(layer: 'floor' | 'overlay', encoded: EncodedInput, groups: readonly (readonly string[])[]): LayerAnswer[] {
    const answers: LayerAnswer[] = [];
    let stopped: LayerFailed | undefined;
    for (const group of groups) {
      const answer = stopped ?? this.#evaluate(layer, encoded, group);
      // A layer that failed is not asked for the rest of the batch: one decision costs one deadline, not one per group.
      if (!answer.ok) stopped = answer;
      answers.push(...(answer.ok ? byCandidate(answer.findings, group.length) : group.map(() => answer)));
    }
    return answers;
  }

  #evaluate(layer: 'floor' | 'overlay', encoded: EncodedInput, group: readonly string[]): LayerAnswer {
    const of = layer === 'floor' ? this.#floor : this.#overlay;
    const digest = layer === 'overlay' ? this.overlay : null;
    if (of === null) return failed('unavailable', 'the bundle has no overlay');
    if (digest !== null && this.#strikes.quarantined(digest)) return failed('quarantined', 'failed too often');
    const bytes = group.length === encoded.candidates.length ? encoded.whole : encoded.select(group);
    const answer = of.evaluate(bytes, group.length);
    if (!answer.ok) this.#tell({ kind: 'layer_failed', layer, failure: answer.failure, detail: answer.detail });
    if (digest !== null) this.#count(digest, answer.ok);
    return answer;
  }

  #count(overlay: Digest, answered: boolean): void {
    if (answered) return this.#strikes.answered(overlay);
    const strikes = this.#strikes.failed(overlay);
    this.#tell({ kind: 'strike', overlay, strikes });
    if (this.#strikes.quarantined(overlay)) this.#tell({ kind: 'quarantined', overlay });
  }

  #tell(event: EngineEvent): void {
    this.#options.onEvent?.(event);
  }
}

const NOTHING: LayerAnswer = { ok: true, findings: [] };

function byCandidate(findings: readonly Finding[], candidates: number): readonly LayerAnswer[] {
  const lists: Finding[][] = [];
  for (const finding of findings) (lists[finding.candidate] ??= []).push(finding);
  return Array.from({ length: candidates }, (_, i) => {
    const own = lists[i];
    return own === undefined ? NOTHING : { ok: true, findings: own };
  });
}
