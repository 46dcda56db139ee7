// A hub without a database: the store ports in memory, a throw-away signing key, the real gates, OPA and publisher.

import { generateKeyPairSync } from 'node:crypto';
import { createPublisher, type Publisher } from '@weir/hub/bundle/publish.ts';
import { createGates } from '@weir/hub/floor/gates.ts';
import { createSelftests } from '@weir/hub/floor/selftests.ts';
import { fileSigner } from '@weir/hub/io/signing-key.ts';
import { signEnvelope } from '@weir/hub/io/sign-envelope.ts';
import type { BundleStore, StoredBundle } from '@weir/hub/store/bundle-store.ts';
import type {
  PolicyDocument,
  PolicyScope,
  PolicyStore,
  PolicyVersion,
  SourceFile,
} from '@weir/hub/store/policy-store.ts';
import type { UnitRecord, UnitStore } from '@weir/hub/store/unit-store.ts';
import type { UnitToken, UnitTokenStore } from '@weir/hub/store/unit-token-store.ts';
import type { Settings } from '@weir/shared/bundle/layers.ts';
import { trustRootOf, type TrustRoot } from '@weir/shared/bundle/trust-root.ts';
import type { Digest } from '@weir/shared/domain/digest.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Signer } from '@weir/hub/bundle/signer.ts';
import { realOpa, shippedCapabilities } from './opa-for-tests.ts';

export const WORKSPACE = 'acme';

export const SILENT: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => SILENT,
};

/** Wall time that a test moves by hand. */
export interface ManualClock extends Clock {
  setS(unixSeconds: number): void;
}

export function manualClock(unixSeconds: number): ManualClock {
  let nowS = unixSeconds;
  return {
    nowMs: () => nowS * 1000,
    monotonicMs: () => performance.now(),
    sleep: async () => undefined,
    setS: (seconds) => {
      nowS = seconds;
    },
  };
}

export function newSigner(): Signer {
  return fileSigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
}

export interface MemoryHub {
  readonly publisher: Publisher;
  /** Another publisher over the same stores, with another epoch. */
  publisherAt(epoch: number): Publisher;
  readonly bundles: BundleStore & { readonly layers: ReadonlyMap<Digest, Uint8Array> };
  readonly policies: PolicyStore;
  readonly signer: Signer;
  readonly trustRoot: TrustRoot;
  readonly clock: ManualClock;
  addUnit(settings: Settings): void;
  setSettings(settings: Settings): void;
  setTokens(unit: string, tokens: readonly UnitToken[]): void;
  current(unit: string): Promise<StoredBundle>;
}

export async function memoryHub(options: { readonly nowS?: number; readonly epoch?: number } = {}): Promise<MemoryHub> {
  const clock = manualClock(options.nowS ?? 1_800_000_000);
  const signer = newSigner();
  const trustRoot = trustRootOf(WORKSPACE, signer.publicKeyPem, 1_700_000_000);
  const units = new Map<string, UnitRecord>();
  const tokens = new Map<string, readonly UnitToken[]>();
  const bundles = memoryBundles();
  const policies = memoryPolicies();
  const gateOptions = { opa: realOpa(), capabilities: await shippedCapabilities(), clock };
  const addUnit = (settings: Settings): void =>
    void units.set(settings.unit, { name: settings.unit, settings, salt: new Uint8Array(32), createdAtMs: 0 });
  const publisherAt = (epoch: number): Publisher =>
    createPublisher(
      {
        policies,
        bundles,
        units: {
          unit: async (name: string) => units.get(name),
          listUnits: async () => [...units.values()],
        } as unknown as UnitStore,
        tokens: { activeTokens: async (unit: string) => tokens.get(unit) ?? [] } as unknown as UnitTokenStore,
        pseudonyms: async () => new Map(),
        gates: createGates(gateOptions),
        selftests: createSelftests(gateOptions),
        sign: (statement) => signEnvelope(statement, signer),
        clock,
        logger: SILENT,
        metrics: { count: () => undefined, gauge: () => undefined, observe: () => undefined },
      },
      { workspace: WORKSPACE, epoch, trustRoot },
    );
  return {
    publisher: publisherAt(options.epoch ?? 1),
    publisherAt,
    bundles,
    policies,
    signer,
    trustRoot,
    clock,
    addUnit,
    setSettings: addUnit,
    setTokens: (unit, list) => void tokens.set(unit, list),
    async current(unit) {
      const bundle = await bundles.currentBundle(unit);
      if (bundle === undefined) throw new Error(`${unit} has no bundle`);
      return bundle;
    },
  };
}

function memoryBundles(): MemoryHub['bundles'] {
  const layers = new Map<Digest, Uint8Array>();
  const all: StoredBundle[] = [];
  const current = (unit: string): StoredBundle | undefined => all.findLast((bundle) => bundle.unit === unit);
  return {
    layers,
    async putLayer(digest, bytes) {
      if (!layers.has(digest)) layers.set(digest, bytes);
    },
    async readLayer(digest, offset, limit) {
      return layers.get(digest)?.slice(offset, offset + limit);
    },
    async layerSize(digest) {
      return layers.get(digest)?.byteLength;
    },
    async insertBundle(bundle) {
      const before = current(bundle.unit);
      if ((before?.digest ?? null) !== bundle.prev) return 'conflict';
      if (before !== undefined && bundle.epoch === before.epoch && bundle.version <= before.version) return 'conflict';
      if (!bundle.layers.every(({ digest }) => layers.has(digest))) throw new Error('a layer was not put before');
      all.push(bundle);
      return 'inserted';
    },
    currentBundle: async (unit) => current(unit),
    bundleByDigest: async (digest) => all.find((bundle) => bundle.digest === digest),
    listBundles: async (unit) => ({
      bundles: all.filter((bundle) => unit === '' || bundle.unit === unit),
      nextCursor: '',
    }),
  };
}

function memoryPolicies(): PolicyStore {
  const versions: { policy: PolicyVersion; files: readonly SourceFile[] }[] = [];
  const documents: PolicyDocument[] = [];
  const of = (scope: PolicyScope): typeof versions =>
    versions.filter(({ policy }) => JSON.stringify(policy.scope) === JSON.stringify(scope));
  return {
    async insertSources({ files, ...policy }) {
      const version = { ...policy, version: of(policy.scope).length + 1, publishedAtMs: 0 };
      versions.push({ policy: version, files });
      return version;
    },
    latest: async (scope) => of(scope).at(-1)?.policy,
    list: async (scope) => ({ versions: of(scope).map(({ policy }) => policy), nextCursor: '' }),
    read: async (scope, version) => of(scope).at(version === 0 ? -1 : version - 1)?.files,
    async insertDocument(document) {
      const version = documents.filter(({ kind }) => kind === document.kind).length + 1;
      const inserted = { ...document, version, publishedAtMs: 0 };
      documents.push(inserted);
      return inserted;
    },
    latestDocument: async (kind) => documents.findLast((document) => document.kind === kind),
  };
}
