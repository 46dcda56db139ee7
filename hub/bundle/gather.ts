// What a unit's next bundle consists of: everything published that concerns it, as stored layers. Unchanged parts are named
// by the digest that they already have.

import {
  exceptionsSchema,
  rulesSchema,
  selftestSchema,
  type Exceptions,
  type Selftest,
  type Settings,
} from '@weir/shared/bundle/layers.ts';
import { MEDIA_TYPES, type LayerName, type LayerRef } from '@weir/shared/bundle/manifest.ts';
import { checkLayer } from '@weir/shared/bundle/read-layers.ts';
import type { Digest } from '@weir/shared/domain/digest.ts';
import type { Json } from '@weir/shared/domain/json.ts';
import { ANONYMOUS } from '@weir/shared/domain/principal.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { BundleStore, StoredBundle } from '../store/bundle-store.ts';
import type { PolicyScope, PolicyStore, PolicyVersion, SourceFile } from '../store/policy-store.ts';
import type { UnitRecord } from '../store/unit-store.ts';
import type { UnitTokenStore } from '../store/unit-token-store.ts';
import { exceptionsFor, identitiesOf, jsonLayer, mergeRules, selftestOf, settingsOf, type Layer } from './assemble.ts';

/** Bytes read from the layer store at a time. */
const CHUNK_BYTES = 1 << 20;

/** A self-test document: its input, and once a layer has answered also the output. */
export interface SelftestDocument {
  readonly name: string;
  readonly input: Json;
}
export interface SelftestVector extends SelftestDocument {
  readonly layer: 'floor' | 'overlay';
  readonly output: Json;
}

export interface GatherPorts {
  readonly policies: PolicyStore;
  readonly bundles: BundleStore;
  readonly tokens: UnitTokenStore;
  /** Answers of one layer under a unit's settings; see `hub/floor/selftests.ts`. */
  readonly selftests: (request: {
    readonly scope: PolicyScope;
    readonly module: Uint8Array;
    readonly files: readonly SourceFile[];
    readonly floor: readonly SourceFile[];
    readonly settings: Settings;
    readonly documents: readonly SelftestDocument[];
  }) => Promise<readonly SelftestVector[]>;
  /** What rows call these principals of a unit; see `hub/audit/actors.ts`. */
  readonly pseudonyms: (unit: string, principals: readonly string[]) => Promise<ReadonlyMap<string, string>>;
  readonly clock: Clock;
}

export interface Gathered {
  readonly layers: readonly LayerRef[];
  readonly readsVersion: boolean;
}

/** Every layer of the unit's next bundle, stored; undefined while there is no floor or no intel. */
export async function gather(
  ports: GatherPorts,
  unit: UnitRecord,
  current: StoredBundle | undefined,
): Promise<Gathered | undefined> {
  const { policies, bundles } = ports;
  const floor = await policies.latest({ kind: 'floor' });
  const intel = await policies.latestDocument('intel');
  if (floor === undefined || intel === undefined) return undefined;
  const overlay = await policies.latest({ kind: 'overlay', unit: unit.name });
  const rules = mergeRules(
    await readJson(bundles, layerRef(floor, 'rules'), rulesSchema),
    overlay === undefined ? null : await readJson(bundles, layerRef(overlay, 'rules'), rulesSchema),
  );
  const settings = jsonLayer('settings', settingsOf(unit.name, unit.settings));
  const made: Layer[] = [
    settings,
    jsonLayer('rules', rules),
    jsonLayer('exceptions', exceptionsFor(unit.name, await exceptionsInForce(ports))),
  ];
  const judged = [layerRef(floor, 'floor'), ...(overlay === undefined ? [] : [layerRef(overlay, 'overlay')])];
  const kept: LayerRef[] = [
    ...judged,
    { name: 'intel', media_type: MEDIA_TYPES.intel, digest: intel.digest, size: intel.size },
  ];
  // Answers depend on modules and settings alone, so that a revoked token never waits for a compiler.
  const proven = provenBy(current, [...judged, settings.ref]);
  if (proven === undefined) made.push(await makeSelftest(ports, unit, floor, overlay));
  else kept.push(proven);
  // Last, because a compiler may have been waited for: who was revoked meanwhile is not in it.
  made.push(await identities(ports, unit.name));
  for (const { ref, bytes } of made) {
    checkLayer(ref, bytes);
    await bundles.putLayer(ref.digest, bytes);
  }
  return {
    layers: [...kept, ...made.map(({ ref }) => ref)],
    readsVersion: [floor, overlay].some((policy) => policy !== undefined && policy.facts['reads_version'] !== false),
  };
}

