import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { createBundleFeed } from '@weir/hub/fleet/bundle-feed.ts';
import { systemClock } from '@weir/hub/io/system-clock.ts';
import { createBundleStore } from '@weir/hub/store/postgres/bundle-store.ts';
import { AuditService, PositionRequestSchema } from '@weir/proto/weir/audit/v1/audit_pb.ts';
import {
  BundleService,
  CurrentRequestSchema,
  FetchEnvelopeRequestSchema,
  FetchLayerRequestSchema,
  type FetchLayerResponse,
  ReportRequestSchema,
  Stage,
  WatchRequestSchema,
  type WatchResponse,
} from '@weir/proto/weir/bundle/v1/bundle_pb.ts';
import { FleetViewService } from '@weir/proto/weir/console/v1/console_pb.ts';
import {
  FleetService,
  ReportRequestSchema as StatusRequestSchema,
  type StatusSchema,
} from '@weir/proto/weir/fleet/v1/fleet_pb.ts';
import type { BundleRecord } from '@weir/hub/store/bundle-store.ts';
import type { SpokeStatus } from '@weir/hub/fleet/spoke-status.ts';
import { encodeBundleLine, WIRE_MODES } from '@weir/hub/rpc/status-message.ts';
import { grpcMethods } from '@weir/shared/wire/grpc-methods.ts';
import { quiet, testPostgres } from './database.ts';
import { hubUnderTest } from './hub-under-test.ts';

const server = testPostgres();
const bundles = grpcMethods(BundleService);
const fleet = grpcMethods(FleetService);
const audit = grpcMethods(AuditService);

const STATUS: SpokeStatus = {
  active: null,
  mode: 'block',
  staleness: 'fresh',
  engine: 'weir/1',
  version: '0.1.0',
  startedAtMs: 1_800_000_000_000,
  site: 'here',
  logs: [{ log: 'payments.payments-1.0.1', nextIndex: 5, acknowledged: 3, freeBytes: 1000 }],
  nack: '',
  nackDetail: '',
  nacked: null,
  spoolHealthy: true,
};

test('a watcher gets the newest bundle at once and each new one as it is published', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  const spoke = await under.spoke('payments', 'payments-1');
  const watch = spoke.stream(bundles.watch, create(WatchRequestSchema));
  t.after(() => watch.cancel());
  watch.on('error', () => undefined);
  const offers = watch.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<WatchResponse>;

  const empty = (await offers.next()).value as WatchResponse;
  assert.equal(empty.offer?.bundle, undefined);
  assert.ok(Math.abs(Number(empty.offer?.hubTimeMs) - Date.now()) < 60_000, 'hub time comes with every offer');
  for (const content of ['one', 'two']) {
    const published = await under.publish('payments', Buffer.from(content));
    const { offer } = (await offers.next()).value as WatchResponse;
    assert.equal(offer?.bundle?.digest?.value, published.digest);
    assert.equal(offer?.bundle?.version, BigInt(published.version));
  }
  const current = await spoke.call(bundles.current, create(CurrentRequestSchema));
  assert.equal(current.offer?.bundle?.version, 2n);
});

test('a slow watcher sees the newest bundle only, and keep-alives repeat it', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  await under.publish('payments', Buffer.from('0'));
  const feed = createBundleFeed({ store: createBundleStore(under.pool), clock: systemClock, logger: quiet });
  const stop = new AbortController();
  t.after(() => stop.abort());
  const watcher = feed.watch('payments', 20, stop.signal)[Symbol.asyncIterator]();
  const next = async (): Promise<BundleRecord | null> => (await watcher.next()).value as BundleRecord | null;
  assert.equal((await next())?.version, 1);
  for (const content of ['1', '2', '3', '4']) await under.publish('payments', Buffer.from(content));
  feed.hint('payments');
  const seen: (number | undefined)[] = [];
  do seen.push((await next())?.version);
  while (seen.at(-1) !== 5);
  assert.deepEqual(
    seen.filter((version) => version !== 1 && version !== 5),
    [],
    'nothing between the first and the newest',
  );
  assert.equal((await next())?.version, 5, 'an unchanged offer is repeated');
});

test('a layer comes in chunks, from any offset, byte for byte', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  const layer = randomBytes(2_500_000);
  const bundle = await under.publish('payments', layer);
  const spoke = await under.spoke('payments', 'payments-1');
  const ref = bundle.layers[0];
  assert.ok(ref !== undefined);

  for (const offset of [0, 1, 65_536, 1_048_575, 1_048_576, 2_499_999, 2_500_000]) {
    const chunks: readonly FetchLayerResponse[] = await spoke.collect(
      bundles.fetchLayer,
      create(FetchLayerRequestSchema, {
        bundle: { value: bundle.digest },
        layer: { value: ref.digest },
        offset: BigInt(offset),
      }),
    );
    assert.ok(Buffer.concat(chunks.map((chunk) => chunk.data)).equals(layer.subarray(offset)), `from ${offset}`);
    let at = BigInt(offset);
    for (const chunk of chunks) {
      assert.equal(chunk.offset, at);
      assert.ok(chunk.data.byteLength <= 65_536);
      at += BigInt(chunk.data.byteLength);
    }
  }
  await assert.rejects(
    spoke.collect(
      bundles.fetchLayer,
      create(FetchLayerRequestSchema, {
        bundle: { value: bundle.digest },
        layer: { value: ref.digest },
        offset: 2_500_001n,
      }),
    ),
    { code: status.INVALID_ARGUMENT },
  );
});

