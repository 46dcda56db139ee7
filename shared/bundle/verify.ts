// Whether an envelope is a bundle that this spoke may activate: every check of the trust model, in a fixed order, key
// before signature, signature before parsing. Any failure is a `BundleRefused` with the code that the hub is told.

import { canonicalJson } from '../crypto/canonical-json.ts';
import { verifyDsse } from '../crypto/dsse-signature.ts';
import type { Digest } from '../domain/digest.ts';
import { describeThrown } from '../errors/weir-error.ts';
import { readEnvelope } from './envelope.ts';
import { PREDICATE_TYPE, type Manifest } from './manifest.ts';
import { BundleRefused, type VerifyStep } from './refusal.ts';
import { bundleDigest, layerLimit, manifestSchema, parseStatement, subjectsOf } from './statement.ts';
import { publicKeyOf, type TrustedKey, type TrustRoot } from './trust-root.ts';

/** How far the signer's clock may run ahead of ours, seconds. */
export const CLOCK_SKEW_S = 300;

/** The highest bundle ever activated here. */
export interface HighWater {
  readonly epoch: number;
  readonly version: number;
  readonly digest: Digest;
}

export interface VerifyOptions {
  readonly trustRoot: TrustRoot;
  readonly workspace: string;
  readonly unit: string;
  /** Unix seconds. */
  readonly now: number;
  readonly highWater: HighWater | null;
  readonly engineLevel: number;
  /** Digests that may be re-verified although they are not above the high-water mark: what a boot finds on its own disk. */
  readonly known?: ReadonlySet<Digest>;
}

export interface VerifiedEnvelope {
  readonly manifest: Manifest;
  readonly digest: Digest;
  readonly keyId: string;
  /** Checks passed, in order; `layers` follows when the bytes are read. */
  readonly steps: readonly VerifyStep[];
}

export function verifyEnvelope(bytes: Uint8Array, options: VerifyOptions): VerifiedEnvelope {
  const steps: VerifyStep[] = [];
  const envelope = readEnvelope(bytes);
  steps.push('size', 'envelope');

  const key = trustedKey(envelope.hint, options);
  steps.push('key');

  const signature = verifyDsse(envelope.json, { hint: envelope.hint, publicKey: publicKeyOf(key) });
  if (!signature.ok) {
    throw new BundleRefused('bad_signature', 'the signature does not match', {
      step: 'signature',
      cause: signature.reason,
    });
  }
  steps.push('signature');

  const manifest = readManifest(envelope.payload, steps);
  const digest = bundleDigest(envelope.payload);
  checkEngine(manifest, options);
  steps.push('engine');
  checkAudience(manifest, options);
  steps.push('audience');
  checkValidity(manifest, options.now);
  steps.push('validity');
  checkRollback(manifest, digest, options);
  steps.push('rollback');
  return { manifest, digest, keyId: key.id, steps };
}

function trustedKey(hint: string, { trustRoot, workspace, now }: VerifyOptions): TrustedKey {
  if (trustRoot.workspace !== workspace)
    throw new BundleRefused('wrong_workspace', 'the trust root is of another workspace', { step: 'key' });
  const key = trustRoot.keys.find((candidate) => candidate.id === hint && candidate.role === 'bundle-signer');
  if (key === undefined)
    throw new BundleRefused('unknown_key', 'the bundle is signed by a key that is not in the trust root', {
      step: 'key',
    });
  if (key.status !== 'active')
    throw new BundleRefused('revoked_key', 'the bundle is signed by a revoked key', { step: 'key' });
  if (now + CLOCK_SKEW_S < key.not_before || (key.not_after !== null && now > key.not_after)) {
    throw new BundleRefused('revoked_key', 'the signing key is outside of its validity', { step: 'key' });
  }
  return key;
}

function readManifest(payload: Uint8Array, steps: VerifyStep[]): Manifest {
  let predicate: unknown;
  let subjects: unknown;
  try {
    const statement = parseStatement(payload);
    if (statement.predicateType !== PREDICATE_TYPE) throw new Error('unknown predicate type');
    if (canonicalJson(statement) !== new TextDecoder().decode(payload)) throw new Error('not in canonical form');
    ({ predicate, subject: subjects } = statement);
  } catch (thrown) {
    throw malformed('statement', thrown);
  }
  steps.push('statement');
  const parsed = manifestSchema.safeParse(predicate);
  if (!parsed.success) throw malformed('manifest', parsed.error.issues[0]?.message ?? 'unreadable');
  const manifest = parsed.data;
  if (canonicalJson(subjectsOf(manifest.layers)) !== canonicalJson(subjects)) {
    throw malformed('manifest', 'its subjects are not its layers');
  }
  for (const layer of manifest.layers) {
    if (layer.size > layerLimit(layer.name)) {
      throw new BundleRefused('oversized_layer', `layer ${layer.name} is larger than allowed`, { step: 'manifest' });
    }
  }
  steps.push('manifest');
  return manifest;
}

function malformed(step: VerifyStep, cause: unknown): BundleRefused {
  const why = firstLine(describeThrown(cause));
  return new BundleRefused('bad_manifest', `the ${step} is malformed: ${why}`, { step, cause });
}

function checkEngine(manifest: Manifest, { engineLevel }: VerifyOptions): void {
  if (Number(manifest.min_engine.slice('weir/'.length)) > engineLevel) {
    throw new BundleRefused(
      'engine_too_old',
      `the bundle needs engine ${manifest.min_engine}, this one is weir/${engineLevel}`,
      {
        step: 'engine',
      },
    );
  }
}

function checkAudience(manifest: Manifest, { workspace, unit }: VerifyOptions): void {
  if (manifest.workspace !== workspace) {
    throw new BundleRefused('wrong_workspace', 'the bundle is for another workspace', { step: 'audience' });
  }
  if (manifest.unit !== unit) {
    throw new BundleRefused('wrong_audience', 'the bundle is for another unit', { step: 'audience' });
  }
}

function checkValidity(manifest: Manifest, now: number): void {
  if (manifest.issued_at > now + CLOCK_SKEW_S) {
    throw new BundleRefused('not_yet_valid', 'the bundle is issued in the future of this clock', {
      step: 'validity',
      retry: true,
    });
  }
  if (now >= manifest.expires) throw new BundleRefused('expired', 'the bundle has expired', { step: 'validity' });
}

function checkRollback(manifest: Manifest, digest: Digest, { highWater, known }: VerifyOptions): void {
  if (highWater === null || digest === highWater.digest || known?.has(digest) === true) return;
  const above =
    manifest.epoch > highWater.epoch || (manifest.epoch === highWater.epoch && manifest.version > highWater.version);
  if (above) return;
  throw new BundleRefused(
    'rollback',
    `version ${manifest.epoch}.${manifest.version} is not above ${highWater.epoch}.${highWater.version}, which was active before`,
    { step: 'rollback' },
  );
}

function firstLine(text: string): string {
  return (text.split('\n', 1)[0] ?? '').slice(0, 200);
}
