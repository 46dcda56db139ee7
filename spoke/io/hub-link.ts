// The hub over gRPC: implements the uplink's port and the bundle source. Decodes at the edge, nothing else.

import { create } from '@bufbuild/protobuf';
import {
  BundleService,
  Stage,
  type CurrentResponse,
  type FetchLayerResponse,
  type WatchResponse,
} from '@weir/proto/weir/bundle/v1/bundle_pb.ts';
import {
  CurrentRequestSchema,
  FetchEnvelopeRequestSchema,
  FetchLayerRequestSchema,
  ReportRequestSchema as ActivationRequestSchema,
  WatchRequestSchema,
} from '@weir/proto/weir/bundle/v1/bundle_pb.ts';
import { FleetService, ReportRequestSchema } from '@weir/proto/weir/fleet/v1/fleet_pb.ts';
import { BundleRefSchema, DigestSchema, Mode as WireMode, type BundleRef } from '@weir/proto/weir/type/v1/type_pb.ts';
import { isDigest, type Digest } from '@weir/shared/domain/digest.ts';
import { WeirError, asWeirError } from '@weir/shared/errors/weir-error.ts';
import { grpcMethods } from '@weir/shared/wire/grpc-methods.ts';
import type { BundleOffer, HubLink, HubOffer, StatusReport, ActivationReport } from '../uplink/hub-link.ts';
import { fromServiceError, type HubChannel } from './hub-channel.ts';

const bundles = grpcMethods(BundleService);
const fleet = grpcMethods(FleetService);

const MODES = { block: WireMode.BLOCK, warn: WireMode.WARN, observe: WireMode.OBSERVE } as const;
const STAGES = {
  offered: Stage.OFFERED,
  fetched: Stage.FETCHED,
  verified: Stage.VERIFIED,
  compiled: Stage.COMPILED,
  tested: Stage.TESTED,
  active: Stage.ACTIVE,
} as const satisfies Record<ActivationReport['stage'], Stage>;

/** Where the activation machine gets envelopes and layers from. */
export interface HubBundleSource {
  fetchEnvelope(bundle: Digest, signal: AbortSignal): Promise<Uint8Array>;
  /** Bytes of a layer from `offset` on, in order. */
  fetchLayer(bundle: Digest, layer: Digest, offset: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export function createHubLink(channel: HubChannel): HubLink & HubBundleSource {
  async function failingOver<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (thrown) {
      const error = asWeirError(thrown, 'internal', 'the hub call failed');
      if (error.code === 'unavailable' || error.code === 'timeout') channel.failOver();
      throw error;
    }
  }

  return {
    async *watch(active, signal) {
      const request = create(WatchRequestSchema, active === null ? {} : { active: toRef(active) });
      for await (const message of readStream(channel, () => channel.serverStream(bundles.watch, request), signal))
        yield toOffer(message);
    },
    async current(signal) {
      return toOffer(await failingOver(() => channel.unary(bundles.current, create(CurrentRequestSchema), signal)));
    },
    async reportActivation(report, signal) {
      await failingOver(() =>
        channel.unary(
          bundles.report,
          create(ActivationRequestSchema, {
            bundle: toRef(report.bundle),
            stage: STAGES[report.stage],
            nack: report.nack,
            detail: report.detail,
            ...(report.active === null ? {} : { active: toRef(report.active) }),
          }),
          signal,
        ),
      );
    },
    async reportStatus(status, signal) {
      const request = create(ReportRequestSchema, { status: toStatus(status) });
      const answer = await failingOver(() => channel.unary(fleet.report, request, signal));
      return { hubTimeMs: Number(answer.hubTimeMs), intervalMs: answer.intervalMs };
    },
    async fetchEnvelope(bundle, signal) {
      const request = create(FetchEnvelopeRequestSchema, { bundle: { value: bundle } });
      const answer = await failingOver(() => channel.unary(bundles.fetchEnvelope, request, signal));
      return answer.envelope;
    },
    async *fetchLayer(bundle, layer, offset, signal) {
      const request = create(FetchLayerRequestSchema, {
        bundle: { value: bundle },
        layer: { value: layer },
        offset: BigInt(offset),
      });
      let expected = offset;
      const chunks: AsyncIterable<FetchLayerResponse> = readStream(
        channel,
        () => channel.serverStream(bundles.fetchLayer, request),
        signal,
      );
      for await (const chunk of chunks) {
        if (Number(chunk.offset) !== expected)
          throw new WeirError('integrity', 'the hub sent layer bytes out of order');
        expected += chunk.data.length;
        yield chunk.data;
      }
    },
  };
}

/** Reads a server stream with the stream's own backpressure; ends the call when the reader stops or the signal aborts. */
async function* readStream<T>(
  channel: HubChannel,
  open: () => AsyncIterable<T> & { cancel(): void },
  signal: AbortSignal,
): AsyncGenerator<T> {
  if (signal.aborted) return;
  const call = open();
  const cancel = (): void => call.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    for await (const message of call) yield message;
  } catch (thrown) {
    if (signal.aborted) return;
    const error = isServiceError(thrown)
      ? fromServiceError(thrown)
      : asWeirError(thrown, 'unavailable', 'the hub stream broke');
    if (error.code === 'unavailable' || error.code === 'timeout') channel.failOver();
    throw error;
  } finally {
    signal.removeEventListener('abort', cancel);
    call.cancel();
  }
}

function isServiceError(thrown: unknown): thrown is Parameters<typeof fromServiceError>[0] {
  return thrown instanceof Error && 'code' in thrown && 'details' in thrown;
}

function toOffer(message: WatchResponse | CurrentResponse): HubOffer {
  const { offer } = message;
  if (offer === undefined) throw new WeirError('invalid_argument', 'the hub sent an empty offer');
  return { bundle: offer.bundle === undefined ? null : fromRef(offer.bundle), hubTimeMs: Number(offer.hubTimeMs) };
}

function fromRef(ref: BundleRef): BundleOffer {
  const digest = ref.digest?.value;
  if (!isDigest(digest)) throw new WeirError('invalid_argument', 'the hub offered a bundle without a proper digest');
  return { digest, epoch: Number(ref.epoch), version: Number(ref.version) };
}

function toRef(offer: BundleOffer): BundleRef {
  return create(BundleRefSchema, {
    digest: create(DigestSchema, { value: offer.digest }),
    epoch: BigInt(offer.epoch),
    version: BigInt(offer.version),
  });
}

function toStatus(status: StatusReport) {
  return {
    ...(status.active === null ? {} : { active: toRef(status.active) }),
    mode: MODES[status.mode],
    staleness: status.staleness,
    engine: status.engine,
    version: status.version,
    startedAtMs: BigInt(status.startedAtMs),
    site: status.site,
    logs: status.logs.map((log) => ({
      log: log.log,
      nextIndex: BigInt(log.nextIndex),
      acknowledged: BigInt(log.acknowledged),
      spoolFreeBytes: BigInt(log.freeBytes),
    })),
    nack: status.nack?.code ?? '',
    nackDetail: status.nack?.detail ?? '',
    ...(status.nack === null ? {} : { nacked: toRef(status.nack.bundle) }),
    spoolHealthy: status.spoolHealthy,
  };
}
