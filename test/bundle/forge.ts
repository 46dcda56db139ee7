// Makes bundles that must be refused: any manifest, any layers, any key. Used by tests and by the tour; never shipped.

import type { StoredBundle } from '@weir/hub/store/bundle-store.ts';
import { signEnvelope } from '@weir/hub/io/sign-envelope.ts';
import { readEnvelope } from '@weir/shared/bundle/envelope.ts';
import type { LayerName, LayerRef, Manifest } from '@weir/shared/bundle/manifest.ts';
import { bundleDigest, parseStatement, statementBytes } from '@weir/shared/bundle/statement.ts';
import { canonicalJson } from '@weir/shared/crypto/canonical-json.ts';
import { digestOf, type Digest } from '@weir/shared/domain/digest.ts';
import type { Signer } from '@weir/hub/bundle/signer.ts';

/** A bundle outside of any store. */
export interface LooseBundle {
  readonly digest: Digest;
  readonly manifest: Manifest;
  readonly envelope: Uint8Array;
  readonly layers: ReadonlyMap<Digest, Uint8Array>;
}

export function manifestIn(envelope: Uint8Array): Manifest {
  return parseStatement(readEnvelope(envelope).payload).predicate as Manifest;
}

export function loose(
  bundle: Pick<StoredBundle, 'envelope' | 'digest'>,
  layers: ReadonlyMap<Digest, Uint8Array>,
): LooseBundle {
  return { digest: bundle.digest, manifest: manifestIn(bundle.envelope), envelope: bundle.envelope, layers };
}

/** The same bundle with another manifest and layers, signed by `signer` as if it were genuine. */
export async function forge(
  genuine: LooseBundle,
  signer: Signer,
  changes: {
    readonly manifest?: Partial<Record<keyof Manifest, unknown>>;
    /** New content of layers, as JSON or bytes. */
    readonly layers?: Partial<Record<LayerName, unknown>>;
  },
): Promise<LooseBundle> {
  const layers = new Map(genuine.layers);
  const refs: LayerRef[] = genuine.manifest.layers.map((ref) => {
    const content = changes.layers?.[ref.name];
    if (content === undefined) return ref;
    const bytes = content instanceof Uint8Array ? content : new TextEncoder().encode(canonicalJson(content));
    layers.set(digestOf(bytes), bytes);
    return { ...ref, digest: digestOf(bytes), size: bytes.byteLength };
  });
  const manifest = { ...genuine.manifest, layers: refs, ...changes.manifest } as Manifest;
  const statement = statementBytes(manifest);
  return { digest: bundleDigest(statement), manifest, envelope: await signEnvelope(statement, signer), layers };
}

/** Signs any bytes as if they were a statement. */
export function signAnything(bytes: Uint8Array, signer: Signer): Promise<Uint8Array> {
  return signEnvelope(bytes, signer);
}

/** The envelope with its payload replaced and its signature kept. */
export function withPayload(envelope: Uint8Array, payload: Uint8Array): Uint8Array {
  const json = JSON.parse(new TextDecoder().decode(envelope)) as { dsseEnvelope: { payload: string } };
  json.dsseEnvelope.payload = Buffer.from(payload).toString('base64');
  return new TextEncoder().encode(canonicalJson(json));
}
