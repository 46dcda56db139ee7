// Evidence and decision, in this order, for any number of versions of one package. The one place where facts become a
// verdict, whatever route asked.

import { purl, type PackageName } from '@weir/shared/domain/coordinate.ts';
import type { Verdict } from '@weir/shared/domain/verdict.ts';
import { INPUT_SCHEMA, type Action, type Candidate, type PolicyInput } from '@weir/shared/policy/input.ts';
import { evaluateNameSignals, evaluateSignals } from '../evidence/findings.ts';
import type { Fact, SignalFacts } from '../evidence/signals/signal.ts';
import type { Release, ReleaseFile, Releases } from '../registries/adapter.ts';
import type { KnownExchange } from './exchange.ts';
import type { ContentDigests, PipelinePorts, Staleness } from './ports.ts';

/** One version to judge, with what is known of it. */
export interface Subject {
  readonly release: Release;
  /** The very file asked for; null in views. */
  readonly file: ReleaseFile | null;
  /** Digests of the stored bytes, once there are any. */
  readonly content: Fact<ContentDigests>;
  /** Licence from the artifact's own metadata where the index has none. */
  readonly coreMetadata: SignalFacts['coreMetadata'];
}

export const NOT_FETCHED: Fact<never> = Object.freeze({ known: false, reason: 'not_fetched_yet' });
export const NOT_ARTIFACT: Fact<never> = Object.freeze({ known: false, reason: 'not_an_artifact_request' });
const NOT_COLLECTED: Fact<never> = Object.freeze({ known: false, reason: 'not_collected' });

/** Verdicts for versions of one package, in the order given. */
export function judge(
  ports: Pick<PipelinePorts, 'facts' | 'staleness'>,
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
  const candidates = subjects.map((subject): Candidate => {
    const facts: SignalFacts = {
      ...shared,
      version: subject.release.version,
      release: { known: true, value: subject.release },
      file: subject.file === null ? NOT_ARTIFACT : { known: true, value: subject.file },
      content: subject.content,
      coreMetadata: subject.coreMetadata,
    };
    const file = subject.file ?? subject.release.files[0];
    return {
      subject: {
        purl: purl({ ...releases.name, version: subject.release.version }),
        namespace: releases.name.namespace,
        name: releases.name.name,
        version: subject.release.version,
        digest: promisedDigest(file),
        size: file?.size ?? null,
        published_at: subject.release.publishedAt,
      },
      evidence: evaluateSignals(facts, at),
      approvals: [],
    };
  });
  return exchange.policy.decide(inputOf(ports, exchange, action, candidates));
}

/**
 * Judges a name before anybody outside hears of it. Undefined when the name is none of the unit's own, so that asking
 * upstream gives nothing away.
 */
export function judgeName(
  ports: Pick<PipelinePorts, 'facts' | 'staleness'>,
  exchange: KnownExchange,
  action: Action,
  name: PackageName,
): Verdict | undefined {
  const at = Math.floor(exchange.atMs / 1000);
  const evidence = evaluateNameSignals(name, exchange.policy.settings, at);
  if (!Object.values(evidence).some(({ state }) => state === 'hit' || state === 'unknown')) return undefined;
  const candidate: Candidate = {
    subject: {
      purl: purl(name),
      namespace: name.namespace,
      name: name.name,
      version: '',
      digest: '',
      size: null,
      published_at: null,
    },
    evidence,
    approvals: [],
  };
  const [verdict] = exchange.policy.decide(inputOf(ports, exchange, action, [candidate]));
  return verdict;
}

export const NO_CORE_METADATA: SignalFacts['coreMetadata'] = NOT_COLLECTED;

/** The strongest digest that the index promises, as `alg:hex`; '' when it promises none. */
export function promisedDigest(file: ReleaseFile | undefined): string {
  if (file?.digests.sha512 !== undefined) return `sha512:${file.digests.sha512}`;
  if (file?.digests.sha256 !== undefined) return `sha256:${file.digests.sha256}`;
  return file?.digests.sha1 === undefined ? '' : `sha1:${file.digests.sha1}`;
}

/** Whom a verdict may differ for: the cache key's part that is not the subject. */
export function actorClass(exchange: KnownExchange, staleness: Staleness): string {
  const { principal } = exchange;
  return JSON.stringify([principal.id, principal.kind, principal.groups, exchange.client, staleness]);
}

function inputOf(
  ports: Pick<PipelinePorts, 'facts' | 'staleness'>,
  exchange: KnownExchange,
  action: Action,
  candidates: readonly Candidate[],
): PolicyInput {
  const { policy, principal, adapter } = exchange;
  return {
    schema: INPUT_SCHEMA,
    request: {
      action,
      enforcement_point: action === 'check' ? 'cli' : 'registry-proxy',
      ecosystem: adapter.ecosystem,
      registry: adapter.id,
      client: exchange.client,
    },
    actor: { id: principal.id, kind: principal.kind, groups: principal.groups, mfa: principal.mfa },
    unit: {
      workspace: ports.facts.workspace,
      unit: ports.facts.unit,
      site: ports.facts.site,
      environment: policy.settings.environment,
      labels: policy.settings.labels,
    },
    context: { now: Math.floor(exchange.atMs / 1000), staleness: ports.staleness(), mode: policy.settings.mode },
    candidates,
  };
}
