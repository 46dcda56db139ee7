// From an offer to the running bundle: offered → fetched → verified → compiled → tested → prepared → active. Each stage
// either completes or the bundle is refused with a code and everything stays as it was. The disk learns of a bundle before
// the requests do, so that a crash at any point comes back with a whole one.

import type { Manifest } from '@weir/shared/bundle/manifest.ts';
import { readLayers, type BundleLayers } from '@weir/shared/bundle/read-layers.ts';
import { BundleRefused, type NackCode } from '@weir/shared/bundle/refusal.ts';
import type { TrustRoot } from '@weir/shared/bundle/trust-root.ts';
import { verifyEnvelope, type VerifiedEnvelope } from '@weir/shared/bundle/verify.ts';
import type { Digest } from '@weir/shared/domain/digest.ts';
import { describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { ActiveBundle, BundleHolder } from './active-bundle.ts';
import type { BundleDisk, HighWaterMark, Pointer } from './bundle-disk.ts';
import { fetchEnvelope, fetchLayer, onDisk, type BundleSource } from './fetch-bundle.ts';
import { layersNamed } from './layers-named.ts';
import { runSelftest, type Ask } from './self-test.ts';

export const STAGES = ['offered', 'fetched', 'verified', 'compiled', 'tested', 'prepared', 'active'] as const;
export type Stage = (typeof STAGES)[number];

/** Refusals remembered, so that an offer that cannot succeed is not tried at every keep-alive. */
const REMEMBERED_REFUSALS_MAX = 64;

export interface Offer {
  readonly digest: Digest;
  readonly epoch: number;
  readonly version: number;
}

export interface BundleIdentity {
  readonly manifest: Manifest;
  readonly digest: Digest;
}

/** How a verified bundle becomes something that decides. A throw at any point refuses the bundle. */
export interface BundleBuilder<Engine, Prepared> {
  compile(layers: BundleLayers, bundle: BundleIdentity): Promise<Engine>;
  /** Asks a layer of the engine directly, for the self-test. */
  ask(engine: Engine, ...question: Parameters<Ask>): ReturnType<Ask>;
  /** Indexes and other derived structures, made before the swap so that no request waits for them. */
  prepare(layers: BundleLayers, bundle: BundleIdentity, engine: Engine): Prepared | Promise<Prepared>;
  /** Gives up an engine whose bundle was refused after it was compiled. */
  discard(engine: Engine): void;
}

/** What became of an offer; `nack` '' means that it is active. */
export interface ActivationOutcome {
  readonly bundle: Offer;
  /** The last stage that succeeded. */
  readonly stage: Stage;
  readonly nack: NackCode | '';
  readonly detail: string;
  /** Whether the same offer may succeed later. */
  readonly retry: boolean;
}

export interface BootRefusal {
  readonly pointer: Pointer;
  readonly nack: NackCode;
  readonly detail: string;
}

export interface BootOutcome {
  /** What the spoke runs on, null: nothing verified, so everything is refused. */
  readonly from: Pointer | null;
  readonly refusals: readonly BootRefusal[];
}

export interface ActivatorOptions<Engine, Prepared> {
  readonly disk: BundleDisk;
  readonly source: BundleSource;
  readonly builder: BundleBuilder<Engine, Prepared>;
  readonly holder: BundleHolder<Prepared>;
  readonly trustRoot: TrustRoot;
  readonly workspace: string;
  readonly unit: string;
  readonly engineLevel: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** False for a process that only reads what another one writes into the folder; default true. */
  readonly ownsDisk?: boolean;
  /** Hears of every settled offer that was not a repetition; for the hub. Must not throw. */
  readonly settled?: (outcome: ActivationOutcome) => void;
}

export interface Activator {
  /** Loads what ran before: current, else previous, else bootstrap. Everything is verified again. Never throws. */
  boot(): Promise<BootOutcome>;
  /**
   * Loads the current bundle of the folder unless it runs already, with every check of a start; for a process that does not
   * own the folder. When it is refused, everything stays as it was. Never throws.
   */
  reload(): Promise<BootOutcome>;
  /** Offers are handled one after another; an offer of what runs already does nothing. Never throws. */
  activate(offer: Offer, signal: AbortSignal): Promise<ActivationOutcome>;
}

export function createActivator<Engine, Prepared>(options: ActivatorOptions<Engine, Prepared>): Activator {
  return new BundleActivator(options);
}

class BundleActivator<Engine, Prepared> implements Activator {
  readonly #options: ActivatorOptions<Engine, Prepared>;
  readonly #refused = new Map<Digest, ActivationOutcome>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ActivatorOptions<Engine, Prepared>) {
    this.#options = options;
  }

  boot(): Promise<BootOutcome> {
    return this.#alone(() => this.#boot());
  }

  reload(): Promise<BootOutcome> {
    return this.#alone(async () => {
      const refusals: BootRefusal[] = [];
      return { from: (await this.#loadFrom('current', refusals)) ? 'current' : null, refusals };
    });
  }

  activate(offer: Offer, signal: AbortSignal): Promise<ActivationOutcome> {
    return this.#alone(() => this.#settle(offer, signal));
  }

  /** One at a time, in order. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work);
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  async #boot(): Promise<BootOutcome> {
    const refusals: BootRefusal[] = [];
    for (const pointer of ['current', 'previous', 'bootstrap'] as const) {
      if (await this.#loadFrom(pointer, refusals)) return { from: pointer, refusals };
    }
    this.#options.metrics.count('weir_bundle_boots_total', { from: 'none' });
    return { from: null, refusals };
  }

  /** @returns whether what the pointer names runs now; a refusal is added to the list */
  async #loadFrom(pointer: Pointer, refusals: BootRefusal[]): Promise<boolean> {
    const { disk, holder, logger, metrics, ownsDisk = true } = this.#options;
    try {
      const digest = await onDisk(() => disk.readPointer(pointer));
      if (digest === undefined) return false;
      if (digest === holder.current()?.digest) return true;
      const mark = await onDisk(() => disk.readHighWater());
      const bundle = await this.#load(digest, mark);
      // Above the mark only after a crash between writing the pointer and the mark: what the mark names ran before.
      if (ownsDisk) await this.#raise(mark, bundle, mark?.digest ?? null);
      holder.swap(bundle);
      metrics.count('weir_bundle_boots_total', { from: pointer });
      this.#gauge(bundle);
      const { epoch, version } = bundle.manifest;
      logger.info({ pointer, bundle: digest, epoch, version }, 'bundle loaded from disk');
      return true;
    } catch (thrown) {
      const refusal = asRefusal(thrown);
      refusals.push({ pointer, nack: refusal.nack, detail: refusal.message });
      metrics.count('weir_bundle_refusals_total', { nack: refusal.nack });
      logger.error({ pointer, nack: refusal.nack, reason: refusal.message }, 'bundle on disk refused');
      return false;
    }
  }

  /** A bundle that is wholly on disk, through every check and stage. */
  async #load(digest: Digest, mark: HighWaterMark | undefined): Promise<ActiveBundle<Prepared>> {
    const { disk } = this.#options;
    const bytes = await onDisk(() => disk.readEnvelope(digest));
    if (bytes === undefined) throw new BundleRefused('bad_envelope', 'the signature file is missing');
    const known = new Set(mark === undefined ? [] : [mark.digest, ...(mark.previous === null ? [] : [mark.previous])]);
    const envelope = this.#verify(bytes, digest, mark, known);
    const layers = new Map<Digest, Uint8Array>();
    for (const ref of envelope.manifest.layers) {
      const layer = await onDisk(() => disk.readLayer(ref.digest));
      if (layer !== undefined) layers.set(ref.digest, layer);
    }
    return this.#build(
      envelope,
      readLayers(envelope.manifest, (ref) => layers.get(ref.digest)),
      () => undefined,
    );
  }

  async #settle(offer: Offer, signal: AbortSignal): Promise<ActivationOutcome> {
    const { holder, logger, metrics, settled } = this.#options;
    const active = (stage: Stage): ActivationOutcome => ({ bundle: offer, stage, nack: '', detail: '', retry: false });
    if (holder.current()?.digest === offer.digest) return active('active');
    const before = this.#refused.get(offer.digest);
    if (before !== undefined) return before;

    let stage: Stage = 'offered';
    const reach = this.#stopwatch((next) => {
      stage = next;
    });
    let outcome: ActivationOutcome;
    try {
      await this.#bringIn(offer, reach, signal);
      outcome = active('active');
      this.#refused.clear();
      logger.info({ bundle: offer.digest, epoch: offer.epoch, version: offer.version }, 'bundle activated');
    } catch (thrown) {
      const refusal = asRefusal(thrown);
      const retry = refusal.retry === 'later';
      outcome = { bundle: offer, stage, nack: refusal.nack, detail: refusal.message, retry };
      if (!retry) {
        this.#remember(outcome);
        await this.#sweep();
      }
      metrics.count('weir_bundle_refusals_total', { nack: refusal.nack });
      logger.warn({ bundle: offer.digest, stage, nack: refusal.nack, reason: refusal.message }, 'bundle refused');
    }
    settled?.(outcome);
    return outcome;
  }

  async #bringIn(offer: Offer, reach: (stage: Stage) => void, signal: AbortSignal): Promise<void> {
    const { disk, source, holder } = this.#options;
    const from = { disk, source };
    const mark = await onDisk(() => disk.readHighWater());
    const bytes = await fetchEnvelope(offer.digest, source, signal);
    // Before any layer is asked for: what nobody trusted has signed costs nothing more.
    const envelope = this.#verify(bytes, offer.digest, mark, new Set());
    const layers = new Map<Digest, Uint8Array>();
    for (const ref of envelope.manifest.layers) {
      layers.set(ref.digest, await fetchLayer(offer.digest, ref, from, signal));
    }
    reach('fetched');
    const parsed = readLayers(envelope.manifest, (ref) => layers.get(ref.digest));
    reach('verified');
    const bundle = await this.#build(envelope, parsed, reach);

    const running = holder.current()?.digest ?? null;
    await onDisk(() => disk.writeEnvelope(offer.digest, bytes));
    if (running !== null) await onDisk(() => disk.writePointer('previous', running));
    await onDisk(() => disk.writePointer('current', offer.digest));
    // The mark comes last: a crash before it leaves a current bundle above the mark, which the next boot accepts and marks.
    await this.#raise(mark, bundle, running);
    holder.swap(bundle);
    reach('active');
    this.#gauge(bundle);
    await this.#sweep();
  }

  #verify(
    bytes: Uint8Array,
    digest: Digest,
    mark: HighWaterMark | undefined,
    known: ReadonlySet<Digest>,
  ): VerifiedEnvelope {
    const { trustRoot, workspace, unit, engineLevel, clock } = this.#options;
    const envelope = verifyEnvelope(bytes, {
      trustRoot,
      workspace,
      unit,
      engineLevel,
      now: Math.floor(clock.nowMs() / 1000),
      highWater: mark ?? null,
      known,
    });
    if (envelope.digest !== digest) throw new BundleRefused('wrong_bundle', 'the signature file is of another bundle');
    return envelope;
  }

  async #build(
    { manifest, digest }: VerifiedEnvelope,
    layers: BundleLayers,
    reach: (stage: Stage) => void,
  ): Promise<ActiveBundle<Prepared>> {
    const { builder } = this.#options;
    const identity = { manifest, digest };
    const engine = await orRefuse('compile_failed', 'the policy cannot be run', () =>
      builder.compile(layers, identity),
    );
    try {
      reach('compiled');
      runSelftest(layers.selftest, layers.overlay !== null, (layer, input) => builder.ask(engine, layer, input));
      reach('tested');
      const prepared = await orRefuse('prepare_failed', 'the bundle cannot be put to use', async () =>
        builder.prepare(layers, identity, engine),
      );
      reach('prepared');
      const { rules, intel, exceptions, identities, settings } = layers;
      return { manifest, digest, prepared, rules, intel, exceptions, identities, settings };
    } catch (thrown) {
      builder.discard(engine);
      throw thrown;
    }
  }

  /** Raises the high-water mark to the bundle; never lowers it. */
  async #raise(mark: HighWaterMark | undefined, bundle: BundleIdentity, previous: Digest | null): Promise<void> {
    const { epoch, version } = bundle.manifest;
    const above = mark === undefined || epoch > mark.epoch || (epoch === mark.epoch && version > mark.version);
    if (!above) return;
    const next = { schema: 'weir.high-water/v1', epoch, version, digest: bundle.digest, previous } as const;
    await onDisk(() => this.#options.disk.writeHighWater(next));
  }

  /** Makes room: what no pointer leads to is removed. A failure costs disk space and nothing else. */
  async #sweep(): Promise<void> {
    const { disk, logger } = this.#options;
    try {
      const bundles = new Set<Digest>();
      const layers = new Set<Digest>();
      for (const pointer of ['current', 'previous', 'bootstrap'] as const) {
        const digest = await disk.readPointer(pointer);
        const bytes = digest === undefined ? undefined : await disk.readEnvelope(digest);
        if (digest === undefined || bytes === undefined) continue;
        bundles.add(digest);
        for (const layer of layersNamed(bytes)) layers.add(layer);
      }
      await disk.keepOnly({ bundles, layers });
    } catch (thrown) {
      logger.warn({ reason: describeThrown(thrown) }, 'old bundles could not be removed');
    }
  }

  #stopwatch(reached: (stage: Stage) => void): (stage: Stage) => void {
    const { clock, metrics } = this.#options;
    let since = clock.monotonicMs();
    metrics.count('weir_bundle_stages_total', { stage: 'offered' });
    return (stage) => {
      const now = clock.monotonicMs();
      metrics.count('weir_bundle_stages_total', { stage });
      metrics.observe('weir_bundle_stage_seconds', (now - since) / 1000, { stage });
      since = now;
      reached(stage);
    };
  }

  #gauge({ manifest }: BundleIdentity): void {
    const { metrics } = this.#options;
    metrics.gauge('weir_bundle_epoch', manifest.epoch);
    metrics.gauge('weir_bundle_version', manifest.version);
    metrics.gauge('weir_bundle_expires_seconds', manifest.expires);
  }

  #remember(outcome: ActivationOutcome): void {
    const oldest = this.#refused.keys().next();
    if (this.#refused.size >= REMEMBERED_REFUSALS_MAX && oldest.done !== true) this.#refused.delete(oldest.value);
    this.#refused.set(outcome.bundle.digest, outcome);
  }
}

async function orRefuse<T>(nack: NackCode, message: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof BundleRefused) throw cause;
    throw new BundleRefused(nack, `${message}: ${describeThrown(cause)}`, { cause });
  }
}

function asRefusal(thrown: unknown): BundleRefused {
  if (thrown instanceof BundleRefused) return thrown;
  return new BundleRefused('prepare_failed', `the bundle cannot be put to use: ${describeThrown(thrown)}`, {
    cause: thrown,
  });
}
