// A whole federation inside the test's own process: real Postgres, real hub, real spokes over mutual TLS, local upstreams.
// Suites that need processes to kill use `deploy/onprem/trial` instead; both are the same code.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient, type Client, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import {
  AuditQueryService,
  EventService,
  FleetViewService,
  PolicyService,
  SpokeService,
  TokenService,
  UnitService,
} from '@weir/proto/weir/console/v1/console_pb.ts';
import { selectFloorFiles } from '@weir/hub/floor/source-tree.ts';
import { hubConfigSchema } from '@weir/hub/config.ts';
import { startHub, type Hub } from '@weir/hub/main.ts';
import { readSpokeConfig } from '@weir/spoke/config.ts';
import { createIdentityStore } from '@weir/spoke/io/identity-store.ts';
import { joinHub } from '@weir/spoke/io/join-hub.ts';
import { startSpoke, type Spoke } from '@weir/spoke/main.ts';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const READY_MS = 30_000;

export interface Console {
  readonly units: Client<typeof UnitService>;
  readonly spokes: Client<typeof SpokeService>;
  readonly policy: Client<typeof PolicyService>;
  readonly tokens: Client<typeof TokenService>;
  readonly fleet: Client<typeof FleetViewService>;
  readonly audit: Client<typeof AuditQueryService>;
  readonly events: Client<typeof EventService>;
}

export interface UnitPlan {
  readonly name: string;
  /** Members of `weir.settings/v1` that differ from the defaults. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Folder of overlay sources, relative to the repository. */
  readonly overlay?: string;
  /** Instead of the federation's. */
  readonly pypiUpstream?: string;
}

export interface LocalFederationOptions {
  readonly units: readonly UnitPlan[];
  readonly npmUpstream: string;
  readonly pypiUpstream: string;
  /** Further members of the intel document's malicious records. */
  readonly malicious?: readonly {
    readonly ecosystem: 'npm' | 'pypi';
    readonly name: string;
    readonly versions: readonly string[];
  }[];
  /** Names that count as popular besides the shipped ones. */
  readonly popular?: Readonly<Partial<Record<'npm' | 'pypi', readonly string[]>>>;
  readonly spokeLimits?: Readonly<Record<string, number>>;
  /** Environment of the spokes, for the proxy settings of live suites; default: none. */
  readonly spokeEnv?: Readonly<Record<string, string | undefined>>;
  /** A database of the test's own; the hub starts one of its own otherwise. */
  readonly databaseUrl?: string;
}

export interface LocalFederation extends AsyncDisposable {
  readonly folder: string;
  /** The hub that runs, or the one that ran last. */
  readonly hub: Hub;
  readonly hubHome: string;
  /** Stays good over a restart of the hub. */
  readonly console: Console;
  readonly log: readonly string[];
  stopHub(): Promise<void>;
  /** The hub again, over the same home and on the same ports. */
  startHub(): Promise<void>;
  spoke(unit: string): Spoke;
  /** `http://127.0.0.1:<port>` of a unit's registries. */
  origin(unit: string): string;
  spokeHome(unit: string): string;
  restartSpoke(unit: string): Promise<void>;
  stopSpoke(unit: string): Promise<void>;
  /** All rows that the hub holds of a unit, oldest first, once it has everything the spoke recorded. */
  rows(unit: string): Promise<readonly Record<string, unknown>[]>;
}

