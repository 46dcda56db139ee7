// A whole hub on loopback over a database of its own, its stores beside it, and spokes that speak to it over real TLS.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { hubConfigSchema } from '@weir/hub/config.ts';
import { type AdminClient, createAdminClient } from '@weir/hub/io/admin-client.ts';
import { type Hub, startHub } from '@weir/hub/main.ts';
import type { StoredBundle } from '@weir/hub/store/bundle-store.ts';
import { createBundleStore } from '@weir/hub/store/postgres/bundle-store.ts';
import { migrate } from '@weir/hub/store/postgres/migrate.ts';
import { createPool, type Pool } from '@weir/hub/store/postgres/pool.ts';
import { SpokeService, UnitService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { MEDIA_TYPES } from '@weir/shared/bundle/manifest.ts';
import { digestOf } from '@weir/shared/domain/digest.ts';
import { quiet, type TestServer } from './database.ts';
import { joinAs, type SpokeUnderTest } from './spoke-under-test.ts';

export interface HubUnderTest {
  readonly hub: Hub;
  readonly home: string;
  readonly url: string;
  readonly pool: Pool;
  readonly admin: AdminClient;
  readonly logLines: readonly string[];
  createUnit(name: string): Promise<void>;
  invite(unit: string, spoke: string, options?: { readonly replace?: boolean }): Promise<string>;
  /** Invites and joins. */
  spoke(unit: string, name: string): Promise<SpokeUnderTest>;
  /** Inserts the unit's next bundle, one layer of these bytes; the envelope is not a real signature, which the hub never reads. */
  publish(unit: string, floor: Uint8Array): Promise<StoredBundle>;
  events(): Promise<readonly { readonly kind: string; readonly alarm: boolean }[]>;
}

export async function hubUnderTest(
  t: TestContext,
  server: TestServer,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<HubUnderTest> {
  const home = await mkdtemp(join(tmpdir(), 'weir-hub-home-'));
  const url = await server.emptyDatabase();
  const pool = createPool({ url, logger: quiet, max: 4 });
  await migrate(pool);
  const logLines: string[] = [];
  const hub = await startHub({
    config: hubConfigSchema.parse({
      federation: { port: 0 },
      join: { port: 0 },
      admin: { port: 0 },
      log: { level: 'debug' },
      ...settings,
    }),
    home,
    logStream: { write: (line) => logLines.push(line) },
    env: { ...process.env, DATABASE_URL: url },
  });
  t.after(async () => {
    await hub.close();
    await pool.end();
    await rm(home, { recursive: true, force: true });
  });
  const token = (await readFile(hub.operatorTokenFile, 'utf8')).trim();
  const admin = createAdminClient({ url: hub.addresses.adminUrl, token, caFile: '' });
  const bundles = createBundleStore(pool);
  let version = 0;

  async function invite(unit: string, spoke: string, options: { readonly replace?: boolean } = {}): Promise<string> {
    return (await admin(SpokeService).invite({ unit, spoke, ttlS: 60, replace: options.replace ?? false })).joinToken;
  }

  return {
    hub,
    home,
    url,
    pool,
    admin,
    logLines,
    async createUnit(name) {
      await admin(UnitService).createUnit({ name });
    },
    invite,
    async spoke(unit, name) {
      const spoke = await joinAs(hub, { token: await invite(unit, name), name });
      t.after(() => spoke.close());
      return spoke;
    },
    async publish(unit, floor) {
      const digest = digestOf(floor);
      await bundles.putLayer(digest, floor);
      const current = await bundles.currentBundle(unit);
      version += 1;
      const bundle: StoredBundle = {
        unit,
        epoch: 1,
        version,
        digest: digestOf(`${unit}/${version}/${digest}`),
        prev: current?.digest ?? null,
        issuedAt: 1_800_000_000 + version,
        expires: 1_900_000_000,
        layers: [{ name: 'floor', media_type: MEDIA_TYPES.floor, digest, size: floor.byteLength }],
        envelope: new TextEncoder().encode(`envelope of ${unit} ${version}`),
      };
      if ((await bundles.insertBundle(bundle)) !== 'inserted') throw new Error('the bundle was not inserted');
      return bundle;
    },
    async events() {
      const { rows } = await pool.query<{ kind: string; alarm: boolean }>(
        'SELECT kind, alarm FROM hub_events ORDER BY id',
      );
      return rows;
    },
  };
}
