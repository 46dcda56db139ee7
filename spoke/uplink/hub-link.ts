// The spoke's view of its hub, as a port. The gRPC implementation is `io/hub-link.ts`; nothing here knows of a socket.

import type { Digest } from '@weir/shared/domain/digest.ts';

/** A bundle as the hub offers it. */
export interface BundleOffer {
  readonly digest: Digest;
  readonly epoch: number;
  readonly version: number;
}

export interface HubOffer {
  /** Null while the hub has no bundle for this unit. */
  readonly bundle: BundleOffer | null;
  /** Hub time, unix milliseconds. */
  readonly hubTimeMs: number;
}

export interface StatusReport {
  readonly active: BundleOffer | null;
  readonly mode: 'block' | 'warn' | 'observe';
  readonly staleness: 'fresh' | 'warn' | 'restrict' | 'deny';
  readonly engine: string;
  readonly version: string;
  readonly startedAtMs: number;
  readonly site: string;
  readonly logs: readonly {
    readonly log: string;
    readonly nextIndex: number;
    readonly acknowledged: number;
    readonly freeBytes: number;
  }[];
  readonly nack: { readonly code: string; readonly detail: string; readonly bundle: BundleOffer } | null;
  readonly spoolHealthy: boolean;
}

/** What became of an offer; `nack` is '' on success. */
export interface ActivationReport {
  readonly bundle: BundleOffer;
  readonly stage: 'offered' | 'fetched' | 'verified' | 'compiled' | 'tested' | 'active';
  readonly nack: string;
  readonly detail: string;
  readonly active: BundleOffer | null;
}

/** Every call may reject with WeirError `unavailable`, `timeout`, `forbidden` or `unauthenticated`. */
export interface HubLink {
  /** Offers as they come, the current one first; ends when the stream does. */
  watch(active: BundleOffer | null, signal: AbortSignal): AsyncIterable<HubOffer>;
  current(signal: AbortSignal): Promise<HubOffer>;
  reportActivation(report: ActivationReport, signal: AbortSignal): Promise<void>;
  /** @returns milliseconds until the next report is expected */
  reportStatus(
    status: StatusReport,
    signal: AbortSignal,
  ): Promise<{ readonly hubTimeMs: number; readonly intervalMs: number }>;
}
