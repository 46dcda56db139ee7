// One artifact, or a document bound to one: judged by what the index and the bytes say, then refused or streamed. Small
// files are fetched whole before they are judged, so that wrong bytes are refused in words; large ones stream, and their
// last bytes are withheld until size and digests hold.

import { fullName, purl } from '@weir/shared/domain/coordinate.ts';
import { rank } from '@weir/shared/domain/level.ts';
import type { Verdict } from '@weir/shared/domain/verdict.ts';
import { asWeirError, type WeirError } from '@weir/shared/errors/weir-error.ts';
import type { SignalFacts } from '../evidence/signals/signal.ts';
import type { ReleaseFile, Release, Releases, Route } from '../registries/adapter.ts';
import { isNotModified } from '../response/conditional.ts';
import { artifactEtag } from '../response/etag.ts';
import { advisedVersion } from '../response/refusal.ts';
import { staleWarning } from '../response/stale-warning.ts';
import { judged, type Answer, type KnownExchange, type Standing } from './exchange.ts';
import { promisedDigest } from '../decision/decide.ts';
import type { CacheQuestion, VerdictCache } from '../decision/verdict-cache.ts';
import { collectCoreMetadata } from './collect-core-metadata.ts';
import { actorClass, judge, judgeName, NOT_COLLECTED, NOT_FETCHED } from './judge.ts';
import { createNearest } from './nearest.ts';
import { notFound, refusedByPolicy, type Named } from './refuse.ts';
import type { Artifact, ArtifactKey, ArtifactPort, ContentDigests, FoundDocument, PipelinePorts } from './ports.ts';

/** Files up to this size are complete and verified before they are judged, bytes. */
export const WHOLE_BYTES_MAX = 1 << 20;

type ArtifactRoute = Extract<Route, { kind: 'artifact' | 'sidecar' }>;

interface Asked {
  readonly releases: Releases;
  readonly release: Release;
  readonly file: ReleaseFile;
  readonly subject: Named;
  readonly key: ArtifactKey;
  readonly coreMetadata: SignalFacts['coreMetadata'];
  /** The index could not be confirmed with upstream. */
  readonly stale: boolean;
  /** Of the index; undefined when the answer rests on more than index, bytes and verdict. */
  readonly isCurrent: (() => boolean) | undefined;
}

/** What policy says, and the question under which it is remembered. */
interface Ruling {
  readonly verdict: Verdict;
  readonly question: CacheQuestion;
}

export interface ArtifactRouteHandler {
  answer(exchange: KnownExchange, route: ArtifactRoute): Promise<Answer>;
}

