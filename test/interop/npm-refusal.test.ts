// What people see: the real npm, pnpm and Yarn against a server that answers with the npm adapter's own replies. Each must
// print the reason and the request code by itself. Settings that shape a user's experience (retries) keep their defaults.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import type { RequestCode } from '@weir/shared/domain/request-code.ts';
import { parseTarget } from '@weir/spoke/request/parse-target.ts';
import type { ClientReply, MetadataDocument, Refusal, Releases } from '@weir/spoke/registries/adapter.ts';
import { npm } from '@weir/spoke/registries/npm/index.ts';
import { refusalOfAuthentication, refusalOfRoute } from '@weir/spoke/response/refusal.ts';

const CODE = '7K3MQ9ZD' as RequestCode;
const NAME = { ecosystem: 'npm', namespace: '@acme', name: 'paint' } as const;
const TOKEN = 'fixture-token';
const BIN = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'node_modules', '.bin');

const refusal: Refusal = {
  status: 403,
  title: 'Published too recently',
  detail: 'Version 1.1.0 of @acme/paint is 3 hours old and must be public for 72 hours.',
  code: CODE,
  purl: 'pkg:npm/%40acme/paint@1.1.0',
  rules: ['WEIR-AGE-001'],
  allowedInstead: '1.0.0',
  retryAt: null,
  requestUrl: '',
  bundle: '',
};

interface Fixture {
  readonly url: string;
  readonly requests: string[];
  /** Hide 1.1.0 from views and say so. */
  hide: boolean;
  requireToken: boolean;
}

let server: Server;
let fixture: Fixture;
let home: string;
let tarballs: ReadonlyMap<string, Buffer>;
let document: MetadataDocument;
let releases: Releases;

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'weir-npm-refusal-'));
  tarballs = new Map(
    await Promise.all(['1.0.0', '1.1.0'].map(async (version) => [version, await tarball(version)] as const)),
  );
  document = { bytes: Buffer.from(JSON.stringify(packument())), contentType: 'application/json', baseUrl: '' };
  releases = npm.readMetadata(document, NAME);
  server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  fixture = { url: `http://127.0.0.1:${port}/npm`, requests: [], hide: false, requireToken: false };
});

after(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(home, { recursive: true, force: true, maxRetries: 3 });
});

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  fixture.requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
  const reply = answer(request, Buffer.concat(chunks));
  response.writeHead(reply.status, reply.reasonPhrase, reply.headers.map(([name, value]) => [name, value]).flat());
  response.end(reply.body);
}

function answer(request: IncomingMessage, body: Buffer): ClientReply {
  const { target, route } = parseTarget(
    { method: request.method ?? '', url: request.url ?? '', rawHeaders: request.rawHeaders },
    [npm],
  );
  const client = npm.clientFamily(target.headers['user-agent'] ?? '');
  const context = { code: CODE, subject: undefined, requestUrl: '', bundle: '' };
  if (fixture.requireToken && target.headers['authorization'] !== `Bearer ${TOKEN}`) {
    return npm.renderRefusal(refusalOfAuthentication({ reason: 'unknown', status: 401 }, context), client);
  }
  switch (route.kind) {
    case 'refused':
      return npm.renderRefusal(refusalOfRoute(route, context, true), client);
    case 'metadata': {
      const hidden = new Set(fixture.hide ? ['1.1.0'] : []);
      const { representation, detail } = route;
      const view = npm.renderView(document, releases, hidden, { publicBase: fixture.url, representation, detail });
      const headers: [string, string][] = [['content-type', view.contentType]];
      if (fixture.hide) {
        const told = { version: '1.1.0', code: CODE, rule: 'WEIR-AGE-001', why: refusal.title, notice: true };
        for (const [name, value] of npm.notice([told], view.preferred, NAME)) headers.push([name, value]);
      }
      return { status: 200, reasonPhrase: 'OK', headers, body: view.body };
    }
    case 'artifact': {
      const found = npm.findFile(releases, route);
      if (found?.release.version !== '1.0.0') return npm.renderRefusal(refusal, client);
      const bytes = tarballs.get('1.0.0') ?? Buffer.alloc(0);
      return { status: 200, reasonPhrase: 'OK', headers: [['content-type', 'application/octet-stream']], body: bytes };
    }
    case 'service': {
      const service = npm.answerService(route, {
        target,
        body,
        actor: 'ci',
        publicBase: fixture.url,
        isInternal: () => false,
      });
      if (service.kind === 'reply') return service.reply;
      if (service.kind === 'judge') {
        const refused = service.subjects.filter((subject) => subject.version === '1.0.0');
        return service.answer(
          refused.map((coordinate) => ({ coordinate, rule: 'WEIR-MAL-001', title: 'Known malicious', detail: 'x' })),
        );
      }
      return npm.renderRefusal({ ...refusal, status: 502, title: 'Upstream registry failed' }, client);
    }
    case 'sidecar':
      return npm.renderRefusal(refusal, client);
    default:
      return route satisfies never;
  }
}