export async function startLocalFederation(options: LocalFederationOptions): Promise<LocalFederation> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-federation-'));
  const log: string[] = [];
  const logStream = { write: (line: string) => log.push(line) };
  const cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  const spokes = new Map<string, Spoke>();
  try {
    const hubHome = join(folder, 'hub');
    const env = options.databaseUrl === undefined ? process.env : { ...process.env, DATABASE_URL: options.databaseUrl };
    const runHub = (ports: { federation: number; join: number; admin: number }): Promise<Hub> => {
      const config = hubConfigSchema.parse({
        federation: { port: ports.federation },
        join: { port: ports.join },
        admin: { port: ports.admin },
      });
      return startHub({ config, home: hubHome, logStream, env });
    };
    let hub = await runHub({ federation: 0, join: 0, admin: 0 });
    cleanup.defer(() => hub.close());
    cleanup.defer(async () => {
      await Promise.all([...spokes.values()].map((spoke) => spoke.close()));
    });
    const console = await connectConsole(hub);
    for (const { name, settings } of options.units) {
      await console.units.createUnit({ name, settings: JSON.stringify({ anonymous: true, ...settings }) });
    }
    await console.policy.publishIntel({
      intel: Buffer.from(JSON.stringify(intelDocument(options.malicious ?? [], options.popular))),
    });
    const floor = await console.policy.publishFloor({
      files: [...selectFloorFiles(sourceFiles('policies'))],
      note: 'test floor',
      dryRun: false,
    });
    if (!floor.published) throw new Error(`the floor was refused: ${JSON.stringify(floor.findings)}`);
    for (const { name, overlay } of options.units) {
      if (overlay === undefined) continue;
      const published = await console.policy.publishOverlay({
        unit: name,
        files: sourceFiles(overlay),
        note: 'test overlay',
        dryRun: false,
      });
      if (!published.published)
        throw new Error(`the overlay of ${name} was refused: ${JSON.stringify(published.findings)}`);
    }

    const spokeHome = (unit: string): string => join(folder, `spoke-${unit}`);
    const configOf = async (unit: string) =>
      readSpokeConfig(await readFile(join(spokeHome(unit), 'spoke.json'), 'utf8'));
    const start = async (unit: string): Promise<void> => {
      const spoke = await startSpoke({
        home: spokeHome(unit),
        config: await configOf(unit),
        logStream,
        logLevel: 'debug',
        env: options.spokeEnv ?? {},
      });
      spokes.set(unit, spoke);
    };
    for (const { name } of options.units) {
      await enrol(console, name, spokeHome(name), options);
      await start(name);
      await until(
        () => spokes.get(name)?.activeBundle() !== undefined,
        `the spoke of ${name} activates a bundle`,
        () => log.slice(-20).join(''),
      );
    }

    const present = (unit: string): Spoke => {
      const spoke = spokes.get(unit);
      if (spoke === undefined) throw new Error(`no spoke of ${unit} runs`);
      return spoke;
    };
    return {
      folder,
      hubHome,
      get hub() {
        return hub;
      },
      stopHub: () => hub.close(),
      async startHub() {
        const { federation, join: joining, admin } = hub.addresses;
        hub = await runHub({ federation: federation.port, join: joining.port, admin: admin.port });
      },
      console,
      log,
      spokeHome,
      spoke: present,
      origin: (unit) => `http://127.0.0.1:${present(unit).registryPort}`,
      async stopSpoke(unit) {
        await present(unit).close();
        spokes.delete(unit);
      },
      async restartSpoke(unit) {
        await spokes.get(unit)?.close();
        await start(unit);
      },
      async rows(unit) {
        const status = async (): Promise<{ log: { nextIndex: number; acknowledged: number } }> => {
          const response = await fetch(`http://127.0.0.1:${present(unit).adminPort}/status`);
          return (await response.json()) as { log: { nextIndex: number; acknowledged: number } };
        };
        await until(
          async () => {
            const { log: position } = await status();
            return position.acknowledged >= position.nextIndex;
          },
          'the hub has every row',
          () => log.slice(-20).join(''),
        );
        return allRows(console, unit);
      },
      [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
    };
  } catch (thrown) {
    await cleanup.disposeAsync();
    throw new Error(`the federation did not start\n${log.slice(-10).join('')}`, { cause: thrown });
  }
}

