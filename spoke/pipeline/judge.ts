// Evidence and decision, in this order, for any number of versions of one package. The one place where facts become a
// verdict, whatever route asked.

import type { PackageName } from '@weir/shared/domain/coordinate.ts';
import { digestOf } from '@weir/shared/domain/digest.ts';
import type { Evidence } from '@weir/shared/domain/evidence.ts';
import type { Verdict } from '@weir/shared/domain/verdict.ts';
import type { Action } from '@weir/shared/policy/input.ts';
import { type CandidateFacts, decide, promisedDigest } from '../decision/decide.ts';
import { evaluateNameSignals, evaluateSignals } from '../evidence/findings.ts';
import type { Fact, SignalFacts } from '../evidence/signals/signal.ts';
import type { Release, ReleaseFile, Releases } from '../registries/adapter.ts';
import type { KnownExchange } from './exchange.ts';
import type { PipelinePorts } from './ports.ts';

/** One version to judge, with what is known of it. */
export interface Subject {
  readonly release: Release;
  /** The very file asked for; null in views. */
  readonly file: ReleaseFile | null;
  /** Digests of the stored bytes, once there are any. */
  readonly content: SignalFacts['content'];
  /** What the artifact's own metadata says where the index has nothing. */
  readonly coreMetadata: SignalFacts['coreMetadata'];
}

export const NOT_FETCHED: Fact<never> = Object.freeze({ known: false, reason: 'not_fetched_yet' });
export const NOT_COLLECTED: Fact<never> = Object.freeze({ known: false, reason: 'not_collected' });
const NOT_ARTIFACT: Fact<never> = Object.freeze({ known: false, reason: 'not_an_artifact_request' });

/** A version as a view or a check sees it: nothing but what the index says. */
export function asListed(release: Release): Subject {
  return { release, file: null, content: NOT_ARTIFACT, coreMetadata: NOT_COLLECTED };
}

/** Verdicts for versions of one package, in the order given. */
export function judge(
  ports: PipelinePorts,
  exchange: KnownExchange,
  action: Action,
  releases: Releases,
  subjects: readonly Subject[],
): readonly Verdict[] {
  const at = Math.floor(exchange.atMs / 1000);
  const shared = {
    name: releases.name,
    releases: { known: true, value: releases },
    intel: { known: true, value: exchange.policy.intel },
    settings: exchange.policy.settings,
  } as const;
  const candidates = subjects.map(({ release, file, content, coreMetadata }) =>
    candidateOf(
      releases.name,
      release,
      file,
      evaluateSignals(
        {
          ...shared,
          version: release.version,
          release: { known: true, value: release },
          file: file === null ? NOT_ARTIFACT : { known: true, value: file },
          content,
          coreMetadata,
        },
        at,
      ),
    ),
  );
  return verdictsOf(ports, exchange, action, candidates);
}

/**
 * Judges a name before anybody outside hears of it. Undefined when the name is none of the unit's own, so that asking
 * upstream gives nothing away.
 */
export function judgeName(
  ports: PipelinePorts,
  exchange: KnownExchange,
  action: Action,
  name: PackageName,
): Verdict | undefined {
  const evidence = evaluateNameSignals(name, exchange.policy.settings, Math.floor(exchange.atMs / 1000));
  if (!Object.values(evidence).some(({ state }) => state === 'hit' || state === 'unknown')) return undefined;
  const [verdict] = verdictsOf(ports, exchange, action, [candidateOf(name, undefined, null, evidence)]);
  return verdict;
}

function candidateOf(
  name: PackageName,
  release: Release | undefined,
  file: ReleaseFile | null,
  evidence: Evidence,
): CandidateFacts {
  const described = file ?? release?.files[0];
  return {
    coordinate: { ...name, version: release?.version ?? '' },
    digest: described === undefined ? '' : promisedDigest(described.digests),
    size: described?.size ?? null,
    publishedAt: release?.publishedAt ?? null,
    evidence,
    approvals: [],
  };
}

function verdictsOf(
  ports: PipelinePorts,
  exchange: KnownExchange,
  action: Action,
  candidates: readonly CandidateFacts[],
): readonly Verdict[] {
  const { policy, adapter, client, principal } = exchange;
  return decide(policy.engine, policy.settings, ports.facts, {
    action,
    enforcementPoint: action === 'check' ? 'cli' : 'registry-proxy',
    ecosystem: adapter.ecosystem,
    registry: adapter.id,
    client,
    principal,
    at: Math.floor(exchange.atMs / 1000),
    staleness: exchange.staleness,
    candidates,
  });
}

/** Characters of an actor class that is written out; a principal of many groups would fill the caches with their names. */
const ACTOR_CHARS_MAX = 256;

/** Whom a verdict may differ for: the part of a cache key that is not the subject. */
export function actorClass({ principal, client }: KnownExchange): string {
  const text = JSON.stringify([principal.id, principal.kind, principal.groups, principal.mfa, client]);
  return text.length <= ACTOR_CHARS_MAX ? text : digestOf(text);
}
