// From what is published to the parts of one bundle, as pure functions: layers with their digests, and the manifest that
// names them. Equal content gives equal bytes, so an unchanged layer keeps its digest and is never sent again.

import {
  exceptionsSchema,
  identitiesSchema,
  rulesSchema,
  settingsSchema,
  type Exceptions,
  type Identities,
  type Rules,
  type Selftest,
  type Settings,
} from '@weir/shared/bundle/layers.ts';
import {
  ENGINE,
  LAYER_NAMES,
  MEDIA_TYPES,
  type LayerName,
  type LayerRef,
  type Manifest,
} from '@weir/shared/bundle/manifest.ts';
import { layerLimit } from '@weir/shared/bundle/statement.ts';
import { canonicalJson } from '@weir/shared/crypto/canonical-json.ts';
import { digestOf, type Digest } from '@weir/shared/domain/digest.ts';
import { ANONYMOUS } from '@weir/shared/domain/principal.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { UnitToken } from '../store/unit-token-store.ts';

export interface Layer {
  readonly ref: LayerRef;
  readonly bytes: Uint8Array;
}

/** Throws `too_large` for a layer that no spoke would accept. */
export function layerOf(name: LayerName, bytes: Uint8Array): Layer {
  if (bytes.byteLength > layerLimit(name)) {
    throw new WeirError('too_large', `layer ${name} has ${bytes.byteLength} bytes, more than spokes accept`);
  }
  const ref = { name, media_type: MEDIA_TYPES[name], digest: digestOf(bytes), size: bytes.byteLength };
  return { ref, bytes };
}

export function jsonLayer(name: Exclude<LayerName, 'floor' | 'overlay'>, value: unknown): Layer {
  return layerOf(name, new TextEncoder().encode(canonicalJson(value)));
}

/** Rules and texts of both layers; the gates keep their ids and codes apart. */
export function mergeRules(floor: Rules, overlay: Rules | null): Rules {
  if (overlay === null) return floor;
  return rulesSchema.parse({
    schema: 'weir.rules/v1',
    rules: [...floor.rules, ...overlay.rules],
    texts: { ...overlay.texts, ...floor.texts },
  });
}

/** `pseudonyms` of principals by name, that of `anonymous` among them; what it lacks the spoke makes itself. */
export function identitiesOf(
  unit: string,
  tokens: readonly UnitToken[],
  pseudonyms: ReadonlyMap<string, string>,
): Identities {
  const anonymous = pseudonyms.get(ANONYMOUS);
  return identitiesSchema.parse({
    schema: 'weir.identities/v1',
    unit,
    tokens: tokens
      .map(({ id, sha256, principal, kind, groups, expiresAtMs }) => ({
        id,
        sha256,
        principal,
        kind,
        groups,
        expires: expiresAtMs === null ? null : Math.floor(expiresAtMs / 1000),
        ...pseudonymIn(pseudonyms, principal),
      }))
      .toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    ...(anonymous === undefined ? {} : { anonymous }),
  });
}

function pseudonymIn(pseudonyms: ReadonlyMap<string, string>, principal: string): { readonly pseudonym?: string } {
  const pseudonym = pseudonyms.get(principal);
  return pseudonym === undefined ? {} : { pseudonym };
}

export function settingsOf(unit: string, settings: Settings): Settings {
  if (settings.unit !== unit) throw new WeirError('conflict', 'the settings are of another unit');
  return settingsSchema.parse(settings);
}

/** The exceptions that concern a unit: its own and those for every unit, so that no unit learns of another's. */
export function exceptionsFor(unit: string, { exceptions }: Exceptions): Exceptions {
  return exceptionsSchema.parse({
    schema: 'weir.exceptions/v1',
    exceptions: exceptions
      .filter(({ scope }) => scope.units.length === 0 || scope.units.includes(unit))
      .map((exception) =>
        exception.scope.units.length === 0 ? exception : { ...exception, scope: { units: [unit] } },
      ),
  });
}

export function selftestOf(vectors: Selftest['vectors']): Selftest {
  return { schema: 'weir.selftest/v1', vectors };
}

export interface ManifestParts {
  readonly workspace: string;
  readonly unit: string;
  readonly epoch: number;
  readonly version: number;
  readonly prev: Digest | null;
  /** Unix seconds. */
  readonly issuedAt: number;
  readonly lifetimeS: number;
  readonly layers: readonly LayerRef[];
  readonly readsVersion: boolean;
}

export function manifestOf(parts: ManifestParts): Manifest {
  return {
    schema: 'weir.manifest/v1',
    workspace: parts.workspace,
    unit: parts.unit,
    epoch: parts.epoch,
    version: parts.version,
    prev: parts.prev,
    issued_at: parts.issuedAt,
    expires: parts.issuedAt + parts.lifetimeS,
    layers: LAYER_NAMES.flatMap((name) => parts.layers.filter((layer) => layer.name === name)),
    min_engine: ENGINE,
    reads_version: parts.readsVersion,
  };
}

/** Whether two lists name the same layers with the same content. */
export function sameLayers(a: readonly LayerRef[], b: readonly LayerRef[]): boolean {
  return contentKey(a) === contentKey(b);
}

function contentKey(layers: readonly LayerRef[]): string {
  return layers
    .map(({ name, digest }) => `${name}=${digest}`)
    .toSorted()
    .join(' ');
}
