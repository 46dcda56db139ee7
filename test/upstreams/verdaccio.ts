// A real npm registry for tests and the tour: Verdaccio in a process of its own, with temporary storage, no uplinks and
// open publishing. Packages are either published through its API or written straight into its storage before anybody asks.

import { type ChildProcess, fork } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { once } from './local-server.ts';
import { type BuiltNpmPackage, type NpmPackage, buildNpm, packumentOf } from './npm-package.ts';

/** Verdaccio loads for seconds on a busy machine. */
export const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 5000;

export interface Verdaccio extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`, no trailing '/'. */
  readonly origin: string;
  readonly pid: number;
  readonly storage: string;
  /** Publishes through the registry's API, then dates the version back to `publishedAt`. */
  publishNpm(source: NpmPackage): Promise<BuiltNpmPackage>;
  /** Writes whole packages into the storage; many at once in no time. Replaces packages of the same name. */
  seedStorage(sources: readonly NpmPackage[]): Promise<void>;
  /** Idempotent; ends the process and removes the storage. */
  close(): Promise<void>;
}

export async function startVerdaccio(options: { readonly packages?: readonly NpmPackage[] } = {}): Promise<Verdaccio> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-verdaccio-'));
  const storage = join(folder, 'storage');
  await mkdir(storage);
  const child = fork(fileURLToPath(new URL('verdaccio-process.ts', import.meta.url)), [], {
    cwd: folder,
    execArgv: ['--no-warnings'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { PATH: process.env['PATH'] ?? '', HOME: folder },
  });
  const close = once(async () => {
    await stop(child);
    await rm(folder, { recursive: true, force: true });
  });
  try {
    const [port] = await Promise.all([
      portOf(child, configuration(folder)),
      seedStorage(storage, options.packages ?? []),
    ]);
    const origin = `http://127.0.0.1:${port}`;
    return {
      origin,
      pid: child.pid ?? 0,
      storage,
      publishNpm: (source) => publish(origin, storage, source),
      seedStorage: (sources) => seedStorage(storage, sources),
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

function configuration(folder: string): Readonly<Record<string, unknown>> {
  const open = { access: '$all', publish: '$all', unpublish: '$all' };
  return {
    storage: join(folder, 'storage'),
    configPath: join(folder, 'config.yaml'),
    self_path: join(folder, 'config.yaml'),
    auth: { htpasswd: { file: join(folder, 'htpasswd'), max_users: -1 } },
    uplinks: {},
    packages: { '@*/*': open, '**': open },
    publish: { allow_offline: true },
    max_body_size: '64mb',
    web: { enable: false },
    log: { type: 'stdout', format: 'json', level: 'fatal' },
  };
}

function portOf(child: ChildProcess, config: Readonly<Record<string, unknown>>): Promise<number> {
  return new Promise((resolve, reject) => {
    let errors = '';
    const timer = setTimeout(() => reject(new Error(`verdaccio is not up yet\n${errors}`)), START_LIMIT_MS);
    child.stderr?.on('data', (chunk: Buffer) => {
      errors = `${errors}${chunk.toString()}`.slice(-4000);
    });
    child.once('exit', (code) => reject(new Error(`verdaccio ended with ${code}\n${errors}`)));
    child.once('message', (message) => {
      clearTimeout(timer);
      resolve((message as { port: number }).port);
    });
    child.send(config);
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  if (child.connected) child.disconnect();
  child.kill('SIGTERM');
  await ended;
  clearTimeout(timer);
}

async function publish(origin: string, storage: string, source: NpmPackage): Promise<BuiltNpmPackage> {
  const built = await buildNpm(source);
  const response = await fetch(`${origin}/${encodeURIComponent(source.name)}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      _id: source.name,
      name: source.name,
      'dist-tags': { latest: source.version },
      versions: {
        [source.version]: {
          ...built.manifest,
          dist: {
            tarball: `${origin}/${source.name}/-/${built.file}`,
            shasum: built.shasum,
            integrity: built.integrity,
          },
        },
      },
      _attachments: {
        [built.file]: {
          content_type: 'application/octet-stream',
          data: built.tarball.toString('base64'),
          length: built.tarball.length,
        },
      },
    }),
  });
  if (!response.ok) throw new Error(`verdaccio refused ${source.name}: ${response.status} ${await response.text()}`);
  await response.arrayBuffer();
  await dateBack(storage, source);
  return built;
}

async function dateBack(storage: string, source: NpmPackage): Promise<void> {
  const path = join(storage, source.name, 'package.json');
  const document = JSON.parse(await readFile(path, 'utf8')) as { time?: Record<string, string> };
  const versions = Object.entries(document.time ?? {}).filter(([key]) => key !== 'created' && key !== 'modified');
  const times = [
    ...versions.filter(([key]) => key !== source.version).map(([, at]) => at),
    source.publishedAt,
  ].toSorted();
  document.time = {
    ...Object.fromEntries(versions),
    [source.version]: source.publishedAt,
    created: times[0] ?? source.publishedAt,
    modified: times.at(-1) ?? source.publishedAt,
  };
  await replaceFile(path, JSON.stringify(document));
}

async function seedStorage(storage: string, sources: readonly NpmPackage[]): Promise<void> {
  for (const group of Map.groupBy(sources, (source) => source.name).values()) {
    const builds = await Promise.all(group.map(buildNpm));
    const folder = join(storage, group[0]?.name ?? '');
    await mkdir(folder, { recursive: true });
    await Promise.all(builds.map((build) => writeFile(join(folder, build.file), build.tarball)));
    const document = {
      ...packumentOf(builds, (build) => `http://127.0.0.1/${build.source.name}/-/${build.file}`),
      users: {},
      _uplinks: {},
      _distfiles: {},
      _attachments: Object.fromEntries(
        builds.map((build) => [build.file, { shasum: build.shasum, version: build.source.version }]),
      ),
      _rev: '1-0000000000000000',
    };
    await replaceFile(join(folder, 'package.json'), JSON.stringify(document));
  }
}

/** At once, so that a request in flight never reads half a file. */
async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}