test('npm prints reason phrase, sentence, allowed version and code of a refused tarball', async () => {
  const run = await npmRun(['install', '@acme/paint@1.1.0']);
  assert.notEqual(run.status, 0);
  assert.match(run.output, /403 Weir refused @acme\/paint@1\.1\.0.*\[WEIR-AGE-001\].*code 7K3MQ9ZD/);
  assert.match(run.output, /must be public for 72 hours\. Nearest allowed version: 1\.0\.0\./);
  assert.match(run.output, /npm notice Weir: Published too recently\..*weir why 7K3MQ9ZD/);
  assert.equal(run.requests.filter((line) => line.includes('paint-1.1.0.tgz')).length, 1, 'a refusal is not retried');
});

test('npm installs the newest allowed version and tells what was hidden', async () => {
  const run = await npmRun(['install', '@acme/paint'], { hide: true });
  assert.equal(run.status, 0, run.output);
  assert.match(
    run.output,
    /npm notice Weir hid @acme\/paint 1\.1\.0 \(Published too recently; WEIR-AGE-001, code 7K3MQ9ZD\)/,
  );
  assert.match(run.output, /A plain install takes 1\.0\.0\./);
  assert.ok(run.requests.includes('GET /npm/@acme/paint/-/paint-1.0.0.tgz'));
});

test('npm prints why a token is refused', async () => {
  const run = await npmRun(['view', '@acme/paint', 'version'], { requireToken: true });
  assert.notEqual(run.status, 0);
  assert.match(run.output, /401 Weir: Token is not valid, code 7K3MQ9ZD/);
  assert.match(run.output, /The token is unknown here or has been revoked\./);
});

test('npm is told that publishing is not done here', async () => {
  const run = await npmRun(['publish', '--ignore-scripts', `--//${fixture.url.slice(7)}/:_authToken=${TOKEN}`], {
    manifest: { name: '@acme/paint', version: '9.9.9' },
  });
  assert.notEqual(run.status, 0);
  assert.match(run.output, /403 Weir refused this request: Publishing is not done here, code 7K3MQ9ZD/);
});

test('npm view, dist-tag, ping, whoami and audit work', async () => {
  const view = await npmRun(['view', '@acme/paint@latest', 'version'], { hide: true });
  assert.match(view.output, /1\.0\.0/);
  const tags = await npmRun(['dist-tag', 'ls', '@acme/paint'], { hide: true });
  assert.match(tags.output, /latest: 1\.0\.0/);
  assert.equal((await npmRun(['ping'])).status, 0);
  const who = await npmRun(['whoami', `--//${fixture.url.slice(7)}/:_authToken=${TOKEN}`]);
  assert.match(who.output, /^ci$/m);
  const audit = await npmRun(['install', '@acme/paint@1.0.0', '--audit', '--loglevel=warn']);
  assert.equal(audit.status, 0, audit.output);
  assert.match(audit.output, /1 high severity vulnerability/);
});

test('npm ci from a lockfile that names another host reaches this registry', async () => {
  const lock = {
    name: 'app',
    lockfileVersion: 3,
    packages: {
      '': { name: 'app', dependencies: { '@acme/paint': '1.0.0' } },
      'node_modules/@acme/paint': {
        version: '1.0.0',
        resolved: 'https://registry.example.test/@acme/paint/-/paint-1.0.0.tgz',
        integrity: integrityOf('1.0.0'),
      },
    },
  };
  const run = await npmRun(['ci', '--replace-registry-host=always'], {
    manifest: { name: 'app', dependencies: { '@acme/paint': '1.0.0' } },
    lock,
  });
  assert.equal(run.status, 0, run.output);
  assert.ok(run.requests.some((line) => /^GET (\/npm)?\/@acme\/paint\/-\/paint-1\.0\.0\.tgz$/.test(line)));
});

test('pnpm prints the reason phrase with rule and code, without waiting', async () => {
  const run = await pnpmRun(['add', '@acme/paint@1.1.0']);
  assert.notEqual(run.status, 0);
  assert.match(run.output, /Weir refused @acme\/paint@1\.1\.0[^\n]*WEIR-AGE-001[^\n]*7K3MQ9ZD/);
  assert.equal(run.requests.filter((line) => line.includes('paint-1.1.0.tgz')).length, 1, 'a refusal is not retried');
});

test('pnpm installs the newest allowed version when the newest is hidden', async () => {
  const run = await pnpmRun(['add', '@acme/paint'], { hide: true });
  assert.equal(run.status, 0, run.output);
  assert.match(run.output, /@acme\/paint 1\.0\.0/);
});

