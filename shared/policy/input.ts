// The input document `weir.input/v1`: the only thing a policy sees. Always a batch: a single request is a batch of one.
// Built from typed values only, serialised as canonical JSON (RFC 8785); its digest goes into every row.

import type { Evidence } from '../domain/evidence.ts';
import type { Mode } from '../domain/unit.ts';

export const INPUT_SCHEMA = 'weir.input/v1';

export type Action = 'install' | 'metadata' | 'publish' | 'admit' | 'check' | 'run';
export type EnforcementPoint = 'registry-proxy' | 'admission' | 'cli' | 'hub';

export interface PolicyInput {
  readonly schema: typeof INPUT_SCHEMA;
  readonly request: {
    readonly action: Action;
    readonly enforcement_point: EnforcementPoint;
    readonly ecosystem: string;
    /** Name of the configured registry (never its address). */
    readonly registry: string;
    /** Client family from a closed list: npm, pnpm, yarn, pip, uv, other. */
    readonly client: string;
  };
  readonly actor: {
    readonly id: string;
    readonly kind: string;
    readonly groups: readonly string[];
    readonly mfa: boolean;
  };
  readonly unit: {
    readonly workspace: string;
    readonly unit: string;
    readonly site: string;
    readonly environment: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly context: {
    /** Unix seconds, read once per decision. */
    readonly now: number;
    readonly staleness: 'fresh' | 'warn' | 'restrict' | 'deny';
    readonly mode: Mode;
  };
  readonly candidates: readonly Candidate[];
}

export interface Candidate {
  readonly subject: {
    readonly purl: string;
    readonly namespace: string;
    readonly name: string;
    readonly version: string;
    /** Digest promised by the index as `alg:hex`, '' when it promises none. */
    readonly digest: string;
    /** Bytes; null when unknown. */
    readonly size: number | null;
    /** Unix seconds; null when unknown. */
    readonly published_at: number | null;
  };
  readonly evidence: Evidence;
  /** Ids of approvals in force for this subject; filled by the approval flow. */
  readonly approvals: readonly string[];
}

/** What every layer must answer: the echo of the input's schema and a list of findings, nothing else. */
export interface LayerOutput {
  readonly schema: typeof INPUT_SCHEMA;
  readonly findings: readonly unknown[];
}

/** Entry point of the floor module and of every overlay module, as a slash path. */
export const FLOOR_ENTRYPOINT = 'weir/floor/main/result';
/** Overlay of unit `payments` lives in package `weir.overlay.payments` ('-' becomes '_'). */
export function overlayEntrypoint(unit: string): string {
  return `weir/overlay/${unit.replaceAll('-', '_')}/result`;
}
