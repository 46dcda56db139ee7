// From a verified manifest and bytes to typed layers: each layer's size and digest, then its schema, then that the layers
// speak of the same unit. Refuses with `BundleRefused`; nothing of a refused bundle is handed out.

import type { z } from 'zod';
import { digestOf } from '../domain/digest.ts';
import {
  exceptionsSchema,
  identitiesSchema,
  intelSchema,
  rulesSchema,
  selftestSchema,
  settingsSchema,
  type Exceptions,
  type Identities,
  type Intel,
  type Rules,
  type Selftest,
  type Settings,
} from './layers.ts';
import type { LayerName, LayerRef, Manifest } from './manifest.ts';
import { BundleRefused } from './refusal.ts';
import { layerLimit } from './statement.ts';

export interface BundleLayers {
  /** Compiled wasm. */
  readonly floor: Uint8Array;
  /** Null when the unit has no overlay. */
  readonly overlay: Uint8Array | null;
  readonly rules: Rules;
  readonly intel: Intel;
  readonly exceptions: Exceptions;
  readonly identities: Identities;
  readonly settings: Settings;
  readonly selftest: Selftest;
}

/** Throws unless the bytes are exactly the layer that the manifest names. */
export function checkLayer(ref: LayerRef, bytes: Uint8Array): void {
  if (bytes.byteLength > layerLimit(ref.name)) {
    throw new BundleRefused('oversized_layer', `layer ${ref.name} is larger than allowed`, { step: 'layers' });
  }
  if (bytes.byteLength !== ref.size || digestOf(bytes) !== ref.digest) {
    throw new BundleRefused('bad_layer_digest', `layer ${ref.name} is not the one that was signed`, { step: 'layers' });
  }
}

/** Checks every layer of the manifest and reads it. `bytesOf` answers undefined for a layer that is not there. */
export function readLayers(manifest: Manifest, bytesOf: (ref: LayerRef) => Uint8Array | undefined): BundleLayers {
  const checked = new Map<LayerName, Uint8Array>();
  for (const ref of manifest.layers) {
    const bytes = bytesOf(ref);
    if (bytes === undefined) {
      throw new BundleRefused('missing_layer', `layer ${ref.name} is missing`, { step: 'layers', retry: true });
    }
    checkLayer(ref, bytes);
    checked.set(ref.name, bytes);
  }
  const layers: BundleLayers = {
    floor: required(checked, 'floor'),
    overlay: checked.get('overlay') ?? null,
    rules: parseLayer('rules', rulesSchema, required(checked, 'rules')),
    intel: parseLayer('intel', intelSchema, required(checked, 'intel')),
    exceptions: parseLayer('exceptions', exceptionsSchema, required(checked, 'exceptions')),
    identities: parseLayer('identities', identitiesSchema, required(checked, 'identities')),
    settings: parseLayer('settings', settingsSchema, required(checked, 'settings')),
    selftest: parseLayer('selftest', selftestSchema, required(checked, 'selftest')),
  };
  checkAgreement(manifest, layers);
  return layers;
}

/** Reads one JSON layer; throws `bad_layer` naming the first fault. */
export function parseLayer<T>(name: LayerName, schema: z.ZodType<T>, bytes: Uint8Array): T {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (thrown) {
    throw new BundleRefused('bad_layer', `layer ${name} is not json`, { step: 'layers', cause: thrown });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? '' : ` at ${issue.path.join('.')}`;
  throw new BundleRefused('bad_layer', `layer ${name} is malformed${where}: ${issue?.message ?? 'unreadable'}`, {
    step: 'layers',
    cause: parsed.error,
  });
}

function required(layers: ReadonlyMap<LayerName, Uint8Array>, name: LayerName): Uint8Array {
  const bytes = layers.get(name);
  if (bytes === undefined) throw new BundleRefused('missing_layer', `layer ${name} is missing`, { step: 'layers' });
  return bytes;
}

function checkAgreement(manifest: Manifest, { settings, identities, rules }: BundleLayers): void {
  if (settings.unit !== manifest.unit)
    throw new BundleRefused('bad_layer', 'the settings are of another unit', { step: 'layers' });
  if (identities.unit !== manifest.unit)
    throw new BundleRefused('bad_layer', 'the identities are of another unit', { step: 'layers' });
  const { warn_s: warn, restrict_s: restrict, deny_s: deny } = settings.staleness;
  if (warn > restrict || restrict > deny)
    throw new BundleRefused('bad_layer', 'the staleness thresholds are out of order', { step: 'layers' });
  const ids = rules.rules.map((rule) => rule.id);
  if (new Set(ids).size !== ids.length)
    throw new BundleRefused('bad_layer', 'a rule id is used twice', { step: 'layers' });
}