test('Yarn prints the reason phrase with rule and code', async () => {
  const run = await yarnRun(['add', '@acme/paint@1.1.0']);
  assert.notEqual(run.status, 0);
  assert.match(run.output, /Weir refused @acme\/paint@1\.1\.0[^\n]*WEIR-AGE-001[^\n]*7K3MQ9ZD/);
});

interface Setting {
  readonly hide?: boolean;
  readonly requireToken?: boolean;
  readonly manifest?: object;
  readonly lock?: object;
  readonly files?: Readonly<Record<string, string>>;
}

interface Run {
  readonly status: number;
  readonly output: string;
  readonly requests: readonly string[];
}

async function npmRun(args: readonly string[], setting: Setting = {}): Promise<Run> {
  return await runClient('npm', [...args, '--no-update-notifier', '--no-fund'], setting, {
    npm_config_registry: `${fixture.url}/`,
    npm_config_audit: args.includes('--audit') ? 'true' : 'false',
  });
}

async function pnpmRun(args: readonly string[], setting: Setting = {}): Promise<Run> {
  const files = {
    'pnpm-workspace.yaml': 'storeDir: ./store\ncacheDir: ./cache\n',
  };
  return await runClient(join(BIN, 'pnpm'), args, { ...setting, files }, { npm_config_registry: `${fixture.url}/` });
}

async function yarnRun(args: readonly string[], setting: Setting = {}): Promise<Run> {
  return await runClient(
    join(BIN, 'yarn'),
    args,
    { ...setting, files: { 'yarn.lock': '' } },
    {
      YARN_NPM_REGISTRY_SERVER: fixture.url,
      YARN_UNSAFE_HTTP_WHITELIST: '127.0.0.1',
      YARN_ENABLE_TELEMETRY: '0',
      YARN_ENABLE_GLOBAL_CACHE: '0',
      YARN_ENABLE_IMMUTABLE_INSTALLS: '0',
      YARN_NODE_LINKER: 'node-modules',
    },
  );
}

let runs = 0;

/** Runs a client in a folder, home and cache of its own, with none of this machine's settings. */
async function runClient(
  command: string,
  args: readonly string[],
  setting: Setting,
  env: NodeJS.ProcessEnv,
): Promise<Run> {
  runs += 1;
  const folder = join(home, String(runs));
  await mkdir(folder, { recursive: true });
  const files: Record<string, string> = {
    'package.json': JSON.stringify(setting.manifest ?? { name: 'app', version: '1.0.0' }),
    '.npmrc': `registry=${fixture.url}/\n`,
    ...setting.files,
  };
  if (setting.lock !== undefined) files['package-lock.json'] = JSON.stringify(setting.lock);
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  fixture.hide = setting.hide ?? false;
  fixture.requireToken = setting.requireToken ?? false;
  fixture.requests.length = 0;
  const outcome = await new Promise<{ status: number; output: string }>((resolve) => {
    execFile(
      command,
      args,
      {
        cwd: folder,
        timeout: 60_000,
        maxBuffer: 1 << 24,
        env: {
          PATH: process.env['PATH'],
          HOME: folder,
          XDG_CACHE_HOME: join(folder, 'xdg-cache'),
          XDG_DATA_HOME: join(folder, 'xdg-data'),
          npm_config_cache: join(folder, 'npm-cache'),
          npm_config_userconfig: join(folder, '.user-npmrc'),
          npm_config_globalconfig: join(folder, '.global-npmrc'),
          NO_COLOR: '1',
          ...env,
        },
      },
      (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ status, output: `${stdout}\n${stderr}` });
      },
    );
  });
  return { ...outcome, requests: [...fixture.requests] };
}

function packument(): object {
  const versions = ['1.0.0', '1.1.0'].map((version) => [
    version,
    {
      name: '@acme/paint',
      version,
      dist: {
        tarball: `https://registry.example.test/@acme/paint/-/paint-${version}.tgz`,
        integrity: integrityOf(version),
      },
    },
  ]);
  const time = { created: '2020-01-01T00:00:00.000Z', modified: '2020-02-01T00:00:00.000Z' };
  return {
    _id: '@acme/paint',
    name: '@acme/paint',
    'dist-tags': { latest: '1.1.0' },
    versions: Object.fromEntries(versions),
    time: { ...time, '1.0.0': '2020-01-01T00:00:00.000Z', '1.1.0': '2020-02-01T00:00:00.000Z' },
  };
}

function integrityOf(version: string): string {
  return `sha512-${createHash('sha512')
    .update(tarballs.get(version) ?? '')
    .digest('base64')}`;
}

async function tarball(version: string): Promise<Buffer> {
  const archive = pack();
  archive.entry({ name: 'package/package.json' }, JSON.stringify({ name: '@acme/paint', version }));
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return gzipSync(Buffer.concat(chunks));
}
