// The signed statement: an in-toto Statement whose predicate is the manifest and whose subjects are the layers. Its
// canonical bytes are what is signed and what names the bundle.

import { z } from 'zod';
import { canonicalJson } from '../crypto/canonical-json.ts';
import { digestOf, hexOf, isDigest, type Digest } from '../domain/digest.ts';
import { UNIT_NAME } from '../domain/unit.ts';
import {
  BUNDLE_LIMITS,
  LAYER_NAMES,
  MEDIA_TYPES,
  PREDICATE_TYPE,
  STATEMENT_TYPE,
  type LayerName,
  type LayerRef,
  type Manifest,
} from './manifest.ts';

const digest = z.custom<Digest>(isDigest, 'must be sha256: and 64 lower-case hex digits');
const unixSeconds = z.int().min(0).max(8_640_000_000);
const counter = z.int().min(1).max(Number.MAX_SAFE_INTEGER);

/** Layers that a bundle cannot do without; only the overlay may be absent. */
export const REQUIRED_LAYERS = LAYER_NAMES.filter((name) => name !== 'overlay');

/** The most bytes that a layer may have. */
export function layerLimit(name: LayerName): number {
  return name === 'floor' || name === 'overlay' ? BUNDLE_LIMITS.wasmBytes : BUNDLE_LIMITS.jsonLayerBytes;
}

const layerRef = z.strictObject({
  name: z.enum(LAYER_NAMES),
  media_type: z.string().max(100),
  digest,
  size: z.int().min(1),
});

export const manifestSchema = z
  .strictObject({
    schema: z.literal('weir.manifest/v1'),
    workspace: z.string().min(1).max(80),
    unit: z.string().regex(UNIT_NAME),
    epoch: counter,
    version: counter,
    prev: digest.nullable(),
    issued_at: unixSeconds,
    expires: unixSeconds,
    layers: z.array(layerRef).max(BUNDLE_LIMITS.layers),
    min_engine: z.string().regex(/^weir\/[1-9]\d{0,5}$/),
    reads_version: z.boolean(),
  })
  .superRefine((manifest, context) => {
    const names = manifest.layers.map((layer) => layer.name);
    if (new Set(names).size !== names.length) context.addIssue({ code: 'custom', message: 'a layer is named twice' });
    for (const name of REQUIRED_LAYERS) {
      if (!names.includes(name)) context.addIssue({ code: 'custom', message: `layer ${name} is missing` });
    }
    for (const layer of manifest.layers) {
      if (layer.media_type !== MEDIA_TYPES[layer.name]) {
        context.addIssue({ code: 'custom', message: `layer ${layer.name} has another media type` });
      }
    }
    if (manifest.expires <= manifest.issued_at) {
      context.addIssue({ code: 'custom', message: 'it expires before it is issued' });
    }
  });

const statementSchema = z.strictObject({
  _type: z.literal(STATEMENT_TYPE),
  subject: z
    .array(z.strictObject({ name: z.string().max(80), digest: z.strictObject({ sha256: z.string().length(64) }) }))
    .min(1)
    .max(BUNDLE_LIMITS.layers),
  predicateType: z.string().max(200),
  predicate: z.unknown(),
});
export type Statement = z.infer<typeof statementSchema>;

/** Canonical statement bytes of a manifest. The caller is trusted; `parseStatement` and `manifestSchema` are not needed here. */
export function statementBytes(manifest: Manifest): Uint8Array {
  const statement = {
    _type: STATEMENT_TYPE,
    subject: subjectsOf(manifest.layers),
    predicateType: PREDICATE_TYPE,
    predicate: manifest,
  };
  return new TextEncoder().encode(canonicalJson(statement));
}

/** The bundle's digest: of the exact statement bytes. */
export function bundleDigest(statement: Uint8Array): Digest {
  return digestOf(statement);
}

/** Reads statement bytes strictly; throws a ZodError or SyntaxError. The predicate is still to be read. */
export function parseStatement(bytes: Uint8Array): Statement {
  return statementSchema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
}

/** What a statement over these layers names as its subjects, in layer order. */
export function subjectsOf(layers: readonly LayerRef[]): Statement['subject'] {
  return layers.map((layer) => ({ name: layer.name, digest: { sha256: hexOf(layer.digest) } }));
}
