// Published policy sources (the floor, and one overlay per unit) and the documents that become layers of every unit's
// bundle (intel, exceptions). Versions only grow; nothing is ever rewritten.

import type { Digest } from '@weir/shared/domain/digest.ts';
import type { JsonObject } from '@weir/shared/domain/json.ts';
import type { LayerRef } from '@weir/shared/bundle/manifest.ts';

export type PolicyScope = { readonly kind: 'floor' } | { readonly kind: 'overlay'; readonly unit: string };

export interface SourceFile {
  /** Relative, '/'-separated, no '..'. */
  readonly path: string;
  readonly content: Uint8Array;
}

export interface NewPolicy {
  readonly scope: PolicyScope;
  readonly files: readonly SourceFile[];
  /** Digest over the source tree. */
  readonly digest: Digest;
  /** What was compiled from it (wasm, rules, self-test vectors …), put as layers before; reused by later bundles. */
  readonly layers: readonly LayerRef[];
  /** What later bundles need to know of the compilation (rule count, coverage, reads_version …). */
  readonly facts: JsonObject;
  readonly rules: number;
  readonly note: string;
  /** Operator name. */
  readonly by: string;
}

export interface PolicyVersion extends Omit<NewPolicy, 'files'> {
  /** From 1, without gaps, per scope. */
  readonly version: number;
  readonly publishedAtMs: number;
}

export interface PolicyVersionPage {
  readonly versions: readonly PolicyVersion[];
  readonly nextCursor: string;
}

export type DocumentKind = 'intel' | 'exceptions';

export interface PolicyDocument {
  readonly kind: DocumentKind;
  readonly version: number;
  /** The bytes are the layer of this digest. */
  readonly digest: Digest;
  readonly size: number;
  readonly publishedAtMs: number;
  readonly by: string;
}

export interface PolicyStore {
  /** Inserts the scope's next version. Throws `not_found` for the overlay of an unknown unit. */
  insertSources(policy: NewPolicy): Promise<PolicyVersion>;

  latest(scope: PolicyScope): Promise<PolicyVersion | undefined>;

  /** Newest first. */
  list(scope: PolicyScope, page: { readonly size: number; readonly cursor: string }): Promise<PolicyVersionPage>;

  /** The source files of one version (0 means the latest), undefined when there is none. */
  read(scope: PolicyScope, version: number): Promise<readonly SourceFile[] | undefined>;

  /** Records a new document whose bytes were put as a layer before. */
  insertDocument(document: {
    readonly kind: DocumentKind;
    readonly digest: Digest;
    readonly size: number;
    readonly by: string;
  }): Promise<PolicyDocument>;

  latestDocument(kind: DocumentKind): Promise<PolicyDocument | undefined>;
}