/** Polls until the check holds. @throws Error with the tail of the logs after half a minute */
export async function until(
  check: () => boolean | Promise<boolean>,
  what: string,
  context: () => string = () => '',
): Promise<void> {
  const deadline = performance.now() + READY_MS;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`never happened: ${what}\n${context()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function connectConsole(hub: Hub): Promise<Console> {
  const token = (await readFile(hub.operatorTokenFile, 'utf8')).trim();
  return consoleAt(hub.addresses.adminUrl, token);
}

export function consoleAt(baseUrl: string, token: string): Console {
  const authorise: Interceptor = (next) => (request) => {
    request.header.set('authorization', `Bearer ${token}`);
    return next(request);
  };
  const transport = createConnectTransport({ baseUrl, httpVersion: '1.1', interceptors: [authorise] });
  return {
    units: createClient(UnitService, transport),
    spokes: createClient(SpokeService, transport),
    policy: createClient(PolicyService, transport),
    tokens: createClient(TokenService, transport),
    fleet: createClient(FleetViewService, transport),
    audit: createClient(AuditQueryService, transport),
    events: createClient(EventService, transport),
  };
}

/** Sources below a folder of the repository, as the publishing calls take them. */
export function sourceFiles(folder: string): { path: string; content: Uint8Array<ArrayBuffer> }[] {
  const root = join(ROOT, folder);
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.(md|ts)$/.test(entry.name))
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return { path: relative(root, path).replaceAll('\\', '/'), content: new Uint8Array(readFileSync(path)) };
    });
}

/** The shipped sample intel with the test's own malicious records and popular names added. */
export function intelDocument(
  malicious: NonNullable<LocalFederationOptions['malicious']>,
  popular: LocalFederationOptions['popular'] = {},
): Record<string, unknown> {
  const file = join(ROOT, 'policies', 'intel', 'intel.json');
  const shipped = JSON.parse(readFileSync(file, 'utf8')) as {
    malicious: { records: unknown[] };
    popular: { names: Record<'npm' | 'pypi', readonly string[]> };
  };
  const names = {
    npm: [...shipped.popular.names.npm, ...(popular.npm ?? [])],
    pypi: [...shipped.popular.names.pypi, ...(popular.pypi ?? [])],
  };
  const records = malicious.map(({ ecosystem, name, versions }, i) => ({
    id: `WEIR-TEST-${String(i + 1).padStart(3, '0')}`,
    ecosystem,
    name,
    versions,
    ranges: [],
    withdrawn: false,
    summary: 'called malicious by this test',
  }));
  return {
    ...shipped,
    malicious: { ...shipped.malicious, records: [...shipped.malicious.records, ...records] },
    popular: { ...shipped.popular, names },
  };
}

async function enrol(console: Console, unit: string, home: string, options: LocalFederationOptions): Promise<void> {
  const name = `${unit}-1`;
  const invitation = await console.spokes.invite({ unit, spoke: name, ttlS: 60 });
  const address = invitation.joinAddresses[0] ?? '';
  const joined = await joinHub({
    address,
    caPin: invitation.caPin,
    joinToken: invitation.joinToken,
    spoke: name,
    site: 'test',
  });
  createIdentityStore(home).write(joined.identity);
  await writeFile(
    join(home, 'spoke.json'),
    JSON.stringify({
      schema: 'weir.spoke/v1',
      name,
      site: 'test',
      listen: { host: '127.0.0.1', port: 0 },
      admin: { host: '127.0.0.1', port: 0 },
      hub: joined.federationAddresses,
      upstreams: {
        npm: { url: options.npmUpstream },
        pypi: { url: options.units.find((each) => each.name === unit)?.pypiUpstream ?? options.pypiUpstream },
      },
      limits: { spool_segment_bytes: 1 << 20, spool_bytes: 64 << 20, ...options.spokeLimits },
    }),
  );
}

async function allRows(console: Console, unit: string): Promise<readonly Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  let cursor = '';
  do {
    const page = await console.audit.query({ filter: { unit }, page: { size: 500, cursor }, oldestFirst: true });
    rows.push(...page.rows.map(({ row }) => JSON.parse(Buffer.from(row).toString('utf8')) as Record<string, unknown>));
    cursor = page.nextCursor;
  } while (cursor !== '');
  return rows;
}
