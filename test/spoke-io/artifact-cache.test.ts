// The artifact cache with real upstream servers, real files and, at the end, real clients: what it promises when
// everything goes well, and what it leaves behind when something does not.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import {
  type Artifact,
  type ArtifactCache,
  type ArtifactCacheOptions,
  type ArtifactRequest,
  openArtifactCache,
} from '@weir/spoke/io/artifact-cache.ts';
import { readWhole } from '@weir/spoke/io/byte-source.ts';
import { type Disk, nodeDisk } from '@weir/spoke/io/disk.ts';
import { startListener } from '@weir/spoke/io/listener.ts';
import type { PromisedDigests } from '@weir/spoke/io/promise-check.ts';
import { createUpstream, type Upstream } from '@weir/spoke/io/upstream.ts';
import { type Loopback, recordLogs, recordMetrics, type RecordedMetrics, serveBytes, serveHttp } from './loopback.ts';

const closing: (() => Promise<unknown> | void)[] = [];

after(async () => {
  for (const close of closing.toReversed()) await close();
});

const sha = (algorithm: string, bytes: Buffer): string => createHash(algorithm).update(bytes).digest('hex');
const npmPromise = (bytes: Buffer): PromisedDigests => ({ sha512: sha('sha512', bytes), sha1: sha('sha1', bytes) });
const bytesOf = (size: number, seed = 1): Buffer =>
  Buffer.from(Array.from({ length: size }, (_, i) => (i * seed + (i >> 8)) % 251));

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'weir-artifacts-'));
  closing.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

type Opened = ArtifactCache & { readonly folder: string; readonly metrics: RecordedMetrics };

async function openCache(options: Partial<ArtifactCacheOptions> = {}): Promise<Opened> {
  const folder = options.folder ?? newFolder();
  const metrics = recordMetrics();
  const cache = await openArtifactCache({ logger: recordLogs(), metrics, ...options, folder });
  closing.push(() => cache.close());
  return Object.defineProperties(cache, { folder: { value: folder }, metrics: { value: metrics } }) as Opened;
}

interface Site {
  readonly server: Loopback;
  readonly upstream: Upstream;
  request(file: string, promised: PromisedDigests, size?: number | null): ArtifactRequest;
}

async function siteOf(server: Loopback): Promise<Site> {
  const upstream = createUpstream({
    registries: { npm: { baseUrl: server.url } },
    metrics: recordMetrics(),
    limits: { bodyIdleMs: 1_000 },
  });
  closing.push(() => server.close());
  closing.push(() => upstream.close());
  return {
    server,
    upstream,
    request: (file, digests, size = null) => ({
      registry: 'npm',
      name: { ecosystem: 'npm', namespace: '', name: 'pkg' },
      file,
      digests,
      size,
      open: (signal) => upstream.openArtifact('npm', { url: file, documentUrl: server.url }, { signal }),
    }),
  };
}

const site = async (answer: (response: ServerResponse, path: string) => void): Promise<Site> =>
  siteOf(await serveHttp((request, response) => answer(response, request.url ?? '')));

/** Everything a reader of its own gets, and how it ended. */
async function drain(artifact: Artifact): Promise<{ bytes: Buffer; error: WeirError | undefined }> {
  const chunks: Buffer[] = [];
  const target = Buffer.alloc(50_000);
  let position = 0;
  try {
    for (;;) {
      const count = await artifact.read(target, position);
      if (count === 0) return { bytes: Buffer.concat(chunks), error: undefined };
      chunks.push(Buffer.from(target.subarray(0, count)));
      position += count;
    }
  } catch (error) {
    assert.ok(error instanceof WeirError);
    return { bytes: Buffer.concat(chunks), error };
  } finally {
    artifact.release();
    await artifact.settled;
  }
}

async function take(cache: ArtifactCache, request: ArtifactRequest): Promise<Artifact> {
  const artifact = await cache.getOrFill(request);
  assert.ok(artifact !== undefined);
  return artifact;
}

