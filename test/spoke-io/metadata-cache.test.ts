// The metadata cache against a real upstream server and real files, under a clock that the tests turn.

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import { nodeDisk } from '@weir/spoke/io/disk.ts';
import {
  type Metadata,
  type MetadataCache,
  type MetadataCacheOptions,
  type MetadataQuery,
  openMetadataCache,
} from '@weir/spoke/io/metadata-cache.ts';
import { createUpstream } from '@weir/spoke/io/upstream.ts';
import type { MetadataDocument } from '@weir/spoke/registries/adapter.ts';
import { type Loopback, recordLogs, recordMetrics, type RecordedMetrics, serveHttp } from './loopback.ts';

interface Doc {
  readonly rev: number;
}

const MINUTE = 60_000;
const closing: (() => Promise<unknown> | void)[] = [];

after(async () => {
  for (const close of closing.toReversed()) await close();
});

interface Bench {
  readonly cache: MetadataCache<Doc>;
  readonly folder: string;
  readonly server: Loopback;
  readonly metrics: RecordedMetrics;
  /** Lets time pass. */
  pass(ms: number): void;
  /** Opens the same folder again, as after a restart. */
  reopen(): Promise<MetadataCache<Doc>>;
  get(name?: string, query?: Partial<MetadataQuery<Doc>>): Promise<Metadata<Doc>>;
}

async function setUp(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  options: Partial<MetadataCacheOptions> = {},
): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-metadata-'));
  const server = await serveHttp(answer);
  const upstream = createUpstream({ registries: { npm: { baseUrl: server.url } }, metrics: recordMetrics() });
  let nowMs = 1_800_000_000_000;
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: () => Promise.reject(new Error('unused')),
  };
  const metrics = recordMetrics();
  const open = (): Promise<MetadataCache<Doc>> =>
    openMetadataCache<Doc>({ upstream, folder, clock, logger: recordLogs(), metrics, ...options });
  const cache = await open();
  closing.push(async () => {
    await cache.close();
    await upstream.close();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    cache,
    folder,
    server,
    metrics,
    pass: (ms) => {
      nowMs += ms;
    },
    reopen: async () => {
      await cache.close();
      const again = await open();
      closing.push(() => again.close());
      return again;
    },
    get: (name = 'pkg', query = {}) => cache.get(queryOf(name, query)),
  };
}

function read(document: MetadataDocument): Doc {
  const value = JSON.parse(Buffer.from(document.bytes).toString()) as Doc;
  if (typeof value.rev !== 'number') throw new WeirError('upstream_failed', 'the document has no revision');
  return value;
}

function queryOf(name: string, query: Partial<MetadataQuery<Doc>> = {}): MetadataQuery<Doc> {
  return { registry: 'npm', request: { path: name, accept: 'application/json' }, read, ...query };
}