test('a unit can read, watch and change nothing of another unit, by any call', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  await under.createUnit('research');
  const theirs = await under.publish('payments', Buffer.from('a secret of payments'));
  const own = await under.publish('research', Buffer.from('research'));
  const spoke = await under.spoke('research', 'research-1');
  const victim = await under.spoke('payments', 'payments-1');
  await victim.call(fleet.report, create(StatusRequestSchema, { status: encodeStatus(STATUS) }));

  const current = await spoke.call(bundles.current, create(CurrentRequestSchema));
  assert.equal(current.offer?.bundle?.digest?.value, own.digest);
  await assert.rejects(
    spoke.call(bundles.fetchEnvelope, create(FetchEnvelopeRequestSchema, { bundle: { value: theirs.digest } })),
    { code: status.NOT_FOUND },
  );
  for (const bundle of [theirs.digest, own.digest]) {
    await assert.rejects(
      spoke.collect(
        bundles.fetchLayer,
        create(FetchLayerRequestSchema, {
          bundle: { value: bundle },
          layer: { value: theirs.layers[0]?.digest ?? '' },
        }),
      ),
      { code: status.NOT_FOUND },
    );
  }
  await assert.rejects(
    spoke.call(audit.position, create(PositionRequestSchema, { log: 'payments.payments-1.w0.e1', instance: 'here' })),
    {
      code: status.PERMISSION_DENIED,
    },
  );

  // What it says of itself lands on itself, whatever it claims.
  const claimed = { ...STATUS, site: 'payments', nack: 'bad_signature', logs: [] };
  await spoke.call(fleet.report, create(StatusRequestSchema, { status: encodeStatus(claimed) }));
  await spoke.call(
    bundles.report,
    create(ReportRequestSchema, { bundle: encodeBundleLine(theirs), stage: Stage.OFFERED, nack: 'bad_digest' }),
  );
  const { spokes } = await under.admin(FleetViewService).listSpokes({ unit: 'payments' });
  assert.deepEqual(
    spokes.map(({ unit, name, nack }) => [unit, name, nack]),
    [['payments', 'payments-1', '']],
  );

  // Their publications do not wake its watch.
  const watch = spoke.stream(bundles.watch, create(WatchRequestSchema));
  watch.on('error', () => undefined);
  const [first] = (await once(watch, 'data')) as [WatchResponse];
  assert.equal(first.offer?.bundle?.digest?.value, own.digest);
  await under.publish('payments', Buffer.from('another'));
  const next = await under.publish('research', Buffer.from('another'));
  const [second] = (await once(watch, 'data')) as [WatchResponse];
  assert.equal(second.offer?.bundle?.digest?.value, next.digest);
  watch.cancel();
});

test('the fleet view tells who is connected, what runs, what is wanted and what was refused', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  const bundle = await under.publish('payments', Buffer.from('one'));
  const spoke = await under.spoke('payments', 'payments-1');
  const view = async () => (await under.admin(FleetViewService).listSpokes({ unit: 'payments' })).spokes[0];

  assert.deepEqual([(await view())?.connected, (await view())?.lastSeenMs], [false, 0n], 'joined, never seen');
  const watch = spoke.stream(bundles.watch, create(WatchRequestSchema));
  watch.on('error', () => undefined);
  await once(watch, 'data');
  const { intervalMs } = await spoke.call(fleet.report, create(StatusRequestSchema, { status: encodeStatus(STATUS) }));
  assert.equal(intervalMs, 30_000);
  await spoke.call(
    bundles.report,
    create(ReportRequestSchema, {
      bundle: encodeBundleLine(bundle),
      stage: Stage.FETCHED,
      nack: 'bad_signature',
      detail: 'the key is unknown',
    }),
  );
  const found = await view();
  assert.equal(found?.connected, true);
  assert.equal(found.active, undefined);
  assert.equal(found.wanted?.digest?.value, bundle.digest);
  assert.deepEqual([found.nack, found.nackDetail], ['bad_signature', 'the key is unknown']);
  assert.deepEqual(
    found.logs.map(({ log, nextIndex, stored }) => [log, nextIndex, stored]),
    [['payments.payments-1.0.1', 5n, 3n]],
  );

  watch.cancel();
  for (let tries = 0; tries < 200 && (await view())?.connected === true; tries += 1) await systemClock.sleep(20);
  assert.equal((await view())?.connected, false);
});

test('a hub that shuts down ends its streams with a status that means: come back', async (t) => {
  const under = await hubUnderTest(t, server);
  await under.createUnit('payments');
  const spoke = await under.spoke('payments', 'payments-1');
  const watch = spoke.stream(bundles.watch, create(WatchRequestSchema));
  const failed = once(watch, 'error');
  // `once` for data would reject on the error that is awaited here.
  await new Promise((resolve) => watch.once('data', resolve));
  await under.hub.close();
  const [error] = (await failed) as [{ code: number }];
  assert.equal(error.code, status.UNAVAILABLE);
});

function encodeStatus(from: SpokeStatus): MessageInitShape<typeof StatusSchema> {
  return {
    ...(from.active === null ? {} : { active: encodeBundleLine(from.active) }),
    mode: WIRE_MODES[from.mode],
    staleness: from.staleness,
    engine: from.engine,
    version: from.version,
    startedAtMs: BigInt(from.startedAtMs),
    site: from.site,
    logs: from.logs.map((log) => ({
      log: log.log,
      nextIndex: BigInt(log.nextIndex),
      acknowledged: BigInt(log.acknowledged),
      spoolFreeBytes: BigInt(log.freeBytes),
    })),
    nack: from.nack,
    nackDetail: from.nackDetail,
    ...(from.nacked === null ? {} : { nacked: encodeBundleLine(from.nacked) }),
    spoolHealthy: from.spoolHealthy,
  };
}