async function identities({ tokens, pseudonyms, clock }: GatherPorts, unit: string): Promise<Layer> {
  const active = await tokens.activeTokens(unit, clock.nowMs());
  const names = [ANONYMOUS, ...active.map(({ principal }) => principal)];
  return jsonLayer('identities', identitiesOf(unit, active, await pseudonyms(unit, [...new Set(names)])));
}

/** The self-test layer of a bundle with the same modules and settings. */
function provenBy(current: StoredBundle | undefined, parts: readonly LayerRef[]): LayerRef | undefined {
  if (current === undefined) return undefined;
  const same = (['floor', 'overlay', 'settings'] as const).every(
    (name) => digestIn(current.layers, name) === digestIn(parts, name),
  );
  return same ? current.layers.find(({ name }) => name === 'selftest') : undefined;
}

function digestIn(layers: readonly LayerRef[], name: LayerName): Digest | undefined {
  return layers.find((layer) => layer.name === name)?.digest;
}

async function makeSelftest(
  { bundles, policies, selftests }: GatherPorts,
  unit: UnitRecord,
  floor: PolicyVersion,
  overlay: PolicyVersion | undefined,
): Promise<Layer> {
  const documentsOf = async (policy: PolicyVersion): Promise<readonly SelftestDocument[]> =>
    (await readJson(bundles, layerRef(policy, 'selftest'), selftestSchema)).vectors;
  const floorFiles = await readSources(policies, { kind: 'floor' }, floor.version);
  const documents = await documentsOf(floor);
  const { settings } = unit;
  const vectors = [
    ...(await selftests({
      scope: { kind: 'floor' },
      module: await readLayer(bundles, layerRef(floor, 'floor')),
      files: floorFiles,
      floor: [],
      settings,
      documents,
    })),
  ];
  if (overlay !== undefined) {
    const scope = { kind: 'overlay', unit: unit.name } as const;
    const library = Number(overlay.facts['floor_version'] ?? floor.version);
    vectors.push(
      ...(await selftests({
        scope,
        module: await readLayer(bundles, layerRef(overlay, 'overlay')),
        files: await readSources(policies, scope, overlay.version),
        floor: library === floor.version ? floorFiles : await readSources(policies, { kind: 'floor' }, library),
        settings,
        documents: [...(await documentsOf(overlay)), ...documents],
      })),
    );
  }
  return jsonLayer('selftest', selftestOf(vectors as unknown as Selftest['vectors']));
}

async function exceptionsInForce({ policies, bundles }: GatherPorts): Promise<Exceptions> {
  const latest = await policies.latestDocument('exceptions');
  if (latest === undefined) return { schema: 'weir.exceptions/v1', exceptions: [] };
  return readJson(bundles, latest, exceptionsSchema);
}

/** The source files of a published version. */
export async function readSources(
  policies: PolicyStore,
  scope: PolicyScope,
  version: number,
): Promise<readonly SourceFile[]> {
  const files = await policies.read(scope, version);
  if (files === undefined) throw new WeirError('corrupt', 'a published policy has lost its sources');
  return files;
}

function layerRef(policy: PolicyVersion, name: LayerName): LayerRef {
  const ref = policy.layers.find((layer) => layer.name === name);
  if (ref === undefined) throw new WeirError('corrupt', `a published policy has no ${name} layer`);
  return ref;
}

interface Stored {
  readonly digest: Digest;
  readonly size: number;
}

async function readJson<T>(bundles: BundleStore, ref: Stored, schema: { parse(value: unknown): T }): Promise<T> {
  return schema.parse(JSON.parse(new TextDecoder().decode(await readLayer(bundles, ref))));
}

async function readLayer(bundles: BundleStore, { digest, size }: Stored): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const chunk = await bundles.readLayer(digest, at, Math.min(CHUNK_BYTES, size - at));
    if (chunk === undefined || chunk.byteLength === 0) {
      throw new WeirError('corrupt', 'a layer is missing from the store');
    }
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}