export function createArtifactRoute(ports: PipelinePorts): ArtifactRouteHandler {
  const nearest = createNearest(ports);

  /** The verdict on one file, remembered while nothing that it depends on can have changed. */
  function verdictOn(
    exchange: KnownExchange,
    asked: Asked,
    content: SignalFacts['content'],
    document: FoundDocument,
  ): Ruling {
    const { policy, adapter, staleness } = exchange;
    const { coreMetadata } = asked;
    const now = Math.floor(exchange.atMs / 1000);
    const { namespace, name } = asked.subject;
    const key = [
      document.digest,
      adapter.id,
      namespace,
      name,
      asked.file.name,
      content.known ? content.value.sha256 : content.reason,
      coreMetadata.known ? `licence ${coreMetadata.value.licence}` : coreMetadata.reason,
      actorClass(exchange),
    ].join('\n');
    const question = { bundle: policy.digest, staleness, key };
    const [known] = policy.verdicts.recall(question, now) ?? [];
    if (known !== undefined) return { verdict: known, question };
    const verdicts = judge(ports, exchange, 'install', asked.releases, [
      { release: asked.release, file: asked.file, content, coreMetadata },
    ]);
    const [verdict] = verdicts;
    if (verdict === undefined) throw new Error('the engine gave no verdict');
    policy.verdicts.keep(question, verdicts, now);
    return { verdict, question };
  }

  function refusal(exchange: KnownExchange, asked: Asked, verdict: Verdict): Answer {
    const instead = nearest.to(exchange, asked.releases, asked.release);
    return refusedByPolicy(ports.facts, exchange, verdict, asked.subject, instead, 'install', {
      file: asked.file.name,
      digest: promisedDigest(asked.file.digests),
    });
  }

  /** The word to a developer who gets what policy would refuse or warns of; no header for whoever would not see it. */
  function adviceOn(exchange: KnownExchange, asked: Asked, verdict: Verdict): readonly (readonly [string, string])[] {
    const { adapter, policy, route, client, code } = exchange;
    if (verdict.level === 'allow' || route.kind !== 'artifact' || !adapter.abilities.successNotice) return [];
    if (policy.settings.mode === 'observe') return [];
    const allowedInstead =
      rank(verdict.level) >= rank('pending') ? nearest.to(exchange, asked.releases, asked.release) : '';
    const advised = advisedVersion(verdict, policy.rules, asked.subject, { code, allowedInstead });
    return advised === undefined ? [] : adapter.advice(advised, asked.releases.name, client);
  }

  async function fetched(
    exchange: KnownExchange,
    asked: Asked,
    ruling: Ruling,
    document: FoundDocument,
  ): Promise<Answer> {
    const artifact = await ports.artifacts.fetch(asked.key, exchange.signal);
    if (artifact === undefined) {
      return notFound(
        exchange,
        asked.subject,
        'install',
        `The upstream registry does not have ${asked.file.name}.`,
        asked.file.name,
      );
    }
    const size = artifact.source.size ?? asked.file.size;
    const partial = exchange.target.headers['range'] !== undefined || exchange.target.method === 'HEAD';
    if (!partial && (size === null || size > WHOLE_BYTES_MAX))
      return orRelease(artifact, () => served(exchange, asked, ruling, artifact));
    let content: ContentDigests;
    try {
      content = await artifact.verified;
    } catch (thrown) {
      artifact.source.release();
      const error = asWeirError(thrown, 'upstream_failed', 'the artifact could not be fetched');
      return onWrongBytes(exchange, asked, error, document);
    }
    return orRelease(artifact, () => {
      const again = verdictOn(exchange, asked, { known: true, value: content }, document);
      if (!refuses(exchange, again.verdict)) return served(exchange, asked, again, { ...artifact, content });
      artifact.source.release();
      return refusal(exchange, asked, again.verdict);
    });
  }

  /** Bytes that are not the promised ones: policy says so in its own words, and whatever it says they are not served. */
  function onWrongBytes(exchange: KnownExchange, asked: Asked, error: WeirError, document: FoundDocument): Answer {
    const { algorithm, got } = error.detail;
    if (error.code !== 'integrity' || typeof algorithm !== 'string' || typeof got !== 'string') throw error;
    const content: ContentDigests = {
      sha512: '',
      sha256: '',
      sha1: '',
      size: 0,
      ...asked.file.digests,
      [algorithm]: got,
    };
    const { verdict } = verdictOn(exchange, asked, { known: true, value: content }, document);
    if (rank(verdict.level) < rank('deny')) throw error;
    return refusal(exchange, asked, verdict);
  }

  function served(exchange: KnownExchange, asked: Asked, ruling: Ruling, artifact: Artifact): Answer {
    const { verdict } = ruling;
    const { adapter, target, policy } = exchange;
    // Before the bytes are known their name is what the index promises; afterwards it is what they are.
    const etag = artifact.content === null ? '' : artifactEtag(artifact.content.sha256);
    const advice = adviceOn(exchange, asked, verdict);
    const headers = [
      'content-type',
      adapter.artifactContentType(asked.file.name),
      'x-weir-bundle',
      policy.digest,
      'x-weir-row',
      exchange.id,
    ];
    if (advice.length === 0) headers.push('cache-control', 'private, no-cache');
    else headers.push(...advice.flat());
    if (etag !== '') headers.push('etag', etag);
    if (asked.stale) headers.push(...staleWarning(exchange.atMs));
    const range = { range: target.headers['range'], ifRange: target.headers['if-range'], etag };
    const common = {
      ...judged(verdict),
      outcome: rank(verdict.level) >= rank('pending') ? 'served_unenforced' : asked.stale ? 'served_stale' : 'served',
      action: 'install',
      purl: purl(asked.subject),
      digest: artifact.content === null ? promisedDigest(asked.file.digests) : `sha256:${artifact.content.sha256}`,
      enforced: rank(verdict.level) < rank('pending'),
      hidden: [],
      coded: advice.length > 0,
      file: asked.file.name,
    } as const;
    const standing = advice.length > 0 ? undefined : standingOf(exchange, asked, ruling, artifact);
    if (etag !== '' && isNotModified(target.headers, etag)) {
      artifact.source.release();
      return {
        ...common,
        reply: {
          kind: 'bytes',
          reply: { status: 304, reasonPhrase: 'Not Modified', headers: pairs(headers), body: Buffer.alloc(0) },
        },
        ...(standing === undefined ? {} : { standing }),
      };
    }
    return {
      ...common,
      reply: { kind: 'artifact', artifact, headers, range },
      ...(standing === undefined ? {} : { standing }),
    };
  }

  /** Only what is whole in memory and rests on facts that all were at hand is worth giving again without a second thought. */
  function standingOf(
    { policy }: KnownExchange,
    { key, isCurrent, coreMetadata }: Asked,
    { verdict, question }: Ruling,
    { bytes, content }: Artifact,
  ): Standing | undefined {
    if (bytes === null || content === null || isCurrent === undefined) return undefined;
    if (!coreMetadata.known && coreMetadata !== NOT_COLLECTED) return undefined;
    return artifactStanding(ports.artifacts, policy.verdicts, isCurrent, {
      key,
      sha256: content.sha256,
      verdict,
      question,
    });
  }

  return {
    async answer(exchange, route) {
      const { adapter, signal } = exchange;
      const { coordinate } = route;
      const early = judgeName(ports, exchange, 'install', coordinate);
      if (early !== undefined && refuses(exchange, early)) {
        return refusedByPolicy(ports.facts, exchange, early, coordinate, '', 'install', {
          file: route.file,
          digest: '',
        });
      }
      const name = fullName(coordinate);
      const document = await ports.metadata.read(adapter, coordinate, signal);
      if (document.kind === 'not_found') {
        return notFound(exchange, coordinate, 'install', `The upstream registry has no package ${name}.`, route.file);
      }
      const { releases } = document;
      const found = adapter.findFile(releases, route);
      if (found === undefined) {
        return notFound(
          exchange,
          coordinate,
          'install',
          `The index of ${name} does not list ${route.file}.`,
          route.file,
        );
      }
      const key = {
        registry: adapter.id,
        name: releases.name,
        file: found.file,
        documentUrl: document.document.baseUrl,
      };
      const asked: Asked = {
        releases,
        ...found,
        subject: { ...coordinate, version: found.release.version },
        key,
        stale: document.stale,
        isCurrent: document.stale || early !== undefined ? undefined : document.isCurrent,
        coreMetadata:
          route.kind === 'artifact' ? await collectCoreMetadata(ports.artifacts, adapter, key, signal) : NOT_COLLECTED,
      };
      const stored = await ports.artifacts.find(asked.key);
      const content: SignalFacts['content'] =
        stored === undefined || stored.content === null ? NOT_FETCHED : { known: true, value: stored.content };
      return orRelease(stored, () => {
        const ruling = verdictOn(exchange, asked, content, document);
        if (refuses(exchange, ruling.verdict)) {
          stored?.source.release();
          return refusal(exchange, asked, ruling.verdict);
        }
        return stored === undefined
          ? fetched(exchange, asked, ruling, document)
          : served(exchange, asked, ruling, stored);
      });
    },
  };
}