function shown(metadata: Metadata<Doc>): readonly [number, boolean] | 'absent' {
  return metadata.kind === 'absent' ? 'absent' : [metadata.value.rev, metadata.stale];
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    (value) => assert.fail(`it should have failed, not given ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof WeirError, String(error));
  return error.code;
}

test('a fresh document is not asked for again, and is read once', async () => {
  let reads = 0;
  const bench = await setUp((_request, response) => response.end('{"rev":1}'));
  const counting = {
    read: (document: MetadataDocument): Doc => {
      reads += 1;
      return read(document);
    },
  };
  for (let i = 0; i < 3; i += 1) assert.deepEqual(shown(await bench.get('pkg', counting)), [1, false]);
  bench.pass(5 * MINUTE);
  await bench.get('pkg', counting);
  assert.deepEqual([bench.server.seen.length, reads], [1, 1]);
});

test('an aged document is revalidated by its validators; a confirmed one is fresh again', async () => {
  const asked: (string | undefined)[] = [];
  let rev = 1;
  const bench = await setUp((request, response) => {
    asked.push(request.headers['if-none-match']);
    response.setHeader('etag', `"${rev}"`);
    if (request.headers['if-none-match'] === `"${rev}"`) response.writeHead(304).end();
    else response.end(`{"rev":${rev}}`);
  });
  await bench.get();
  bench.pass(5 * MINUTE + 1);
  assert.deepEqual(shown(await bench.get()), [1, false]);
  bench.pass(5 * MINUTE);
  await bench.get();
  assert.deepEqual(asked, [undefined, '"1"']);
  bench.pass(1);
  rev = 2;
  assert.deepEqual(shown(await bench.get()), [2, false]);
  assert.deepEqual(asked, [undefined, '"1"', '"1"']);
});

test('a caller may insist on a younger confirmation', async () => {
  const bench = await setUp((_request, response) => response.end('{"rev":1}'));
  await bench.get();
  bench.pass(10_000);
  await bench.get('pkg', { maxAgeMs: 20_000 });
  await bench.get('pkg', { maxAgeMs: 5_000 });
  assert.equal(bench.server.seen.length, 2);
});

test('with upstream gone the document is used for a day, marked stale, and upstream is not hammered', async () => {
  let down = false;
  const bench = await setUp((request, response) => {
    if (down) request.socket.destroy();
    else response.end('{"rev":1}');
  });
  await bench.get();
  down = true;
  bench.pass(6 * MINUTE);
  assert.deepEqual(shown(await bench.get()), [1, true]);
  const asked = bench.server.seen.length;
  assert.deepEqual(shown(await bench.get()), [1, true]);
  assert.equal(bench.server.seen.length, asked, 'within the retry pause nothing is asked');
  bench.pass(5_001);
  assert.deepEqual(shown(await bench.get()), [1, true]);
  assert.ok(bench.server.seen.length > asked);
  bench.pass(24 * 60 * MINUTE);
  assert.equal(await codeOf(bench.get()), 'upstream_failed', 'a day is the end of it');
  down = false;
  assert.deepEqual(shown(await bench.get()), [1, false]);
});

test('a clock that goes backwards makes nothing fresh and lets nothing stale stand in', async () => {
  let down = false;
  const bench = await setUp((request, response) => {
    if (down) request.socket.destroy();
    else response.end('{"rev":1}');
  });
  await bench.get();
  bench.pass(-60 * MINUTE);
  assert.deepEqual(shown(await bench.get()), [1, false]);
  assert.equal(bench.server.seen.length, 2, 'it was asked again');
  bench.pass(-60 * MINUTE);
  down = true;
  assert.equal(await codeOf(bench.get()), 'upstream_failed');
});

for (const [name, answer, code] of [
  ['server errors', (response: ServerResponse) => response.writeHead(503).end(), undefined],
  ['a document that cannot be read', (response: ServerResponse) => response.end('<html>maintenance</html>'), undefined],
  ['a document without its members', (response: ServerResponse) => response.end('{}'), undefined],
  ['refused credentials', (response: ServerResponse) => response.writeHead(403).end(), 'upstream_failed'],
  [
    'a redirect to an inner address',
    (response: ServerResponse) => response.writeHead(302, { location: 'http://10.0.0.1/' }).end(),
    'upstream_failed',
  ],
] as const) {
  test(`${name}: ${code === undefined ? 'the stored document stands in' : 'no stored document stands in'}`, async () => {
    let trouble = false;
    const bench = await setUp((_request, response) => {
      if (trouble) answer(response);
      else response.end('{"rev":1}');
    });
    await bench.get();
    trouble = true;
    bench.pass(6 * MINUTE);
    if (code === undefined) assert.deepEqual(shown(await bench.get()), [1, true]);
    else assert.equal(await codeOf(bench.get()), code);
    assert.equal(await codeOf(bench.get('other')), 'upstream_failed', 'without one it is a failure, and not kept');
    trouble = false;
    bench.pass(10_000);
    assert.deepEqual(shown(await bench.get('other')), [1, false]);
  });
}

test('a package that is gone is gone at once, and its absence is believed for a short while', async () => {
  let gone = false;
  const bench = await setUp((_request, response) => {
    if (gone) response.writeHead(404).end();
    else response.end('{"rev":1}');
  });
  await bench.get();
  gone = true;
  bench.pass(6 * MINUTE);
  assert.equal(shown(await bench.get()), 'absent');
  assert.equal(shown(await bench.get()), 'absent');
  assert.equal(bench.server.seen.length, 2);
  await bench.cache.close();
  assert.deepEqual(readdirSync(bench.folder), [], 'the stored one is removed');
  const again = await bench.reopen();
  gone = false;
  bench.pass(31_000);
  assert.deepEqual(shown(await again.get(queryOf('pkg'))), [1, false]);
});

test('any number of callers cost one request, and one that leaves does not take it along', async () => {
  const asked = Promise.withResolvers<ServerResponse>();
  const bench = await setUp((_request, response) => asked.resolve(response));
  const leaving = new AbortController();
  const left = bench.cache.get(queryOf('pkg'), { signal: leaving.signal });
  const others = Array.from({ length: 20 }, () => bench.get());
  const response = await asked.promise;
  leaving.abort();
  assert.equal(await codeOf(left), 'cancelled');
  response.end('{"rev":1}');
  for (const metadata of await Promise.all(others)) assert.deepEqual(shown(metadata), [1, false]);
  assert.equal(bench.server.seen.length, 1);
});

test('registries and representations do not share documents', async () => {
  const bench = await setUp((request, response) =>
    response.end(`{"rev":${request.headers.accept === 'a/full' ? 1 : 2}}`),
  );
  for (const [accept, rev] of [
    ['a/full', 1],
    ['a/short', 2],
  ] as const) {
    assert.deepEqual(shown(await bench.get('pkg', { request: { path: 'pkg', accept } })), [rev, false]);
  }
});

test('after a restart the document is there, revalidated when it is due, and used stale when upstream is gone', async () => {
  let down = false;
  const bench = await setUp((request, response) => {
    if (down) request.socket.destroy();
    else if (request.headers['if-none-match'] === '"1"') response.writeHead(304).end();
    else response.setHeader('etag', '"1"').end('{"rev":1}');
  });
  await bench.get();
  const second = await bench.reopen();
  bench.pass(MINUTE);
  assert.deepEqual(shown(await second.get(queryOf('pkg'))), [1, false]);
  assert.equal(bench.server.seen.length, 1, 'it is still fresh');
  bench.pass(6 * MINUTE);
  await second.get(queryOf('pkg'));
  assert.equal(bench.server.seen.length, 2);
  await second.close();
  down = true;
  const third = await bench.reopen();
  bench.pass(4 * MINUTE);
  assert.deepEqual(shown(await third.get(queryOf('pkg'))), [1, false], 'the confirmation survived too');
  bench.pass(60 * MINUTE);
  assert.deepEqual(shown(await third.get(queryOf('pkg'))), [1, true]);
  assert.equal(readdirSync(bench.folder).length, 1);
});

for (const [name, damage] of [
  ['a flipped byte', (bytes: Buffer) => Buffer.from(bytes.toString().replace('"rev":1', '"rev":7'))],
  ['a shorter file', (bytes: Buffer) => bytes.subarray(0, -1)],
  ['an empty file', () => Buffer.alloc(0)],
  ['a head that is no JSON', (bytes: Buffer) => Buffer.from(bytes.toString().replace('{"key"', '{"kee'))],
] as const) {
  test(`${name} on disk is noticed and fetched anew`, async () => {
    const bench = await setUp((_request, response) => response.end('{"rev":1}'));
    await bench.get();
    await bench.cache.close();
    const [file] = readdirSync(bench.folder);
    assert.ok(file !== undefined);
    const path = join(bench.folder, file);
    writeFileSync(path, damage(readFileSync(path)));
    const again = await bench.reopen();
    assert.deepEqual(shown(await again.get(queryOf('pkg'))), [1, false]);
    assert.equal(bench.server.seen.length, 2);
  });
}

test('half-written files of a killed process are removed at start', async () => {
  const bench = await setUp((_request, response) => response.end('{"rev":1}'));
  await bench.get();
  await bench.cache.close();
  const [file = ''] = readdirSync(bench.folder);
  const [key = ''] = file.split('.');
  writeFileSync(join(bench.folder, 'writing-1-1'), 'half');
  writeFileSync(join(bench.folder, `${key}.5.1`), 'older');
  const again = await bench.reopen();
  assert.deepEqual(readdirSync(bench.folder), [file]);
  assert.deepEqual(shown(await again.get(queryOf('pkg'))), [1, false]);
  assert.equal(bench.server.seen.length, 1);
});

test('memory and disk stay within their bounds', async () => {
  const filler = 'x'.repeat(10_000);
  const bench = await setUp((request, response) => response.end(`{"rev":${request.url?.slice(2)},"f":"${filler}"}`), {
    limits: { memoryBytes: 100_000, diskBytes: 35_000 },
  });
  for (let i = 0; i < 10; i += 1) await bench.get(`p${i}`);
  await bench.cache.close();
  assert.ok(bench.cache.memoryBytes <= 100_000);
  assert.ok(bench.cache.diskBytes <= 35_000);
  assert.equal(readdirSync(bench.folder).length, 3);
  const again = await bench.reopen();
  await again.get(queryOf('p9'));
  await again.get(queryOf('p0'));
  assert.equal(bench.server.seen.length, 11, 'the last is there, the first is gone');
});

test('a disk that takes nothing costs no answer', async () => {
  const disk = { ...nodeDisk, write: () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })) };
  const bench = await setUp((_request, response) => response.end('{"rev":1}'), { disk });
  assert.deepEqual(shown(await bench.get()), [1, false]);
  assert.deepEqual(shown(await bench.get()), [1, false]);
  await bench.cache.close();
  assert.deepEqual([bench.server.seen.length, readdirSync(bench.folder)], [1, []]);
});

test('closing ends what is under way', async () => {
  const bench = await setUp(() => undefined);
  const waiting = bench.get();
  while (bench.server.seen.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const closed = bench.cache.close();
  assert.equal(await codeOf(waiting), 'cancelled');
  await closed;
  assert.equal(await codeOf(bench.get('other')), 'unavailable');
});
