// What the pipeline is given by `main`: the active policy, sources of documents and artifacts, the audit log, time and
// chance. Everything behind these ports can be slow or fail; nothing behind them decides.

import type { Rules, Settings } from '@weir/shared/bundle/layers.ts';
import type { Digest } from '@weir/shared/domain/digest.ts';
import type { Verdict } from '@weir/shared/domain/verdict.ts';
import type { PolicyInput } from '@weir/shared/policy/input.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import type { IntelIndex } from '../evidence/intel-index.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import type { Adapter, MetadataDocument, ReleaseFile, UpstreamRequest } from '../registries/adapter.ts';

/** Everything a request takes from the active bundle; a request keeps the one it began with. */
export interface ActivePolicy {
  readonly digest: Digest;
  readonly settings: Settings;
  readonly rules: Rules;
  readonly intel: IntelIndex;
  readonly authenticator: Authenticator;
  /** One verdict per candidate, in order. Synchronous and bounded: an engine failure is a verdict too. */
  decide(input: PolicyInput): readonly Verdict[];
}

export type Staleness = 'fresh' | 'warn' | 'restrict' | 'deny';

export interface FoundDocument {
  readonly kind: 'found';
  readonly document: MetadataDocument;
  /** Identifies exactly these bytes. */
  readonly digest: Digest;
  /** Served although upstream failed to confirm it. */
  readonly stale: boolean;
}

export interface MetadataPort {
  /** @throws WeirError `upstream_failed`, `timeout`, `too_large`, `resource_exhausted`, `unavailable` */
  read(
    registry: string,
    name: string,
    request: UpstreamRequest,
    signal: AbortSignal,
  ): Promise<FoundDocument | { readonly kind: 'not_found' }>;
  /** Forwards a service request (search, keys); never cached. */
  ask(
    registry: string,
    request: UpstreamRequest,
    signal: AbortSignal,
  ): Promise<{ readonly kind: 'found'; readonly body: Uint8Array } | { readonly kind: 'not_found' }>;
}

export interface ArtifactKey {
  readonly registry: string;
  readonly name: string;
  readonly file: ReleaseFile;
  /** `MetadataDocument.baseUrl` of the index that lists the file. */
  readonly documentUrl: string;
}

export interface ContentDigests {
  readonly sha512: string;
  readonly sha256: string;
  readonly sha1: string;
  readonly size: number;
}

/** A stored, verified artifact; `release` must be called once. */
export interface StoredArtifact {
  readonly content: ContentDigests;
  /** All bytes when they are few; null when they are streamed from disk. */
  readonly bytes: Buffer | null;
  /** Bytes [start, end) in order. */
  read(start: number, end: number, signal: AbortSignal): AsyncIterable<Buffer>;
  release(): void;
}

/** A download under way: bytes as they come, the last ones only once everything is verified. */
export interface ArtifactTransfer {
  /** As upstream announces it; null when it does not. */
  readonly size: number | null;
  read(signal: AbortSignal): AsyncIterable<Buffer>;
  /** @throws WeirError `integrity` (with `detail.sha256`), `upstream_failed`, `too_large`, `timeout` */
  readonly verified: Promise<ContentDigests>;
}

export interface ArtifactPort {
  find(key: ArtifactKey): Promise<StoredArtifact | undefined>;
  /** Starts or joins the one download of this artifact; undefined when upstream does not have it. */
  fetch(key: ArtifactKey, signal: AbortSignal): Promise<ArtifactTransfer | undefined>;
}

export interface AuditPort {
  /** Resolves once the row is durable. @throws WeirError `spool_failed` or `resource_exhausted` */
  append(row: RowDraft): Promise<void>;
}

export interface SpokeFacts {
  readonly workspace: string;
  readonly unit: string;
  readonly spoke: string;
  readonly site: string;
  /** '' = from the request's Host header. */
  readonly publicUrl: string;
  /** With `{code}`; '' when there is no console. */
  readonly requestUrl: string;
  readonly engine: string;
  hashActor(principalId: string): string;
}

export interface PipelinePorts {
  readonly adapters: readonly Adapter[];
  policy(): ActivePolicy | undefined;
  staleness(): Staleness;
  readonly metadata: MetadataPort;
  readonly artifacts: ArtifactPort;
  readonly log: AuditPort;
  readonly facts: SpokeFacts;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}