/** An answer that never comes about must not keep the artifact open; releasing twice is harmless. */
async function orRelease(artifact: Artifact | undefined, answer: () => Answer | Promise<Answer>): Promise<Answer> {
  try {
    return await answer();
  } catch (thrown) {
    artifact?.source.release();
    throw thrown;
  }
}

/** Made out here, so that it keeps alive what it names and nothing of the request it was made for. */
function artifactStanding(
  artifacts: ArtifactPort,
  verdicts: VerdictCache,
  isCurrent: () => boolean,
  was: Ruling & { readonly key: ArtifactKey; readonly sha256: string },
): Standing {
  return {
    body(at) {
      if (!isCurrent() || verdicts.recall(was.question, at)?.[0] !== was.verdict) return undefined;
      const artifact = artifacts.held(was.key);
      return artifact?.content?.sha256 === was.sha256 ? (artifact.bytes ?? undefined) : undefined;
    },
  };
}

function pairs(flat: readonly string[]): (readonly [string, string])[] {
  const list: (readonly [string, string])[] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) list.push([flat[i] ?? '', flat[i + 1] ?? '']);
  return list;
}

function refuses(exchange: KnownExchange, verdict: Verdict): boolean {
  return exchange.policy.settings.mode === 'block' && rank(verdict.level) >= rank('pending');
}
