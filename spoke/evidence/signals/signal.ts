// The one interface of a signal: one deterministic, offline fact about a candidate. A signal fetches nothing, reads no
// clock and decides nothing; missing facts make it `unknown` with a reason, a thrown error does too.

import type { PackageName } from '@weir/shared/domain/coordinate.ts';
import type { SignalOutcome } from '@weir/shared/domain/evidence.ts';
import type { Settings } from '@weir/shared/bundle/layers.ts';
import type { Release, ReleaseFile, Releases } from '../../registries/adapter.ts';
import type { IntelIndex } from '../intel-index.ts';

/** A fact that collectors could or could not get; the reason is a snake_case code. */
export type Fact<T> = { readonly known: true; readonly value: T } | { readonly known: false; readonly reason: string };

export interface SignalFacts {
  readonly name: PackageName;
  /** '' when the version is not known (unparsable file name). */
  readonly version: string;
  /** All releases of the package, from the upstream index. */
  readonly releases: Fact<Releases>;
  /** The candidate's own release; unknown when the index does not list it. */
  readonly release: Fact<Release>;
  /** The very file asked for, in artifact requests; unknown `not_an_artifact_request` in views. */
  readonly file: Fact<ReleaseFile>;
  /** Digests of the bytes as stored, once fetched: hex by algorithm. */
  readonly content: Fact<{
    readonly sha512: string;
    readonly sha256: string;
    readonly sha1: string;
    readonly size: number;
  }>;
  /** Core metadata of the artifact (PyPI METADATA) where fetched. */
  readonly coreMetadata: Fact<{ readonly licence: string | undefined }>;
  readonly intel: Fact<IntelIndex>;
  readonly settings: Settings;
}

export type FactKind = 'name' | 'releases' | 'release' | 'file' | 'content' | 'coreMetadata' | 'intel' | 'settings';

export interface Signal {
  /** Catalogue number, e.g. `S07`. */
  readonly id: string;
  /** Key in `evidence`, snake_case. */
  readonly name: string;
  readonly version: string;
  readonly lifecycle: 'experimental' | 'stable' | 'deprecated';
  readonly question: string;
  readonly motivation: string;
  readonly remediation: string;
  readonly needs: readonly FactKind[];
  /** @param at unix seconds */
  evaluate(facts: SignalFacts, at: number): SignalOutcome;
}
