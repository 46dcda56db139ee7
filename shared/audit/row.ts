// One audit record, version 1. A row is its canonical JSON bytes: what is hashed, uploaded and stored is exactly what the
// spoke wrote. Keys are snake_case; integers that may pass 2^53 are strings.

import type { Level } from '../domain/level.ts';
import type { Mode } from '../domain/unit.ts';

export const ROW_VERSION = 1;
export const ROW_BYTES_MAX = 16 << 10;

export interface RowRule {
  readonly rule: string;
  readonly layer: 'floor' | 'overlay' | 'host';
  readonly code: string;
  readonly level: Level;
  readonly effective: Level;
  readonly exception: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

export interface AuditRow {
  readonly v: typeof ROW_VERSION;
  /** UUIDv7. */
  readonly id: string;
  /** Log id: `<unit>.<spoke>.<worker>.<epoch>`. */
  readonly log: string;
  /** Position in the log, from 0, without gaps. */
  readonly index: number;
  /** RFC 3339 UTC with milliseconds. */
  readonly time: string;
  readonly unit: string;
  readonly spoke: string;
  readonly site: string;
  /** `id` is a pseudonym, `h:` + 32 hex digits, or '' for nobody; only the hub knows whose. Groups are not recorded. */
  readonly actor: { readonly id: string; readonly kind: string };
  readonly request: {
    readonly ecosystem: string;
    readonly registry: string;
    readonly method: string;
    /** Route kind: metadata, artifact, sidecar, service, publish, unknown, unparsable, event. */
    readonly route: string;
    readonly client: string;
    /** File name or service name, ≤ 200 printable ASCII characters; '' when none. */
    readonly target: string;
  };
  readonly subject: {
    readonly purl: string;
    readonly digest: string;
  };
  /** What was asked: install, metadata, publish, admit, check, run; or `event` for rows about the spoke itself. */
  readonly action: string;
  readonly level: Level;
  readonly floor_level: Level;
  readonly overlay_level: Level;
  readonly mode: Mode;
  /** True when the level was acted on: a refusal in block, or an allow. */
  readonly enforced: boolean;
  /** HTTP status sent, 0 for events. */
  readonly status: number;
  /** Outcome in one snake_case word: served, filtered, refused, unauthenticated, unparsable, upstream_failed, … */
  readonly outcome: string;
  readonly rules: readonly RowRule[];
  readonly exceptions: readonly string[];
  /** Versions withheld from a metadata view, at most 100; `hidden_count` is the true number. */
  readonly hidden: readonly string[];
  readonly hidden_count: number;
  /** Bundle digest, '' while none is active. */
  readonly bundle: string;
  /** Input digest, '' when no policy ran. */
  readonly input: string;
  readonly engine: string;
  /** Microseconds from request to row. */
  readonly duration_us: number;
  /** W3C trace id (32 hex) or ''. */
  readonly trace: string;
  /** Request code; '' when the client was told none. */
  readonly code: string;
}

/** What the pipeline knows; the log adds v, log, index. */
export type RowDraft = Omit<AuditRow, 'v' | 'log' | 'index' | 'unit' | 'spoke' | 'site'>;
