// A hub in the wrong hands: it has the true hub's CA and so its place on the network, but offers whatever bundles it is
// given. Spokes must keep what they run and say why. Made of the hub's own server, so that only the content is false.

import { BundleService } from '@weir/proto/weir/bundle/v1/bundle_pb.ts';
import { FleetService } from '@weir/proto/weir/fleet/v1/fleet_pb.ts';
import { makeAuthority, openAuthority } from '@weir/hub/enrollment/certificate-authority.ts';
import { openHubHome } from '@weir/hub/io/hub-home.ts';
import { createMachineServer } from '@weir/hub/io/machine-server.ts';
import { systemRandom } from '@weir/hub/io/system-random.ts';
import { forMachines } from '@weir/hub/rpc/service.ts';
import type { Digest } from '@weir/shared/domain/digest.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { LooseBundle } from '../bundle/forge.ts';

export interface HostileHubOptions {
  /** Home of the stopped hub, whose CA is used. */
  readonly hubHome: string;
  readonly workspace: string;
  /** Its federation port. */
  readonly port: number;
}

/** What a spoke reported on an offer. */
export interface ActivationWord {
  readonly unit: string;
  readonly digest: string;
  /** '' when the spoke took it. */
  readonly nack: string;
  readonly detail: string;
  /** Digest of what the spoke runs afterwards. */
  readonly active: string;
}

export interface Offering {
  /** What the offer claims; the bundle's own digest unless the lie is in the offer itself. */
  readonly digest?: Digest;
  readonly bundle: LooseBundle;
}

export interface HostileHub extends AsyncDisposable {
  readonly port: number;
  /** Every report so far, in order. */
  readonly words: readonly ActivationWord[];
  /** Offers a bundle to the spokes of a unit that are or will be connected. */
  offer(unit: string, offering: Offering): void;
}

const CHUNK_BYTES = 64 << 10;
const HOUR_MS = 3_600_000;
const silent: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => silent };

export async function startHostileHub({ hubHome, workspace, port }: HostileHubOptions): Promise<HostileHub> {
  const home = await openHubHome(hubHome);
  const now = Date.now();
  const authority = await openAuthority(
    workspace,
    await home.authority(() => makeAuthority(workspace, now, systemRandom)),
    systemRandom,
  );
  const offered = new Map<string, Offering>();
  const words: ActivationWord[] = [];
  const waiting = new Set<() => void>();
  const offerOf = (unit: string) => {
    const offering = offered.get(unit);
    if (offering === undefined) return { hubTimeMs: BigInt(Date.now()) };
    const { epoch, version } = offering.bundle.manifest;
    const digest = { value: offering.digest ?? offering.bundle.digest };
    return { bundle: { digest, epoch: BigInt(epoch), version: BigInt(version) }, hubTimeMs: BigInt(Date.now()) };
  };
  const bundleOf = (unit: string): LooseBundle => {
    const offering = offered.get(unit);
    if (offering === undefined) throw new Error('nothing is on offer');
    return offering.bundle;
  };

  const bundles = forMachines(BundleService, {
    current: (_request, { peer }) => ({ offer: offerOf(peer.unit) }),
    async *watch(_request, { peer, signal }) {
      let last: Offering | undefined;
      while (!signal.aborted) {
        const present = offered.get(peer.unit);
        if (present !== undefined && present !== last) {
          last = present;
          yield { offer: offerOf(peer.unit) };
        }
        await new Promise<void>((resolve) => {
          waiting.add(resolve);
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
      }
    },
    fetchEnvelope: (_request, { peer }) => ({ envelope: new Uint8Array(bundleOf(peer.unit).envelope) }),
    async *fetchLayer({ layer, offset }, { peer }) {
      const bytes = bundleOf(peer.unit).layers.get((layer?.value ?? '') as Digest) ?? new Uint8Array();
      for (let start = Number(offset); start < bytes.length; start += CHUNK_BYTES) {
        yield { offset: BigInt(start), data: new Uint8Array(bytes.subarray(start, start + CHUNK_BYTES)) };
        await Promise.resolve();
      }
    },
    report({ bundle, nack, detail, active }, { peer }) {
      words.push({
        unit: peer.unit,
        digest: bundle?.digest?.value ?? '',
        nack,
        detail,
        active: active?.digest?.value ?? '',
      });
      return {};
    },
  });
  const fleet = forMachines(FleetService, { report: () => ({ hubTimeMs: BigInt(Date.now()), intervalMs: 30_000 }) });
  const server = createMachineServer({
    authority,
    tls: await authority.issueHub(['localhost', '127.0.0.1'], { fromMs: now, ttlMs: HOUR_MS }),
    services: [bundles, fleet],
    graceMs: 0,
    isDenied: () => false,
    logger: silent,
    metrics: { count: nothing, gauge: nothing, observe: nothing },
  });
  const bound = await server.listenFederation('127.0.0.1', port);
  return {
    port: bound.port,
    words,
    offer(unit, offering) {
      offered.set(unit, offering);
      for (const wake of waiting) wake();
      waiting.clear();
    },
    async [Symbol.asyncDispose]() {
      await server.close();
      await home.release();
    },
  };
}

function nothing(): void {
  // What a hostile hub logs or measures is nobody's business.
}