async function codeOf(promise: Promise<unknown>): Promise<readonly [string, unknown]> {
  const error = await promise.then(
    () => assert.fail('it should have failed'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof WeirError, String(error));
  return [error.code, error.detail['fault']];
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

const blobsOf = (cache: Opened): string[] => filesUnder(join(cache.folder, 'blobs'));
const temporariesOf = (cache: Opened): string[] => filesUnder(join(cache.folder, 'tmp'));

for (const size of [0, 1, 10_000, 65_536, 65_537, 1_000_000, 3_000_001]) {
  for (const announced of [true, false]) {
    test(`${size} bytes, ${announced ? 'announced' : 'chunked'}: streamed on the first request, from disk on the second`, async () => {
      const body = bytesOf(size);
      const npm = await site((response) => {
        if (announced) response.setHeader('content-length', size);
        response.end(body);
      });
      const cache = await openCache();
      const request = npm.request('a.tgz', npmPromise(body));
      const first = await take(cache, request);
      assert.equal(first.state, 'filling');
      assert.ok((await drain(first)).bytes.equals(body));
      assert.deepEqual(await first.verified, { digest: `sha256:${sha('sha256', body)}`, size });
      const second = await take(cache, request);
      assert.deepEqual([second.state, second.size], ['stored', size]);
      assert.ok((await readWhole(second, 4 << 20)).equals(body));
      second.release();
      assert.equal(npm.server.seen.length, 1);
      assert.deepEqual([blobsOf(cache).length, temporariesOf(cache).length, cache.storedBytes], [1, 0, size]);
    });
  }
}

test('bytes are released while they arrive, but the last ones only after verification', async () => {
  const body = bytesOf(300_000);
  const asked = Promise.withResolvers<ServerResponse>();
  const npm = await site((response) => {
    response.setHeader('content-length', body.length);
    response.write(body.subarray(0, body.length - 1));
    asked.resolve(response);
  });
  const cache = await openCache();
  const artifact = await take(cache, npm.request('a.tgz', npmPromise(body)));
  const target = Buffer.alloc(body.length);
  let position = 0;
  while (position < body.length - 65_536) position += await artifact.read(target.subarray(position), position);
  assert.equal(position, body.length - 65_536, 'exactly the withheld bytes are missing');
  let early = false;
  const rest = artifact.read(target.subarray(position), position).then((count) => {
    early = true;
    return count;
  });
  await delay(100);
  assert.equal(early, false);
  (await asked.promise).end(body.subarray(body.length - 1));
  position += await rest;
  assert.equal(position, body.length);
  assert.ok(target.equals(body));
  artifact.release();
});

interface Trouble {
  readonly name: string;
  readonly answer: (response: ServerResponse, body: Buffer) => void;
  readonly promised?: (body: Buffer) => PromisedDigests;
  readonly size?: number;
  readonly code: string;
  readonly fault: string;
}

const BODY = bytesOf(400_000);
const TROUBLES: readonly Trouble[] = [
  { name: 'one flipped bit at the end', answer: (r, b) => r.end(flip(b)), code: 'integrity', fault: 'digest_mismatch' },
  {
    name: 'a right sha1 with a wrong sha512',
    answer: (r, b) => r.end(b),
    promised: (b) => ({ sha512: sha('sha512', flip(b)), sha1: sha('sha1', b) }),
    code: 'integrity',
    fault: 'digest_mismatch',
  },
  {
    name: 'a right sha256 with a wrong sha1',
    answer: (r, b) => r.end(b),
    promised: (b) => ({ sha256: sha('sha256', b), sha1: sha('sha1', flip(b)) }),
    code: 'integrity',
    fault: 'digest_mismatch',
  },
  {
    name: 'fewer bytes than announced',
    answer: (r, b) => {
      r.setHeader('content-length', b.length);
      r.write(b.subarray(0, 300_000), () => r.destroy());
    },
    code: 'upstream_failed',
    fault: 'truncated',
  },
  {
    name: 'a chunked body cut off',
    answer: (r, b) => void r.write(b.subarray(0, 300_000), () => r.destroy()),
    code: 'upstream_failed',
    fault: 'truncated',
  },
  {
    name: 'a chunked body that ends early in good order',
    answer: (r, b) => inChunks(r, b.subarray(0, 300_000)),
    code: 'integrity',
    fault: 'digest_mismatch',
  },
  {
    name: 'fewer bytes than the index promises',
    answer: (r, b) => inChunks(r, b.subarray(0, 300_000)),
    size: BODY.length,
    code: 'upstream_failed',
    fault: 'length',
  },
  {
    name: 'more bytes than the index promises',
    answer: (r, b) => inChunks(r, Buffer.concat([b, b])),
    size: BODY.length,
    code: 'upstream_failed',
    fault: 'length',
  },
  {
    name: 'a body that stalls',
    answer: (r, b) => void r.write(b.subarray(0, 300_000)),
    code: 'timeout',
    fault: 'timeout',
  },
];

for (const { name, answer, promised = npmPromise, size, code, fault } of TROUBLES) {
  test(`${name}: ${code} (${fault}), incomplete for every reader, nothing cached`, async () => {
    const npm = await site((response) => answer(response, BODY));
    const cache = await openCache();
    const request = npm.request('a.tgz', promised(BODY), size ?? null);
    const results = await Promise.allSettled([take(cache, request), take(cache, request)]);
    let ended = 0;
    for (const result of results) {
      if (result.status === 'rejected') {
        assert.deepEqual(await codeOf(Promise.reject(result.reason)), [code, fault]);
        continue;
      }
      const { bytes, error } = await drain(result.value);
      assert.ok(bytes.length <= BODY.length - 65_536, `${bytes.length} bytes were released`);
      assert.ok(bytes.equals(BODY.subarray(0, bytes.length)));
      assert.deepEqual([error?.code, error?.detail['fault']], [code, fault]);
      assert.deepEqual(await codeOf(result.value.verified), [code, fault]);
      ended += 1;
    }
    assert.ok(ended > 0, 'the download had begun');
    assert.equal(npm.server.seen.length, 1, 'one download for both');
    assert.deepEqual([blobsOf(cache), temporariesOf(cache), cache.storedBytes, cache.has(request)], [[], [], 0, false]);
    // The next request tries again.
    const again = await take(cache, request);
    again.release();
    assert.equal(npm.server.seen.length, 2);
  });
}

test('a length that differs from the index, or is too large, is refused before any byte', async () => {
  const npm = await site((response) => {
    response.setHeader('content-length', BODY.length);
    response.write(BODY.subarray(0, 1000));
  });
  const cache = await openCache({ limits: { artifactBytes: 500_000 } });
  const request = npm.request('a.tgz', npmPromise(BODY), BODY.length - 1);
  assert.deepEqual(await codeOf(cache.getOrFill(request)), ['upstream_failed', 'length']);
  const small = await openCache({ limits: { artifactBytes: 1000 } });
  const large = npm.request('b.tgz', npmPromise(BODY));
  assert.deepEqual(await codeOf(small.getOrFill(large)), ['too_large', 'artifact_too_large']);
});

test('an endless body stops at the size limit', async () => {
  const npm = await site((response) => {
    const chunk = Buffer.alloc(65_536);
    const push = (): void => {
      while (!response.destroyed && response.write(chunk));
      if (!response.destroyed) response.once('drain', push);
    };
    push();
  });
  const cache = await openCache({ limits: { artifactBytes: 1 << 20 } });
  const artifact = await take(cache, npm.request('a.tgz', npmPromise(BODY)));
  assert.equal((await drain(artifact)).error?.code, 'too_large');
  assert.deepEqual([blobsOf(cache), temporariesOf(cache)], [[], []]);
});

test('a lying content-length over the wire is never taken for a complete artifact', async () => {
  const body = bytesOf(200_000);
  for (const announced of [body.length + 1, body.length - 1]) {
    const server = await serveBytes((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${announced}\r\n\r\n`);
      socket.end(body);
    });
    const npm = await siteOf(server);
    const cache = await openCache();
    const artifact = await take(cache, npm.request('a.tgz', npmPromise(body)));
    const { error } = await drain(artifact);
    assert.ok(error !== undefined && ['integrity', 'upstream_failed'].includes(error.code));
    assert.deepEqual(blobsOf(cache), []);
  }
});

test('any number of clients cost one download, each with its own pace', async () => {
  const body = bytesOf(2_000_000);
  const npm = await site((response) => {
    response.setHeader('content-length', body.length);
    void (async () => {
      for (let at = 0; at < body.length; at += 100_000) {
        response.write(body.subarray(at, at + 100_000));
        await delay(2);
      }
      response.end();
    })();
  });
  const cache = await openCache();
  const request = npm.request('a.tgz', npmPromise(body));
  const readers = Array.from({ length: 50 }, async (_, i) => {
    await delay(i % 20);
    return drain(await take(cache, request));
  });
  for (const { bytes, error } of await Promise.all(readers)) {
    assert.equal(error, undefined);
    assert.ok(bytes.equals(body));
  }
  assert.equal(npm.server.seen.length, 1);
  assert.equal(cache.metrics.counted('weir_spoke_cache_requests_total'), 50);
  assert.equal(cache.fills, 0);
});

test('clients that come and go at every moment of a download all get the same bytes from it', async () => {
  const body = bytesOf(150_000);
  const npm = await site((response) => response.end(body));
  for (let round = 0; round < 30; round += 1) {
    const cache = await openCache();
    const request = npm.request(`${round}.tgz`, npmPromise(body));
    const readers: Promise<{ bytes: Buffer }>[] = [];
    for (let i = 0; i < 10; i += 1) {
      readers.push(take(cache, request).then(drain));
      for (let turn = 0; turn < i; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    }
    for (const { bytes } of await Promise.all(readers)) assert.ok(bytes.equals(body));
    await cache.close();
  }
  assert.equal(npm.server.seen.length, 30);
});

test('a client that leaves does not take the download with it', async () => {
  const body = bytesOf(300_000);
  const asked = Promise.withResolvers<ServerResponse>();
  const npm = await site((response) => asked.resolve(response));
  const cache = await openCache();
  const request = npm.request('a.tgz', npmPromise(body));
  const leaving = new AbortController();
  const first = cache.getOrFill(request, { signal: leaving.signal });
  const response = await asked.promise;
  const second = cache.getOrFill(request);
  leaving.abort();
  assert.deepEqual(await codeOf(first), ['cancelled', undefined]);
  response.end(body);
  const artifact = await second;
  assert.ok(artifact !== undefined);
  assert.ok((await drain(artifact)).bytes.equals(body));
});

test('an artifact that upstream does not have is undefined, and nothing is remembered', async () => {
  const npm = await site((response) => response.writeHead(404).end());
  const cache = await openCache();
  assert.equal(await cache.getOrFill(npm.request('a.tgz', npmPromise(BODY))), undefined);
  assert.deepEqual([cache.fills, temporariesOf(cache)], [0, []]);
});

test('a changed promise is another key; the old bytes are not served for it', async () => {
  const old = bytesOf(1000, 3);
  const fresh = bytesOf(1000, 5);
  let current = old;
  const npm = await site((response) => response.end(current));
  const cache = await openCache();
  assert.ok((await drain(await take(cache, npm.request('a.tgz', npmPromise(old))))).bytes.equals(old));
  current = fresh;
  assert.ok((await drain(await take(cache, npm.request('a.tgz', npmPromise(fresh))))).bytes.equals(fresh));
  assert.equal(npm.server.seen.length, 2);
});

test('the same bytes under two names are stored once', async () => {
  const body = bytesOf(1000);
  const npm = await site((response) => response.end(body));
  const cache = await openCache();
  for (const file of ['a.tgz', 'b.tgz', 'a.tgz', 'b.tgz']) {
    assert.ok((await drain(await take(cache, npm.request(file, npmPromise(body))))).bytes.equals(body));
  }
  assert.deepEqual([npm.server.seen.length, blobsOf(cache).length, cache.storedBytes], [2, 1, 1000]);
});

test('an artifact without any promise is streamed and forgotten', async () => {
  const body = bytesOf(200_000);
  const npm = await site((response) => response.end(body));
  const cache = await openCache();
  for (let round = 1; round <= 2; round += 1) {
    assert.ok((await drain(await take(cache, npm.request('a.whl', {})))).bytes.equals(body));
    assert.deepEqual([npm.server.seen.length, blobsOf(cache), temporariesOf(cache)], [round, [], []]);
  }
});

test('a promised digest that cannot be one is refused without asking upstream', async () => {
  const npm = await site((response) => response.end(BODY));
  const cache = await openCache();
  for (const digests of [{ sha512: 'abc' }, { sha256: sha('sha256', BODY).toUpperCase() }, { sha1: '' }]) {
    assert.deepEqual(await codeOf(cache.getOrFill(npm.request('a.tgz', digests))), ['upstream_failed', 'bad_digest']);
  }
  assert.deepEqual(npm.server.seen, []);
});

test('the least recently used go first, and what is being read stays', async () => {
  const npm = await site((response, path) => response.end(bytesOf(1000, Number(path.slice(1, -4)))));
  const cache = await openCache({ limits: { totalBytes: 3000 } });
  const requestOf = (n: number): ArtifactRequest => npm.request(`${n}.tgz`, npmPromise(bytesOf(1000, n)));
  const fetch = async (n: number): Promise<void> => void (await drain(await take(cache, requestOf(n))));
  for (const n of [1, 2, 3]) await fetch(n);
  await fetch(1);
  await fetch(4);
  const held = (): number[] => [1, 2, 3, 4, 5, 6, 7].filter((n) => cache.has(requestOf(n)));
  assert.deepEqual(held(), [1, 3, 4], 'the one that was used last survives');
  const reading = await take(cache, requestOf(3));
  assert.equal(reading.state, 'stored');
  await fetch(5);
  await fetch(6);
  assert.deepEqual(held(), [3, 5, 6]);
  const others = await Promise.all([take(cache, requestOf(5)), take(cache, requestOf(6))]);
  assert.deepEqual(
    await codeOf(
      take(cache, requestOf(7))
        .then(drain)
        .then(({ error }) => Promise.reject(error)),
    ),
    ['resource_exhausted', 'cache_full'],
  );
  for (const artifact of [reading, ...others]) assert.equal((await drain(artifact)).bytes.length, 1000);
  assert.equal(cache.storedBytes, 3000);
  await cache.close();
  assert.equal(blobsOf(cache).length, 3);
});

test('after a restart everything is there, in its order of use', async () => {
  const npm = await site((response, path) => response.end(bytesOf(1000, Number(path.slice(1, -4)))));
  const requestOf = (n: number): ArtifactRequest => npm.request(`${n}.tgz`, npmPromise(bytesOf(1000, n)));
  const first = await openCache({ limits: { totalBytes: 3000 } });
  for (const n of [1, 2, 3, 1]) await drain(await take(first, requestOf(n)));
  await first.close();
  const second = await openCache({ folder: first.folder, limits: { totalBytes: 3000 } });
  assert.equal(second.entries, 3);
  await drain(await take(second, requestOf(4)));
  assert.deepEqual(
    [1, 2, 3, 4].filter((n) => second.has(requestOf(n))),
    [1, 3, 4],
  );
  await second.close();
  const third = await openCache({ folder: first.folder, limits: { totalBytes: 1000 } });
  assert.deepEqual(
    [1, 2, 3, 4].filter((n) => third.has(requestOf(n))),
    [4],
    'a lowered limit is kept at once',
  );
  assert.equal(npm.server.seen.length, 4);
});

for (const [name, damage] of [
  ['a flipped bit', (path: string) => writeFileSync(path, flip(readFileSync(path)))],
  ['a shorter file', (path: string) => writeFileSync(path, readFileSync(path).subarray(1))],
  ['a longer file', (path: string) => writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from('x')]))],
  ['an empty file, as a power cut leaves it', (path: string) => writeFileSync(path, '')],
  ['a missing file', (path: string) => rmSync(path)],
] as const) {
  test(`${name} is found at the first use after a restart and fetched anew`, async () => {
    const body = bytesOf(150_000);
    const npm = await site((response) => response.end(body));
    const first = await openCache();
    const request = npm.request('a.tgz', npmPromise(body));
    await drain(await take(first, request));
    await first.close();
    const [path] = blobsOf(first);
    assert.ok(path !== undefined);
    damage(path);
    const second = await openCache({ folder: first.folder });
    const readers = await Promise.all([take(second, request), take(second, request)]);
    for (const reader of readers) assert.ok((await drain(reader)).bytes.equals(body));
    assert.equal(npm.server.seen.length, 2);
    assert.equal(second.metrics.counted('weir_spoke_cache_corrupt_total'), 1);
    assert.equal(second.storedBytes, body.length);
  });
}

test('a journal that points a key at other bytes is found by the promises', async () => {
  const good = bytesOf(1000, 3);
  const evil = bytesOf(1000, 5);
  const npm = await site((response, path) => response.end(path === '/evil.tgz' ? evil : good));
  const first = await openCache();
  const request = npm.request('good.tgz', npmPromise(good));
  await drain(await take(first, request));
  await drain(await take(first, npm.request('evil.tgz', npmPromise(evil))));
  await first.close();
  const journal = join(first.folder, 'index.jsonl');
  writeFileSync(journal, readFileSync(journal, 'utf8').replaceAll(sha('sha256', good), sha('sha256', evil)));
  const second = await openCache({ folder: first.folder });
  assert.ok((await drain(await take(second, request))).bytes.equals(good));
});

test('a torn or foreign journal costs entries, never a wrong answer or a failed start', async () => {
  const npm = await site((response, path) => response.end(bytesOf(1000, Number(path.slice(1, -4)))));
  const requestOf = (n: number): ArtifactRequest => npm.request(`${n}.tgz`, npmPromise(bytesOf(1000, n)));
  const first = await openCache();
  for (const n of [1, 2, 3]) await drain(await take(first, requestOf(n)));
  await first.close();
  const journal = join(first.folder, 'index.jsonl');
  const lines = readFileSync(journal, 'utf8').split('\n');
  const torn = [
    lines[0],
    '["+","k","../../../etc/passwd",5]',
    '["+",1,2,3]',
    '{}',
    '[',
    lines[1],
    lines[2]?.slice(0, 40),
  ];
  writeFileSync(journal, torn.join('\n'));
  const second = await openCache({ folder: first.folder });
  assert.equal(second.entries, 2);
  assert.equal(blobsOf(second).length, 2, 'the blob that lost its line is gone');
  for (const n of [1, 2, 3]) assert.ok((await drain(await take(second, requestOf(n)))).bytes.equals(bytesOf(1000, n)));
});

function diskWith(trouble: Partial<Disk>): Disk {
  return { ...nodeDisk, ...trouble };
}

/** Too large to be held in memory while it arrives. */
const LARGE = 2_000_000;

const errno = (code: string): Error => Object.assign(new Error(code), { code });

test('on a full disk a small artifact is served and not kept', async () => {
  const body = bytesOf(300_000);
  const npm = await site((response) => response.end(body));
  const cache = await openCache({
    disk: diskWith({
      write: (file, bytes, position) =>
        position === null ? nodeDisk.write(file, bytes, position) : Promise.reject(errno('ENOSPC')),
    }),
  });
  const { bytes, error } = await drain(await take(cache, npm.request('a.tgz', npmPromise(body))));
  assert.deepEqual([error, bytes.equals(body), cache.entries, temporariesOf(cache)], [undefined, true, 0, []]);
});

test('a full disk fails that download, frees a part of the cache, and the next one works', async () => {
  let full = false;
  const disk = diskWith({
    write: async (file, bytes, position) => {
      if (full && position !== null && position > 100_000) throw errno('ENOSPC');
      await nodeDisk.write(file, bytes, position);
    },
  });
  const npm = await site((response, path) => response.end(bytesOf(path === '/1.tgz' ? 1000 : LARGE)));
  const cache = await openCache({ disk });
  const small = npm.request('1.tgz', npmPromise(bytesOf(1000)));
  const large = npm.request('2.tgz', npmPromise(bytesOf(LARGE)));
  await drain(await take(cache, small));
  full = true;
  const { error } = await drain(await take(cache, large));
  assert.deepEqual([error?.code, error?.detail['fault'], error?.retry], ['resource_exhausted', 'disk_full', 'later']);
  while (cache.has(small)) await delay(1);
  full = false;
  assert.equal((await drain(await take(cache, large))).error, undefined);
  await cache.close();
  assert.deepEqual([blobsOf(cache).length, temporariesOf(cache).length], [1, 0]);
});

test('a disk that cannot open a file, or breaks while reading, is named as such', async () => {
  const body = bytesOf(LARGE);
  const npm = await site((response) => response.end(body));
  const closed = await openCache({
    disk: diskWith({
      open: (path, how) => (how === 'new' ? Promise.reject(errno('EACCES')) : nodeDisk.open(path, how)),
    }),
  });
  assert.deepEqual(await codeOf(closed.getOrFill(npm.request('a.tgz', npmPromise(body)))), [
    'unavailable',
    'disk_failed',
  ]);
  let broken = false;
  const unreadable = await openCache({
    disk: diskWith({ read: (...args) => (broken ? Promise.reject(errno('EIO')) : nodeDisk.read(...args)) }),
  });
  const request = npm.request('b.tgz', npmPromise(body));
  await drain(await take(unreadable, request));
  const artifact = await take(unreadable, request);
  broken = true;
  const { error } = await drain(artifact);
  assert.deepEqual([error?.code, error?.detail['fault']], ['unavailable', 'disk_failed']);
});

test('a file that cannot be moved into place is served and not kept', async () => {
  const body = bytesOf(LARGE);
  const npm = await site((response) => response.end(body));
  let broken = false;
  const cache = await openCache({
    disk: diskWith({ rename: (from, to) => (broken ? Promise.reject(errno('EIO')) : nodeDisk.rename(from, to)) }),
  });
  broken = true;
  const { bytes, error } = await drain(await take(cache, npm.request('a.tgz', npmPromise(body))));
  assert.equal(error, undefined);
  assert.ok(bytes.equals(body));
  assert.deepEqual([cache.entries, temporariesOf(cache)], [0, []]);
});

test('a journal that cannot be written does not keep artifacts from being served', async () => {
  const body = bytesOf(1000);
  const npm = await site((response) => response.end(body));
  let broken = false;
  const cache = await openCache({
    disk: diskWith({
      write: (file, bytes, position) =>
        broken && position === null ? Promise.reject(errno('ENOSPC')) : nodeDisk.write(file, bytes, position),
    }),
  });
  broken = true;
  for (let i = 0; i < 2; i += 1)
    assert.ok((await drain(await take(cache, npm.request('a.tgz', npmPromise(body))))).bytes.equals(body));
  assert.equal(npm.server.seen.length, 1);
});

test('a folder that cannot be used is one clear sentence at start', async () => {
  const folder = newFolder();
  const file = join(folder, 'file');
  writeFileSync(file, '');
  assert.deepEqual(await codeOf(openCache({ folder: join(file, 'below') })), ['unavailable', 'disk_failed']);
});

test('closing gives downloads up, and their readers are told', async () => {
  const npm = await site((response) => response.write(bytesOf(200_000)));
  const cache = await openCache();
  const artifact = await take(cache, npm.request('a.tgz', npmPromise(BODY)));
  const reading = drain(artifact);
  await delay(50);
  await cache.close();
  assert.equal((await reading).error?.code, 'cancelled');
  assert.deepEqual([temporariesOf(cache), blobsOf(cache)], [[], []]);
  assert.deepEqual(await codeOf(cache.getOrFill(npm.request('b.tgz', npmPromise(BODY)))), ['unavailable', undefined]);
});

test('downloads over the limit are refused, and a freed place is used again', async () => {
  const npm = await site((response, path) => {
    if (path === '/free.tgz') response.end(BODY);
    else response.write(BODY.subarray(0, 1000));
  });
  const cache = await openCache({ limits: { fills: 1 } });
  const first = await take(cache, npm.request('a.tgz', npmPromise(BODY)));
  assert.deepEqual(await codeOf(cache.getOrFill(npm.request('b.tgz', npmPromise(BODY)))), [
    'resource_exhausted',
    'fills',
  ]);
  assert.equal((await drain(first)).error?.code, 'timeout');
  assert.equal((await drain(await take(cache, npm.request('free.tgz', npmPromise(BODY))))).error, undefined);
});

test('a large download with slow and fast readers leaves memory flat', async () => {
  const size = 96 << 20;
  const chunk = bytesOf(1 << 20);
  const digest = createHash('sha256');
  for (let i = 0; i < 96; i += 1) digest.update(chunk);
  const npm = await site((response) => {
    response.setHeader('content-length', size);
    let sent = 0;
    const push = (): void => {
      while (sent < 96) {
        sent += 1;
        if (!response.write(chunk)) {
          response.once('drain', push);
          return;
        }
      }
      response.end();
    };
    push();
  });
  const cache = await openCache();
  const before = process.memoryUsage().arrayBuffers;
  let peak = 0;
  const artifact = await take(cache, npm.request('large.tgz', { sha256: digest.digest('hex') }));
  const target = Buffer.alloc(1 << 20);
  for (let position = 0; ; ) {
    const count = await artifact.read(target, position);
    if (count === 0) break;
    position += count;
    peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
  }
  artifact.release();
  assert.ok(peak < 48 << 20, `${peak} bytes at the peak of a ${size} byte download`);
});

test('a process killed in the middle of a download leaves nothing that is served later', async () => {
  const folder = newFolder();
  const body = bytesOf(500_000);
  const npm = await site((response, path) => {
    if (path === '/half.tgz') response.write(body.subarray(0, 400_000));
    else response.end(body);
  });
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'killed-fill.ts'), folder, npm.server.url, JSON.stringify(npmPromise(body))],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exited = once(child, 'exit');
  for await (const line of child.stdout) if (String(line).includes('half way')) break;
  assert.equal(filesUnder(join(folder, 'tmp')).length, 1);
  child.kill('SIGKILL');
  await exited;
  const cache = await openCache({ folder });
  assert.deepEqual([temporariesOf(cache), cache.entries], [[], 1]);
  const whole = await take(cache, npm.request('whole.tgz', npmPromise(body)));
  assert.equal(whole.state, 'stored', 'what was complete before the kill is used');
  assert.ok((await drain(whole)).bytes.equals(body));
});

test('a disk that is really full, end to end', { skip: process.platform !== 'linux' }, async (t) => {
  const folder = newFolder();
  const mount = spawn('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' });
  const [code] = await Promise.race([once(mount, 'exit'), once(mount, 'error').then(() => [1])]);
  if (code !== 0) {
    t.skip('this user may not mount a small file system');
    return;
  }
  closing.push(async () => {
    await once(spawn('umount', [folder], { stdio: 'ignore' }), 'exit');
  });
  const body = bytesOf(3_000_000);
  const npm = await site((response, path) => response.end(path === '/small.tgz' ? body.subarray(0, 1000) : body));
  const cache = await openCache({ folder });
  const { error } = await drain(await take(cache, npm.request('a.tgz', npmPromise(body))));
  assert.deepEqual([error?.code, error?.detail['fault']], ['resource_exhausted', 'disk_full']);
  const small = await take(cache, npm.request('small.tgz', npmPromise(body.subarray(0, 1000))));
  assert.equal((await drain(small)).error, undefined, 'the room was given back');
  await cache.close();
});

test('through the listener: a bad artifact is refused when small and broken off when large; a good one has ranges', async () => {
  const small = bytesOf(10_000);
  const large = bytesOf(1_000_000);
  const npm = await site((response, path) => {
    const body = path.includes('small') ? small : large;
    response.setHeader('content-length', body.length);
    response.end(path.includes('bad') ? flip(body) : body);
  });
  const cache = await openCache();
  const listener = await startListener({
    host: '127.0.0.1',
    port: 0,
    logger: recordLogs(),
    metrics: recordMetrics(),
    handler: async (request, reply) => {
      const file = request.url.slice(1);
      const artifact = await take(cache, npm.request(file, npmPromise(file.includes('small') ? small : large)));
      const at = request.rawHeaders.findIndex((name) => name.toLowerCase() === 'range');
      const range = { range: at === -1 ? undefined : request.rawHeaders[at + 1], etag: '' };
      const sent = await reply.sendFile('OK', ['Content-Type', 'application/octet-stream'], artifact, range);
      if (sent.kind === 'failed' && !sent.headSent) {
        reply.sendBuffer(502, `Not the promised file (${sent.error.code})`, [], Buffer.from(sent.error.message));
      }
    },
  });
  closing.push(() => listener.close(0));
  const url = `http://127.0.0.1:${listener.port}`;
  const refused = await fetch(`${url}/bad-small.tgz`);
  assert.deepEqual([refused.status, refused.statusText], [502, 'Not the promised file (integrity)']);
  await assert.rejects(fetch(`${url}/bad-large.tgz`).then((response) => response.arrayBuffer()));
  assert.deepEqual(blobsOf(cache), []);
  // A range of an artifact that is still arriving, and of one that is stored.
  for (let round = 0; round < 2; round += 1) {
    const part = await fetch(`${url}/good-large.tgz`, { headers: { range: 'bytes=500000-500099' } });
    assert.equal(part.status, 206);
    assert.deepEqual(Buffer.from(await part.arrayBuffer()), large.subarray(500_000, 500_100));
  }
  const whole = await fetch(`${url}/good-large.tgz`);
  assert.ok(Buffer.from(await whole.arrayBuffer()).equals(large));
  assert.equal(npm.server.seen.filter((line) => line.includes('good-large')).length, 1);
});

/** Without a length that Node would announce for a body given at once. */
function inChunks(response: ServerResponse, body: Buffer): void {
  response.write(body.subarray(0, 1000));
  response.end(body.subarray(1000));
}

function flip(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const last = copy.length - 1;
  copy[last] = (copy[last] ?? 0) ^ 1;
  return copy;
}

test('blobs and folders belong to this user alone', async () => {
  const body = bytesOf(1000);
  const npm = await site((response) => response.end(body));
  const cache = await openCache({ folder: join(newFolder(), 'cache') });
  await drain(await take(cache, npm.request('a.tgz', npmPromise(body))));
  for (const path of [cache.folder, join(cache.folder, 'blobs'), ...blobsOf(cache)]) {
    assert.ok(existsSync(path));
    assert.equal(statSync(path).mode & 0o077, 0, path);
  }
});
