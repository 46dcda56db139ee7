// The whole request path of a spoke in one process under clocks and switches of the test: real listener, adapter, shipped
// floor, caches and log; the disk of the log is in memory, and upstream is a local server that can change and fail.

import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type IncomingMessage, request as askFor } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Identities, intelSchema, type Settings } from '@weir/shared/bundle/layers.ts';
import { digestOf } from '@weir/shared/domain/digest.ts';
import { formatToken, tokenHash } from '@weir/shared/domain/token.ts';
import { createEngine } from '@weir/shared/policy/engine.ts';
import type { Staleness } from '@weir/shared/policy/host-reasons.ts';
import { FLOOR_ENTRYPOINT } from '@weir/shared/policy/input.ts';
import { createAuditLog } from '@weir/spoke/audit/audit-log.ts';
import { createVerdictCache } from '@weir/spoke/decision/verdict-cache.ts';
import { buildIntelIndex } from '@weir/spoke/evidence/intel-index.ts';
import { createAuthenticator } from '@weir/spoke/identity/authenticate.ts';
import { openArtifactCache } from '@weir/spoke/io/artifact-cache.ts';
import { createArtifactSource } from '@weir/spoke/io/artifact-source.ts';
import { startListener } from '@weir/spoke/io/listener.ts';
import { openMetadataCache } from '@weir/spoke/io/metadata-cache.ts';
import { systemRandom } from '@weir/spoke/io/system-random.ts';
import { createUpstream } from '@weir/spoke/io/upstream.ts';
import { createPipeline } from '@weir/spoke/pipeline.ts';
import type { ActivePolicy, PipelinePorts } from '@weir/spoke/pipeline/ports.ts';
import type { Releases } from '@weir/spoke/registries/adapter.ts';
import { npm } from '@weir/spoke/registries/npm/index.ts';
import { logParts } from '../audit/log-parts.ts';
import { memoryDisk, type MemoryDisk } from '../audit/memory-disk.ts';
import { POLICIES } from '../bundle/opa-for-tests.ts';
import { exceptionsLayer, NOW, rulesLayer, settings, THREAD_TIME, UNIT } from '../policy/engine/fixtures.ts';
import { buildFolder } from '../policy/engine/opa.ts';
import { recordLogs, recordMetrics, serveHttp } from '../spoke-io/loopback.ts';
import { type BuiltNpmPackage, buildNpm, packumentOf } from '../upstreams/npm-package.ts';

export const ALICE = formatToken(UNIT, Buffer.alloc(32, 1));
export const BOB = formatToken(UNIT, Buffer.alloc(32, 2));
/** Bob's token ends this many seconds after the ground is laid. */
export const BOB_SECONDS = 1000;
/** The first two have old versions only; that of `young` outgrows the cooldown after `YOUNG_SECONDS`. */
export const PACKAGES = ['one', 'two', 'young'] as const;
export const YOUNG_SECONDS = 100;
const OLD = '2020-01-01T00:00:00.000Z';
const YOUNG = new Date((NOW - settings().policy.cooldown_hours * 3600 + YOUNG_SECONDS) * 1000).toISOString();

/** What a unit may have active, by what is particular about it. */
const POLICY_VARIANTS = {
  plain: {},
  revoked: {},
  observe: { mode: 'observe' },
  warn: { mode: 'warn' },
  refusing: { policy: { ...settings().policy, licences_denied: ['MIT'] } },
  anonymous: { anonymous: true },
} as const satisfies Readonly<Record<string, Partial<Settings>>>;
export type PolicyVariant = keyof typeof POLICY_VARIANTS;
export const VARIANTS = Object.keys(POLICY_VARIANTS) as PolicyVariant[];

export interface Reply {
  readonly status: number;
  readonly reason: string;
  /** `name: value`, as sent. */
  readonly headers: readonly string[];
  readonly body: Buffer;
}

