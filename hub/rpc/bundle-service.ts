// BundleService: offers, envelopes, layers and activation reports, each only of the caller's own unit.

import { create, toBinary } from '@bufbuild/protobuf';
import { type BundleService, Stage, WatchResponseSchema } from '@weir/proto/weir/bundle/v1/bundle_pb.ts';
import { type Digest, isDigest } from '@weir/shared/domain/digest.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import { decodeBundleLine, encodeBundleLine } from './status-message.ts';
import type { BundleFeed } from '../fleet/bundle-feed.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { BundleRecord, BundleStore, StoredBundle } from '../store/bundle-store.ts';
import type { LayerReader } from '../fleet/layer-reader.ts';
import type { MachineHandlers } from './handler.ts';

/** An unchanged offer is repeated this often: it carries hub time, the anchor of staleness. */
export const KEEP_ALIVE_MS = 10_000;
export const CHUNK_BYTES = 64 << 10;
/** One encoding of an offer serves every watcher that wakes within this time. */
const ENCODING_FRESH_MS = 100;
const STAGES = ['offered', 'fetched', 'verified', 'compiled', 'tested', 'active'] as const;

export interface BundleServiceParts {
  readonly store: BundleStore;
  readonly layers: LayerReader;
  readonly feed: BundleFeed;
  readonly fleet: Fleet;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export function bundleService(parts: BundleServiceParts): MachineHandlers<typeof BundleService> {
  const { store, layers, feed, fleet, clock, logger, metrics } = parts;
  const encoded = new Map<
    string,
    { readonly digest: Digest | null; readonly atMs: number; readonly bytes: Uint8Array }
  >();

  /** Encoded once per change: a thousand watchers of a unit share the bytes. */
  function encodeOffer(unit: string, bundle: BundleRecord | null): Uint8Array {
    const now = clock.nowMs();
    const known = encoded.get(unit);
    const digest = bundle?.digest ?? null;
    if (known !== undefined && known.digest === digest && Math.abs(now - known.atMs) < ENCODING_FRESH_MS)
      return known.bytes;
    const bytes = toBinary(WatchResponseSchema, create(WatchResponseSchema, { offer: offerOf(bundle, now) }));
    encoded.set(unit, { digest, atMs: now, bytes });
    return bytes;
  }

  /** The same answer for a bundle of another unit as for none at all. */
  async function ownBundle(unit: string, digest: string | undefined): Promise<StoredBundle> {
    if (!isDigest(digest)) throw new WeirError('invalid_argument', 'the bundle digest is malformed');
    const bundle = await store.bundleByDigest(digest);
    if (bundle?.unit !== unit) throw new WeirError('not_found', 'this unit has no such bundle');
    return bundle;
  }

  return {
    async current(_request, { peer }) {
      return { offer: offerOf(await feed.newest(peer.unit), clock.nowMs()) };
    },

    async *watch(_request, { peer, signal }) {
      const closed = await fleet.watching(peer);
      try {
        for await (const bundle of feed.watch(peer.unit, KEEP_ALIVE_MS, signal)) {
          yield encodeOffer(peer.unit, bundle);
          metrics.count('weir_hub_offers_sent_total');
        }
      } finally {
        await closed();
      }
    },

    async fetchEnvelope({ bundle }, { peer }) {
      return { envelope: (await ownBundle(peer.unit, bundle?.value)).envelope };
    },

    async *fetchLayer({ bundle, layer, offset }, { peer }) {
      const named = (await ownBundle(peer.unit, bundle?.value)).layers.find((ref) => ref.digest === layer?.value);
      if (named === undefined) throw new WeirError('not_found', 'the bundle names no such layer');
      if (offset > BigInt(named.size))
        throw new WeirError('invalid_argument', 'the offset is past the end of the layer');
      for (let at = Number(offset); at < named.size; ) {
        const data = await layers.read(named.digest, at, CHUNK_BYTES);
        if (data.byteLength === 0) throw new WeirError('corrupt', 'the stored layer is shorter than its bundle says');
        yield { offset: BigInt(at), data };
        metrics.count('weir_hub_layer_bytes_sent_total', {}, data.byteLength);
        at += data.byteLength;
      }
    },

    async report(request, { peer }) {
      const bundle = decodeBundleLine(request.bundle, 'bundle');
      const active = decodeBundleLine(request.active, 'active');
      const stage = STAGES[request.stage - Stage.OFFERED];
      if (bundle === null || stage === undefined)
        throw new WeirError('invalid_argument', 'the report names no bundle or stage');
      if (request.nack !== '' && !/^[a-z0-9_]{1,80}$/.test(request.nack)) {
        throw new WeirError('invalid_argument', 'the nack is not a snake_case code');
      }
      const refused = request.nack !== '';
      metrics.count('weir_hub_activation_reports_total', { stage, outcome: refused ? 'nack' : 'ok' });
      const fields = { unit: peer.unit, spoke: peer.spoke, bundle: bundle.digest, stage };
      if (refused) logger.warn({ ...fields, nack: request.nack }, 'a spoke refused a bundle');
      else logger.info(fields, 'a spoke reported on a bundle');
      await fleet.noteActivation(peer, {
        active,
        nack: request.nack,
        nackDetail: request.detail.slice(0, 500),
        nacked: refused ? bundle : null,
      });
      return {};
    },
  };
}

function offerOf(bundle: BundleRecord | null, nowMs: number) {
  return { ...(bundle === null ? {} : { bundle: encodeBundleLine(bundle) }), hubTimeMs: BigInt(nowMs) };
}
