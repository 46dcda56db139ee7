// The spoke's half for tests: a real bundle folder, the real engine, and a source that serves loose bundles and can be
// told to misbehave.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ENGINE_LEVEL } from '@weir/shared/bundle/manifest.ts';
import type { Settings } from '@weir/shared/bundle/layers.ts';
import type { TrustRoot } from '@weir/shared/bundle/trust-root.ts';
import type { Digest } from '@weir/shared/domain/digest.ts';
import { createEngine, type PolicyEngine } from '@weir/shared/policy/engine.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import {
  createActivator,
  type ActivationOutcome,
  type Activator,
  type BundleBuilder,
  type Offer,
} from '@weir/spoke/bundle/activate.ts';
import { createBundleHolder, type BundleHolder } from '@weir/spoke/bundle/active-bundle.ts';
import type { BundleDisk } from '@weir/spoke/bundle/bundle-disk.ts';
import type { BundleSource } from '@weir/spoke/bundle/fetch-bundle.ts';
import { openBundleStore } from '@weir/spoke/io/bundle-store.ts';
import type { LooseBundle } from './forge.ts';
import { SILENT, WORKSPACE } from './memory-hub.ts';

export interface Ready {
  readonly engine: PolicyEngine;
  readonly settings: Settings;
}

export const realBuilder: BundleBuilder<PolicyEngine, Ready> = {
  compile: (layers, { manifest, digest }) =>
    createEngine({
      floor: layers.floor,
      overlay: layers.overlay,
      rules: layers.rules,
      exceptions: layers.exceptions,
      settings: layers.settings,
      unit: manifest.unit,
      bundle: digest,
      readsVersion: manifest.reads_version,
      clock: { monotonicMs: () => performance.now() },
    }),
  ask: (engine, layer, input) => engine.evaluateLayer(layer, input),
  prepare: ({ settings }, _bundle, engine) => ({ engine, settings }),
  discard: (engine) => engine.close(),
};

/** Serves what it was given, in small chunks, and counts. */
export interface LooseSource extends BundleSource {
  give(bundle: LooseBundle): void;
  /** Layers whose bytes were asked for, in order, with the offset. */
  readonly asked: { readonly layer: Digest; readonly offset: number }[];
  envelopes: number;
  /** Break the transfer after so many bytes of layers; Infinity for never. */
  breakAfter: number;
  /** Serve these bytes instead of the layer's. */
  readonly lies: Map<Digest, Uint8Array>;
}

export function looseSource(chunkBytes = 1000): LooseSource {
  const bundles = new Map<Digest, LooseBundle>();
  const source: LooseSource = {
    asked: [],
    envelopes: 0,
    breakAfter: Number.POSITIVE_INFINITY,
    lies: new Map(),
    give: (bundle) => void bundles.set(bundle.digest, bundle),
    async fetchEnvelope(digest) {
      source.envelopes += 1;
      const bundle = bundles.get(digest);
      if (bundle === undefined) throw new Error('no such bundle');
      return bundle.envelope;
    },
    async *fetchLayer(digest, layer, offset) {
      source.asked.push({ layer, offset });
      const bytes = source.lies.get(layer) ?? bundles.get(digest)?.layers.get(layer);
      if (bytes === undefined) throw new Error('no such layer');
      for (let at = offset; at < bytes.length; at += chunkBytes) {
        const chunk = bytes.subarray(at, at + chunkBytes);
        if (source.breakAfter < chunk.length) throw new Error('the line broke');
        source.breakAfter -= chunk.length;
        yield chunk;
      }
    },
  };
  return source;
}

/** Counts by `name{label=value}`. */
export function countingMetrics(): Metrics & { readonly counts: Map<string, number> } {
  const counts = new Map<string, number>();
  return {
    counts,
    count(name, labels = {}, by = 1) {
      const key = `${name}{${Object.entries(labels)
        .map(([label, value]) => `${label}=${value}`)
        .join(',')}}`;
      counts.set(key, (counts.get(key) ?? 0) + by);
    },
    gauge: () => undefined,
    observe: () => undefined,
  };
}

export interface SpokeOptions {
  readonly folder: string;
  readonly source: BundleSource;
  readonly trustRoot: TrustRoot;
  readonly clock: Clock;
  readonly unit?: string;
  readonly builder?: BundleBuilder<PolicyEngine, Ready>;
  readonly wrapDisk?: (disk: BundleDisk) => BundleDisk;
}

export interface Spoke {
  readonly activator: Activator;
  readonly holder: BundleHolder<Ready>;
  readonly outcomes: ActivationOutcome[];
  readonly metrics: ReturnType<typeof countingMetrics>;
  offer(bundle: LooseBundle): Promise<ActivationOutcome>;
}

/** A spoke's process as far as bundles go; make another over the same folder to restart it. */
export async function startSpoke(options: SpokeOptions): Promise<Spoke> {
  const disk = await openBundleStore(options.folder);
  const holder = createBundleHolder<Ready>();
  const outcomes: ActivationOutcome[] = [];
  const metrics = countingMetrics();
  const activator = createActivator<PolicyEngine, Ready>({
    disk: options.wrapDisk?.(disk) ?? disk,
    source: options.source,
    builder: options.builder ?? realBuilder,
    holder,
    trustRoot: options.trustRoot,
    workspace: WORKSPACE,
    unit: options.unit ?? 'payments',
    engineLevel: ENGINE_LEVEL,
    clock: options.clock,
    logger: SILENT,
    metrics,
    settled: (outcome) => void outcomes.push(outcome),
  });
  return {
    activator,
    holder,
    outcomes,
    metrics,
    offer: ({ digest, manifest: { epoch, version } }) =>
      activator.activate({ digest, epoch, version } satisfies Offer, AbortSignal.timeout(30_000)),
  };
}

export async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'weir-bundles-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
