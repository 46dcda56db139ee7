// What the pipeline is given by `main`: the active policy, sources of documents and artifacts, the audit log, time and
// chance. Everything behind these ports can be slow or fail; nothing behind them decides.

import type { Rules, Settings } from '@weir/shared/bundle/layers.ts';
import type { PackageName } from '@weir/shared/domain/coordinate.ts';
import type { Digest } from '@weir/shared/domain/digest.ts';
import type { PolicyEngine } from '@weir/shared/policy/engine.ts';
import type { Staleness } from '@weir/shared/policy/host-reasons.ts';
import type { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import type { RowConstants, RowTemplate, RowValues } from '../audit/row-template.ts';
import type { VerdictCache } from '../decision/verdict-cache.ts';
import type { IntelIndex } from '../evidence/intel-index.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import type { Recorded } from '../response/receipt-header.ts';
import type { Adapter, MetadataDocument, ReleaseFile, Releases, UpstreamRequest } from '../registries/adapter.ts';

/** Everything a request takes from the active bundle; a request keeps the one it began with. */
export interface ActivePolicy {
  readonly digest: Digest;
  readonly settings: Settings;
  readonly rules: Rules;
  readonly intel: IntelIndex;
  readonly authenticator: Authenticator;
  readonly engine: PolicyEngine;
  readonly verdicts: VerdictCache;
}

export interface FoundDocument {
  readonly kind: 'found';
  readonly document: MetadataDocument;
  /** Identifies exactly these bytes. */
  readonly digest: Digest;
  /** What the adapter reads in it. */
  readonly releases: Releases;
  /** Served although upstream failed to confirm it. */
  readonly stale: boolean;
  /** Whether reading it at this moment would give exactly these bytes again, fresh and without asking upstream. */
  readonly isCurrent: () => boolean;
}

export interface MetadataPort {
  /** The index document of a package. @throws WeirError `upstream_failed`, `timeout`, `too_large`, `resource_exhausted`, `unavailable` */
  read(
    adapter: Adapter,
    name: PackageName,
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
  readonly name: PackageName;
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

/** Bytes at positions, some of which may still be on their way. */
export interface ByteSource {
  /** Total bytes; null while nobody knows. */
  readonly size: number | null;
  /** Resolves with the number of bytes read, 0 at the end; rejects when they turn out not to be the promised ones. */
  read(target: Uint8Array, position: number): Promise<number>;
  release(): void;
}

/** An artifact on this spoke. Whoever gets one releases it once, by `release` or by handing `source` to a reply. */
export interface Artifact {
  /** Known once the bytes are complete and verified; null during the download. */
  readonly content: ContentDigests | null;
  /** All bytes when they are few and complete; else they are read through `source`. */
  readonly bytes: Buffer | null;
  readonly source: ByteSource;
  /** @throws WeirError `integrity` (with `algorithm` and `got` in `detail`), `upstream_failed`, `too_large`, `timeout` */
  readonly verified: Promise<ContentDigests>;
}

export interface ArtifactPort {
  /** The artifact when its bytes are in memory; nothing to release. */
  held(key: ArtifactKey): Artifact | undefined;
  /** The stored artifact, undefined when it has to be fetched. */
  find(key: ArtifactKey): Promise<Artifact | undefined>;
  /** Starts or joins the one download of this artifact; undefined when upstream does not have it. */
  fetch(key: ArtifactKey, signal: AbortSignal): Promise<Artifact | undefined>;
}

/** The audit log; whatever is appended resolves once it is durable. */
export interface AuditPort {
  /** @throws WeirError `spool_failed` or `resource_exhausted` */
  append(row: RowDraft): Promise<Recorded>;
  /** Prepares rows that differ in nothing but their values. @throws WeirError `invalid_argument` */
  template(constants: RowConstants): RowTemplate;
  /** Same errors as `append`. */
  appendTo(template: RowTemplate, values: RowValues): Promise<Recorded>;
  /** Its files are not what was written, and nobody has accepted that yet. */
  damaged(): boolean;
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

export interface RangeRequest {
  readonly range?: string | undefined;
  readonly ifRange?: string | undefined;
  /** Strong entity tag of the representation. */
  readonly etag: string;
}

/** How an answer leaves; the listener's reply. */
export interface ReplyPort {
  readonly headSent: boolean;
  sendBuffer(status: number, reason: string, rawHeaders: readonly string[], body: Buffer, range?: RangeRequest): void;
  sendFile(
    reason: string,
    rawHeaders: readonly string[],
    source: ByteSource,
    range?: RangeRequest,
  ): Promise<
    | { readonly kind: 'sent' | 'client_gone'; readonly bytes: number }
    | { readonly kind: 'failed'; readonly bytes: number; readonly headSent: boolean; readonly error: WeirError }
  >;
  destroy(): void;
}