export interface Ground extends AsyncDisposable {
  readonly disk: MemoryDisk;
  pass(seconds: number): void;
  activate(variant: PolicyVariant): void;
  stale(staleness: Staleness): void;
  /** Whether upstream answers, and how many versions its packages have. */
  readonly upstream: { down: boolean; versions: number };
  /** Times that the whole way looked for an index document. */
  reads(): number;
  /** One request on a connection of its own. */
  ask(method: string, path: string, headers: Readonly<Record<string, string>>): Promise<Reply>;
  /** Every durable row, oldest first. */
  rows(): Promise<readonly Record<string, unknown>[]>;
}

interface Parts {
  readonly policies: Readonly<Record<PolicyVariant, Omit<ActivePolicy, 'verdicts'>>>;
  readonly builds: readonly (readonly BuiltNpmPackage[])[];
}

let parts: Promise<Parts> | undefined;

type Token = Identities['tokens'][number];

function token(id: string, text: string, expires: number | null): Token {
  return { id, sha256: tokenHash(text), principal: id, kind: 'token', groups: [], expires };
}

/** Compiled and built once for all grounds of a process. */
async function makeParts(): Promise<Parts> {
  const folders = ['floor', 'main', 'lib'].map((folder) => join(POLICIES, folder));
  const floor = buildFolder(folders, FLOOR_ENTRYPOINT, ['--ignore', '*_test.rego']);
  const intel = buildIntelIndex(
    intelSchema.parse(JSON.parse(await readFile(join(POLICIES, 'intel', 'intel.json'), 'utf8'))),
  );
  const rules = rulesLayer([]);
  const policyOf = async (variant: PolicyVariant): Promise<Omit<ActivePolicy, 'verdicts'>> => {
    const its = settings(POLICY_VARIANTS[variant]);
    const digest = digestOf(`bundle ${variant}`);
    const engine = await createEngine({
      floor,
      overlay: null,
      rules,
      exceptions: exceptionsLayer(),
      settings: its,
      unit: UNIT,
      bundle: digest,
      readsVersion: false,
      clock: THREAD_TIME,
    });
    const alice = variant === 'revoked' ? [] : [token('alice', ALICE, null)];
    const tokens = [...alice, token('bob', BOB, NOW + BOB_SECONDS)];
    const authenticator = createAuthenticator({ schema: 'weir.identities/v1', unit: UNIT, tokens }, its);
    return { digest, settings: its, rules, intel, authenticator, engine };
  };
  const policies = Object.fromEntries(
    await Promise.all(VARIANTS.map(async (variant) => [variant, await policyOf(variant)] as const)),
  ) as Record<PolicyVariant, Omit<ActivePolicy, 'verdicts'>>;
  const builds = await Promise.all(
    PACKAGES.map((name) =>
      Promise.all(
        ['1.0.0', '1.0.1', '1.0.2'].map((version) =>
          buildNpm({ name, version, publishedAt: name === 'young' ? YOUNG : OLD, license: 'MIT' }),
        ),
      ),
    ),
  );
  return { policies, builds };
}

