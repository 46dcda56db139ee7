// Turns what the earlier stages know into the policy's input and asks the engine: one function for every route of every
// ecosystem, so that an artifact and the metadata that lists it are judged by the same document.

import type { Settings } from '@weir/shared/bundle/layers.ts';
import { type Coordinate, type Ecosystem, purl } from '@weir/shared/domain/coordinate.ts';
import type { Evidence } from '@weir/shared/domain/evidence.ts';
import type { Principal } from '@weir/shared/domain/principal.ts';
import type { Verdict } from '@weir/shared/domain/verdict.ts';
import type { PolicyEngine } from '@weir/shared/policy/engine.ts';
import type { Staleness } from '@weir/shared/policy/host-reasons.ts';
import {
  type Action,
  type Candidate,
  type EnforcementPoint,
  INPUT_SCHEMA,
  type PolicyInput,
} from '@weir/shared/policy/input.ts';
import type { ReleaseFile } from '../registries/adapter.ts';

/** Where this spoke stands; fixed at enrollment. */
export interface Place {
  readonly workspace: string;
  readonly unit: string;
  readonly site: string;
}

export interface DecisionRequest {
  readonly action: Action;
  readonly enforcementPoint: EnforcementPoint;
  readonly ecosystem: Ecosystem;
  /** Name of the configured registry. */
  readonly registry: string;
  readonly client: string;
  readonly principal: Principal;
  /** Unix seconds, read once per request. */
  readonly at: number;
  readonly staleness: Staleness;
  readonly candidates: readonly CandidateFacts[];
}

export interface CandidateFacts {
  readonly coordinate: Coordinate;
  /** As `promisedDigest` gives it. */
  readonly digest: string;
  readonly size: number | null;
  /** Unix seconds. */
  readonly publishedAt: number | null;
  readonly evidence: Evidence;
  readonly approvals: readonly string[];
}

/** One verdict per candidate, same order. Throws what `PolicyEngine.decide` throws. */
export function decide(
  engine: PolicyEngine,
  settings: Settings,
  place: Place,
  request: DecisionRequest,
): readonly Verdict[] {
  return engine.decide(policyInput(settings, place, request));
}

export function policyInput(settings: Settings, place: Place, request: DecisionRequest): PolicyInput {
  const { principal } = request;
  return {
    schema: INPUT_SCHEMA,
    request: {
      action: request.action,
      enforcement_point: request.enforcementPoint,
      ecosystem: request.ecosystem,
      registry: request.registry,
      client: request.client,
    },
    actor: { id: principal.id, kind: principal.kind, groups: principal.groups, mfa: principal.mfa },
    unit: {
      workspace: place.workspace,
      unit: place.unit,
      site: place.site,
      environment: settings.environment,
      labels: settings.labels,
    },
    context: { now: request.at, staleness: request.staleness, mode: settings.mode },
    candidates: request.candidates.map(candidateOf),
  };
}

function candidateOf(facts: CandidateFacts): Candidate {
  const { namespace, name, version } = facts.coordinate;
  return {
    subject: {
      purl: purl(facts.coordinate),
      namespace,
      name,
      version,
      digest: facts.digest,
      size: facts.size,
      published_at: facts.publishedAt,
    },
    evidence: facts.evidence,
    approvals: facts.approvals,
  };
}

/** The strongest digest that the index promises, as `alg:hex`; '' when it promises none. */
export function promisedDigest(digests: ReleaseFile['digests']): string {
  if (digests.sha512 !== undefined) return `sha512:${digests.sha512}`;
  if (digests.sha256 !== undefined) return `sha256:${digests.sha256}`;
  return digests.sha1 === undefined ? '' : `sha1:${digests.sha1}`;
}
