// A bundle on the wire and on disk: one signed manifest naming content-addressed layers. The bundle's own digest is the
// SHA-256 of the exact statement bytes inside the DSSE envelope.

import type { Digest } from '../domain/digest.ts';

export const PREDICATE_TYPE = 'urn:weir:bundle:v1';
export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
export const PAYLOAD_TYPE = 'application/vnd.in-toto+json';

export const LAYER_NAMES = [
  'floor',
  'overlay',
  'rules',
  'intel',
  'exceptions',
  'identities',
  'settings',
  'selftest',
] as const;
export type LayerName = (typeof LAYER_NAMES)[number];

/** Media types by layer. `floor` and `overlay` are wasm modules; everything else is canonical JSON. */
export const MEDIA_TYPES = {
  floor: 'application/wasm',
  overlay: 'application/wasm',
  rules: 'application/vnd.weir.rules.v1+json',
  intel: 'application/vnd.weir.intel.v1+json',
  exceptions: 'application/vnd.weir.exceptions.v1+json',
  identities: 'application/vnd.weir.identities.v1+json',
  settings: 'application/vnd.weir.settings.v1+json',
  selftest: 'application/vnd.weir.selftest.v1+json',
} as const satisfies Record<LayerName, string>;

export interface LayerRef {
  readonly name: LayerName;
  readonly media_type: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

/** The predicate of the signed statement; its `subject` list names the same layers by digest. */
export interface Manifest {
  readonly schema: 'weir.manifest/v1';
  readonly workspace: string;
  /** Audience: the one unit that may activate it. */
  readonly unit: string;
  /** Raised when a signing history starts anew (key loss, restore); higher epoch beats any version. */
  readonly epoch: number;
  /** Strictly increasing within an epoch. */
  readonly version: number;
  /** Digest of the unit's previous bundle, null for the first. */
  readonly prev: Digest | null;
  /** Unix seconds. */
  readonly issued_at: number;
  readonly expires: number;
  readonly layers: readonly LayerRef[];
  /** Lowest engine that may run it, e.g. `weir/1`. */
  readonly min_engine: string;
  /** Whether compiled layers read per-version fields; when false, versions with equal evidence share one evaluation. */
  readonly reads_version: boolean;
}

/** Engine contract this code implements; a manifest with a higher `min_engine` is refused. */
export const ENGINE_LEVEL = 1;
export const ENGINE = `weir/${ENGINE_LEVEL}`;

export const BUNDLE_LIMITS = {
  envelopeBytes: 1 << 20,
  manifestBytes: 256 << 10,
  wasmBytes: 4 << 20,
  jsonLayerBytes: 64 << 20,
  layers: 16,
} as const;
