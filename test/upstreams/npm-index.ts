// An npm registry on loopback that can misbehave: packuments in both forms, tarballs, validators, compression. For tests
// of failure and of size; where a real registry is wanted there is Verdaccio.

import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { type LocalServer, type SeenRequest, startLocalServer } from './local-server.ts';
import { type BuiltNpmPackage, type NpmPackage, buildNpm, packumentOf } from './npm-package.ts';
import { type Answer, TroubleTable, sendTroubled } from './trouble.ts';

export interface NpmIndexOptions {
  readonly packages?: readonly NpmPackage[];
  /** Compresses packuments when the client accepts it. */
  readonly compress?: boolean;
}

export interface NpmIndex extends AsyncDisposable {
  readonly origin: string;
  readonly requests: readonly SeenRequest[];
  /** By path as requested, e.g. `/name`, `/@scope%2fname` or `/name/-/name-1.0.0.tgz`. */
  readonly trouble: TroubleTable;
  publish(source: NpmPackage): Promise<BuiltNpmPackage>;
  /**
   * A package with very many versions, 1.0.0 to 1.0.<count - 1>, a day apart; all share one tarball, which therefore
   * matches the digests of every one of them.
   */
  publishMany(name: string, count: number): Promise<void>;
  builds(name: string): readonly BuiltNpmPackage[];
  close(): Promise<void>;
}

const ABBREVIATED = 'application/vnd.npm.install-v1+json';

export async function startNpmIndex(options: NpmIndexOptions = {}): Promise<NpmIndex> {
  const packages = new Map<string, BuiltNpmPackage[]>();
  const trouble = new TroubleTable();

  const add = (name: string, builds: readonly BuiltNpmPackage[]): void => {
    packages.set(name, [...(packages.get(name) ?? []), ...builds]);
  };
  const publish = async (source: NpmPackage): Promise<BuiltNpmPackage> => {
    const built = await buildNpm(source);
    add(source.name, [built]);
    return built;
  };
  for (const source of options.packages ?? []) await publish(source);

  const server: LocalServer = await startLocalServer(async (request, response) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    const answer = answerFor(path, request);
    const spoiled = trouble.find(path);
    if (spoiled !== undefined) {
      const whole = answer ?? { headers: {}, body: Buffer.alloc(0) };
      trouble.sentBytes += await sendTroubled(response, whole, spoiled);
    } else if (answer === undefined) {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end('{"error":"not_found"}');
    } else {
      send(request, response, answer);
    }
  });

  function answerFor(path: string, request: IncomingMessage): Answer | undefined {
    if (path === '/-/ping') return json({});
    const decoded = decodeURIComponent(path.slice(1));
    const tarball = /^((?:@[^/]+\/)?[^/]+)\/-\/([^/]+\.tgz)$/.exec(decoded);
    if (tarball !== null) {
      const build = packages.get(tarball[1] ?? '')?.find((candidate) => candidate.file === tarball[2]);
      return build && { headers: { 'content-type': 'application/octet-stream' }, body: build.tarball };
    }
    const builds = packages.get(decoded);
    if (builds === undefined) return undefined;
    const packument = packumentOf(builds, (build) => `${server.origin}/${build.source.name}/-/${build.file}`);
    return (request.headers.accept ?? '').includes(ABBREVIATED)
      ? json(abbreviated(packument), ABBREVIATED)
      : json(packument);
  }

  function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
    const etag = `"${createHash('sha256').update(answer.body).digest('base64url').slice(0, 27)}"`;
    if (request.headers['if-none-match'] === etag) {
      response.writeHead(304, { etag });
      response.end();
      return;
    }
    const { body, encoding } = compressed(request, answer);
    response.writeHead(200, {
      ...answer.headers,
      etag,
      'content-length': body.length,
      ...(encoding === '' ? {} : { 'content-encoding': encoding, vary: 'accept-encoding' }),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  function compressed(request: IncomingMessage, answer: Answer): { body: Uint8Array; encoding: string } {
    const accepted = request.headers['accept-encoding']?.toString() ?? '';
    const isJson = answer.headers['content-type']?.includes('json') === true;
    if (options.compress !== true || !isJson) return { body: answer.body, encoding: '' };
    if (/\bbr\b/.test(accepted)) {
      const fast = { params: { [constants.BROTLI_PARAM_QUALITY]: 3 } };
      return { body: brotliCompressSync(answer.body, fast), encoding: 'br' };
    }
    return /\bgzip\b/.test(accepted)
      ? { body: gzipSync(answer.body, { level: 1 }), encoding: 'gzip' }
      : { body: answer.body, encoding: '' };
  }

  return {
    origin: server.origin,
    requests: server.requests,
    trouble,
    publish,
    publishMany: async (name, count) => {
      const first = await buildNpm({ name, version: '1.0.0', publishedAt: dayAfter(0), license: 'MIT' });
      add(
        name,
        Array.from({ length: count }, (_, i) => {
          const version = `1.0.${i}`;
          return {
            ...first,
            source: { ...first.source, version, publishedAt: dayAfter(i) },
            file: `${name.replace(/^@[^/]+\//, '')}-${version}.tgz`,
            manifest: { ...first.manifest, version, _id: `${name}@${version}` },
          };
        }),
      );
    },
    builds: (name) => packages.get(name) ?? [],
    close: () => server.close(),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

function json(value: unknown, type = 'application/json'): Answer {
  return { headers: { 'content-type': type }, body: Buffer.from(JSON.stringify(value)) };
}

/** The install form: no times but `modified`, and only what a resolver reads. */
function abbreviated(packument: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const kept = ['name', 'version', 'dist', 'dependencies', 'deprecated', 'hasInstallScript'];
  const versions = packument['versions'] as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  return {
    name: packument['name'],
    'dist-tags': packument['dist-tags'],
    modified: (packument['time'] as Readonly<Record<string, string>>)['modified'],
    versions: Object.fromEntries(
      Object.entries(versions).map(([version, entry]) => [
        version,
        Object.fromEntries(Object.entries(entry).filter(([key]) => kept.includes(key))),
      ]),
    ),
  };
}

function dayAfter(days: number): string {
  return new Date(Date.UTC(2015, 0, 1) + days * 86_400_000).toISOString();
}