/** @param hotBytes memory for small artifacts, as `limits.hot_bytes` of a spoke */
export async function layGround(hotBytes: number): Promise<Ground> {
  const { policies, builds } = await (parts ??= makeParts());
  const cleanup = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'weir-pipeline-'));
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  const state = { down: false, versions: 1 };
  const server = await serveHttp((request, response) => {
    const [, name = '', , file = ''] = (request.url ?? '').split('/');
    const of = builds[PACKAGES.indexOf(name as (typeof PACKAGES)[number])]?.slice(0, state.versions);
    const tarball = of?.find((build) => build.file === file)?.tarball;
    if (state.down || of === undefined) response.writeHead(state.down ? 503 : 404).end();
    else if (file === '')
      response.end(JSON.stringify(packumentOf(of, (build) => `${server.url}${name}/-/${build.file}`)));
    else if (tarball === undefined) response.writeHead(404).end();
    else response.end(tarball);
  });
  cleanup.defer(() => server.close());
  const metrics = recordMetrics();
  const logger = recordLogs();
  let nowMs = NOW * 1000;
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: () => Promise.reject(new Error('unused')) };
  const upstream = createUpstream({ registries: { npm: { baseUrl: server.url } }, metrics });
  cleanup.defer(() => upstream.close());
  const documents = await openMetadataCache<Releases>({
    upstream,
    folder: join(folder, 'index'),
    clock,
    logger,
    metrics,
  });
  cleanup.defer(() => documents.close());
  const cache = await openArtifactCache({ folder: join(folder, 'artifacts'), logger, metrics });
  cleanup.defer(() => cache.close());
  const disk = memoryDisk();
  const log = await createAuditLog({
    ...logParts,
    disk,
    unit: UNIT,
    spoke: 'edge',
    site: 'here',
    clock,
    random: systemRandom,
    limits: { segmentBytes: 1 << 20, totalBytes: 8 << 20 },
  });
  cleanup.defer(() => log.close());
  const verdicts = createVerdictCache();
  let active: ActivePolicy;
  let staleness: Staleness = 'fresh';
  let reads = 0;
  const activate = (variant: PolicyVariant): void => {
    active = { ...policies[variant], verdicts };
    verdicts.activate(active.digest);
  };
  activate('plain');
  const ports: PipelinePorts = {
    adapters: [npm],
    policy: () => active,
    staleness: () => staleness,
    metadata: {
      async read(adapter, name, signal) {
        reads += 1;
        const found = await documents.get(
          {
            registry: adapter.id,
            request: adapter.metadataRequest(name),
            read: (document) => adapter.readMetadata(document, name),
          },
          { signal },
        );
        return found.kind === 'absent' ? { kind: 'not_found' } : { ...found, releases: found.value };
      },
      ask: () => Promise.reject(new Error('unused')),
    },
    artifacts: createArtifactSource({ cache, upstream, hotBytes, metrics }),
    log: { ...log, damaged: () => false },
    facts: {
      workspace: 'acme',
      unit: UNIT,
      spoke: 'edge',
      site: 'here',
      publicUrl: '',
      requestUrl: '',
      hashActor: (id) => (id === '' ? '' : `h:${digestOf(id).slice(-32)}`),
    },
    clock,
    random: systemRandom,
    logger,
    metrics,
  };
  const handle = createPipeline(ports);
  const listener = await startListener({
    host: '127.0.0.1',
    port: 0,
    handler: (request, reply) => handle(request, reply),
    logger,
    metrics,
  });
  cleanup.defer(() => listener.close(0));
  const origin = `http://127.0.0.1:${listener.port}`;
  return {
    disk,
    pass: (seconds) => {
      nowMs += seconds * 1000;
    },
    activate,
    stale: (next) => {
      staleness = next;
    },
    upstream: state,
    reads: () => reads,
    async ask(method, path, headers) {
      const asked = askFor(`${origin}${path}`, { method, agent: false, headers: { ...headers, host: 'spoke.test' } });
      asked.end();
      const [answer] = (await once(asked, 'response')) as [IncomingMessage];
      const chunks: Buffer[] = [];
      for await (const chunk of answer) chunks.push(chunk as Buffer);
      const lines: string[] = [];
      for (let i = 0; i + 1 < answer.rawHeaders.length; i += 2) {
        lines.push(`${answer.rawHeaders[i]?.toLowerCase()}: ${answer.rawHeaders[i + 1]}`);
      }
      const { statusCode = 0, statusMessage = '' } = answer;
      return { status: statusCode, reason: statusMessage, headers: lines, body: Buffer.concat(chunks) };
    },
    async rows() {
      const rows: Record<string, unknown>[] = [];
      for (let from = 0; ; ) {
        const slice = await log.read(from, 1000, 1 << 20);
        if (slice.rows.length === 0) return rows;
        for (const bytes of slice.rows) rows.push(JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>);
        from += slice.rows.length;
      }
    },
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}
