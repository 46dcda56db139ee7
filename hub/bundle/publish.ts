// Publishing: what an operator changes passes its gates, is stored, and every unit that it concerns gets its next signed
// bundle. A refused change leaves nothing behind; a unit's bundle is only ever added to, so a spoke can always tell the
// newest. Several hub replicas may publish at once: the store lets one win and the other begins again.

import { exceptionsSchema, intelSchema, type Rules, type Selftest } from '@weir/shared/bundle/layers.ts';
import { ENGINE_LEVEL } from '@weir/shared/bundle/manifest.ts';
import { bundleDigest, statementBytes } from '@weir/shared/bundle/statement.ts';
import type { TrustRoot } from '@weir/shared/bundle/trust-root.ts';
import { verifyEnvelope } from '@weir/shared/bundle/verify.ts';
import { canonicalJson } from '@weir/shared/crypto/canonical-json.ts';
import { digestOf, type Digest } from '@weir/shared/domain/digest.ts';
import type { Json, JsonObject } from '@weir/shared/domain/json.ts';
import { describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { StoredBundle } from '../store/bundle-store.ts';
import type { DocumentKind, PolicyScope, PolicyVersion, SourceFile } from '../store/policy-store.ts';
import type { UnitRecord, UnitStore } from '../store/unit-store.ts';
import { jsonLayer, layerOf, manifestOf, sameLayers, selftestOf } from './assemble.ts';
import { gather, readSources, type Gathered, type GatherPorts } from './gather.ts';

export const PUBLISH_LIMITS = {
  /** Tries against other publishers of the same unit. */
  attempts: 8,
  /** A bundle with less life than this is issued again, seconds. */
  renewBeforeS: 30 * 86_400,
} as const;

/** Default life of a bundle, seconds. */
export const BUNDLE_LIFETIME_S = 90 * 86_400;

/** An objection of a gate; see `hub/floor`. */
export interface Objection {
  readonly gate: string;
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** What a policy tree became. */
export interface CompiledPolicy {
  readonly module: Uint8Array;
  readonly rules: Rules;
  readonly vectors: readonly { readonly name: string; readonly input: Json; readonly output: Json }[];
  readonly readsVersion: boolean;
  readonly versionUse: string;
  readonly coverage: number;
}

type Judged =
  | { readonly ok: true; readonly compiled: CompiledPolicy }
  | { readonly ok: false; readonly findings: readonly Objection[] };

export interface PublisherPorts extends GatherPorts {
  readonly units: UnitStore;
  readonly gates: {
    floor(files: readonly SourceFile[]): Promise<Judged>;
    overlay(unit: string, files: readonly SourceFile[], floor: readonly SourceFile[]): Promise<Judged>;
  };
  /** Signs statement bytes; resolves to envelope bytes. */
  readonly sign: (statement: Uint8Array) => Promise<Uint8Array>;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface PublisherOptions {
  readonly workspace: string;
  /** Raised by an operator when a signing history has to start anew. */
  readonly epoch: number;
  readonly lifetimeS?: number;
  /** What spokes trust: every bundle is verified against it before it is stored. */
  readonly trustRoot: TrustRoot;
}

export interface PublishedBundle {
  readonly unit: string;
  readonly digest: Digest;
  readonly epoch: number;
  readonly version: number;
}

export interface PolicyOutcome {
  readonly published: boolean;
  /** Empty when published, or when a dry run found nothing. */
  readonly findings: readonly Objection[];
  /** 0 when not published. */
  readonly version: number;
  readonly bundles: readonly PublishedBundle[];
}

export interface PolicyRequest {
  readonly files: readonly SourceFile[];
  readonly note: string;
  /** Operator name. */
  readonly by: string;
  /** Run the gates only. */
  readonly dryRun: boolean;
}

export interface Publisher {
  publishFloor(request: PolicyRequest): Promise<PolicyOutcome>;
  /** Throws `not_found` for an unknown unit and `conflict` while no floor is published. */
  publishOverlay(unit: string, request: PolicyRequest): Promise<PolicyOutcome>;
  /** `weir.intel/v1` JSON. Throws `invalid_argument` naming the first fault. */
  publishIntel(bytes: Uint8Array, by: string): Promise<readonly PublishedBundle[]>;
  /** `weir.exceptions/v1` JSON: all exceptions in force, of every unit. Throws like `publishIntel`. */
  publishExceptions(bytes: Uint8Array, by: string): Promise<readonly PublishedBundle[]>;
  /**
   * Brings one unit's bundle up to date after its settings or tokens changed. Undefined when nothing changed, or while there
   * is no floor or no intel yet.
   */
  refresh(unit: string): Promise<PublishedBundle | undefined>;
  /** Issues again what will expire soon. */
  renewExpiring(): Promise<readonly PublishedBundle[]>;
  /**
   * Finishes what a publisher that was cut short began, for every unit, and renews; run it at start and now and then. A unit
   * that cannot be brought up to date is logged and keeps the bundle that it has.
   */
  catchUp(signal: AbortSignal): Promise<void>;
}

export function createPublisher(ports: PublisherPorts, options: PublisherOptions): Publisher {
  return new BundlePublisher(ports, options);
}

class BundlePublisher implements Publisher {
  readonly #ports: PublisherPorts;
  readonly #options: PublisherOptions;

  constructor(ports: PublisherPorts, options: PublisherOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  async publishFloor({ files, note, by, dryRun }: PolicyRequest): Promise<PolicyOutcome> {
    const judged = await this.#ports.gates.floor(policyFiles(files));
    if (!judged.ok) return refused(judged.findings);
    const intel = intelOf(files);
    if (intel !== undefined) parseDocument('intel', intel);
    if (dryRun) return refused([]);
    const facts = { reads_version: judged.compiled.readsVersion };
    const version = await this.#insert({ kind: 'floor' }, policyFiles(files), judged.compiled, { facts, note, by });
    // A start for a new hub; datasets that are published already are newer than any checkout and stay.
    const first = (await this.#ports.policies.latestDocument('intel')) === undefined;
    if (intel !== undefined && first) await this.#insertDocument('intel', intel, by);
    return { published: true, findings: [], version: version.version, bundles: await this.#refreshAll() };
  }

  async publishOverlay(unit: string, { files, note, by, dryRun }: PolicyRequest): Promise<PolicyOutcome> {
    await this.#unit(unit);
    const floor = await this.#ports.policies.latest({ kind: 'floor' });
    if (floor === undefined) {
      throw new WeirError('conflict', 'an overlay needs a floor and none is published', {
        next: 'publish the floor first',
      });
    }
    const floorFiles = await readSources(this.#ports.policies, { kind: 'floor' }, floor.version);
    const judged = await this.#ports.gates.overlay(unit, files, floorFiles);
    if (!judged.ok) return refused(judged.findings);
    if (dryRun) return refused([]);
    const scope = { kind: 'overlay', unit } as const;
    const facts = { reads_version: judged.compiled.readsVersion, floor_version: floor.version };
    const version = await this.#insert(scope, files, judged.compiled, { facts, note, by });
    const bundle = await this.refresh(unit);
    return { published: true, findings: [], version: version.version, bundles: bundle === undefined ? [] : [bundle] };
  }

  async publishIntel(bytes: Uint8Array, by: string): Promise<readonly PublishedBundle[]> {
    await this.#insertDocument('intel', bytes, by);
    return this.#refreshAll();
  }

  async publishExceptions(bytes: Uint8Array, by: string): Promise<readonly PublishedBundle[]> {
    await this.#insertDocument('exceptions', bytes, by);
    return this.#refreshAll();
  }

  async refresh(unit: string): Promise<PublishedBundle | undefined> {
    return this.#next({ name: unit }, false);
  }

  async renewExpiring(): Promise<readonly PublishedBundle[]> {
    const renewed: PublishedBundle[] = [];
    for (const unit of await this.#ports.units.listUnits()) {
      const bundle = await this.#renew(unit);
      if (bundle !== undefined) renewed.push(bundle);
    }
    return renewed;
  }

  async catchUp(signal: AbortSignal): Promise<void> {
    for (const unit of await this.#ports.units.listUnits()) {
      if (signal.aborted) return;
      try {
        await this.#next(unit, false);
        await this.#renew(unit);
      } catch (thrown) {
        this.#ports.logger.error(
          { unit: unit.name, error: describeThrown(thrown) },
          'a unit could not be brought up to date',
        );
      }
    }
  }

  async #renew(unit: UnitRecord): Promise<PublishedBundle | undefined> {
    const current = await this.#ports.bundles.currentBundle(unit.name);
    if (current === undefined || current.expires - this.#now() > PUBLISH_LIMITS.renewBeforeS) return undefined;
    return this.#next(unit, true);
  }

  async #refreshAll(): Promise<readonly PublishedBundle[]> {
    const published: PublishedBundle[] = [];
    for (const unit of await this.#ports.units.listUnits()) {
      const bundle = await this.#next(unit, false);
      if (bundle !== undefined) published.push(bundle);
    }
    return published;
  }

  /** The unit's next bundle, unless nothing changed (and `renew` is not asked for) or a part is still missing. */
  async #next(unit: Pick<UnitRecord, 'name'>, renew: boolean): Promise<PublishedBundle | undefined> {
    for (let attempt = 0; attempt < PUBLISH_LIMITS.attempts; attempt += 1) {
      const current = await this.#ports.bundles.currentBundle(unit.name);
      // Read after what it will follow, every time: settings that were read before could undo what was published since.
      const record = await this.#unit(unit.name);
      const gathered = await gather(this.#ports, record, current);
      if (gathered === undefined) return undefined;
      const inOrder = current !== undefined && current.epoch >= this.#options.epoch;
      if (inOrder && !renew && sameLayers(current.layers, gathered.layers)) return undefined;
      const bundle = await this.#sign(unit.name, current, gathered);
      if ((await this.#ports.bundles.insertBundle(bundle)) === 'inserted') {
        const { digest, epoch, version } = bundle;
        this.#ports.logger.info({ unit: unit.name, digest, epoch, version }, 'bundle published');
        this.#ports.metrics.count('weir_hub_bundles_published_total', { unit: unit.name });
        return { unit: unit.name, digest, epoch, version };
      }
    }
    throw new WeirError('conflict', `other publishers kept ahead of unit ${unit.name}`, { retry: 'later' });
  }

  async #sign(unit: string, current: StoredBundle | undefined, gathered: Gathered): Promise<StoredBundle> {
    const epoch = Math.max(this.#options.epoch, current?.epoch ?? 0);
    const manifest = manifestOf({
      workspace: this.#options.workspace,
      unit,
      epoch,
      version: current === undefined || epoch > current.epoch ? 1 : current.version + 1,
      prev: current?.digest ?? null,
      issuedAt: this.#now(),
      lifetimeS: this.#options.lifetimeS ?? BUNDLE_LIFETIME_S,
      layers: gathered.layers,
      readsVersion: gathered.readsVersion,
    });
    const statement = statementBytes(manifest);
    const envelope = await this.#ports.sign(statement);
    // What a spoke would refuse must not become the newest bundle, whatever went wrong in between.
    verifyEnvelope(envelope, {
      trustRoot: this.#options.trustRoot,
      workspace: this.#options.workspace,
      unit,
      now: this.#now(),
      highWater: current ?? null,
      engineLevel: ENGINE_LEVEL,
    });
    return {
      unit,
      epoch: manifest.epoch,
      version: manifest.version,
      digest: bundleDigest(statement),
      prev: manifest.prev,
      issuedAt: manifest.issued_at,
      expires: manifest.expires,
      layers: manifest.layers,
      envelope,
    };
  }

  async #insert(
    scope: PolicyScope,
    files: readonly SourceFile[],
    compiled: CompiledPolicy,
    extra: { readonly facts: JsonObject; readonly note: string; readonly by: string },
  ): Promise<PolicyVersion> {
    const layer = scope.kind === 'floor' ? scope.kind : 'overlay';
    const vectors = compiled.vectors.map(({ name, input, output }) => ({ name, layer, input, output }));
    const layers = [
      layerOf(layer, compiled.module),
      jsonLayer('rules', compiled.rules),
      jsonLayer('selftest', selftestOf(vectors as unknown as Selftest['vectors'])),
    ];
    for (const { ref, bytes } of layers) await this.#ports.bundles.putLayer(ref.digest, bytes);
    return this.#ports.policies.insertSources({
      scope,
      files,
      digest: treeDigest(files),
      layers: layers.map(({ ref }) => ref),
      facts: { ...extra.facts, coverage: compiled.coverage, version_use: compiled.versionUse },
      rules: compiled.rules.rules.length,
      note: extra.note,
      by: extra.by,
    });
  }

  async #insertDocument(kind: DocumentKind, bytes: Uint8Array, by: string): Promise<void> {
    const { ref, bytes: canonical } = jsonLayer(kind, parseDocument(kind, bytes));
    const latest = await this.#ports.policies.latestDocument(kind);
    if (latest?.digest === ref.digest) return;
    await this.#ports.bundles.putLayer(ref.digest, canonical);
    await this.#ports.policies.insertDocument({ kind, digest: ref.digest, size: ref.size, by });
  }

  async #unit(name: string): Promise<UnitRecord> {
    const unit = await this.#ports.units.unit(name);
    if (unit === undefined) throw new WeirError('not_found', `there is no unit ${name}`);
    return unit;
  }

  #now(): number {
    return Math.floor(this.#ports.clock.nowMs() / 1000);
  }
}

function refused(findings: readonly Objection[]): PolicyOutcome {
  return { published: false, findings, version: 0, bundles: [] };
}

/** Digest over paths and contents, whatever their order. */
export function treeDigest(files: readonly SourceFile[]): Digest {
  return digestOf(
    canonicalJson(
      files.map(({ path, content }) => [path, digestOf(content)] as const).toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ),
  );
}

const INTEL_FILE = 'intel/intel.json';

/** A floor checkout may bring datasets, so that a new hub has some from its first floor on; they are not compiled. */
function intelOf(files: readonly SourceFile[]): Uint8Array | undefined {
  return files.find(({ path }) => path === INTEL_FILE)?.content;
}

function policyFiles(files: readonly SourceFile[]): readonly SourceFile[] {
  return files.filter(({ path }) => path !== INTEL_FILE);
}

function parseDocument(kind: DocumentKind, bytes: Uint8Array): unknown {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new WeirError('invalid_argument', `the ${kind} document is not json`, { cause });
  }
  const parsed = (kind === 'intel' ? intelSchema : exceptionsSchema).safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new WeirError(
    'invalid_argument',
    `the ${kind} document is malformed at ${issue?.path.join('.')}: ${issue?.message}`,
  );
}
