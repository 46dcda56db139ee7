// The caches as the processes of one spoke share them: one keeper, two users, real files and the real channel protocol, with
// the processes' channels played by event emitters.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type ArtifactCache, type ArtifactRequest, openArtifactCache } from '@weir/spoke/io/artifact-cache.ts';
import { cacheFolders, distantKeepers, openCacheKeeper, type CacheKeeper } from '@weir/spoke/io/cache-keeper.ts';
import { type MetadataCache, openMetadataCache } from '@weir/spoke/io/metadata-cache.ts';
import { createPeer, type PeerChannel } from '@weir/spoke/io/peer.ts';
import { createUpstream, type Upstream } from '@weir/spoke/io/upstream.ts';
import { until } from '../federation/local-federation.ts';
import { type Loopback, recordLogs, recordMetrics, serveHttp } from './loopback.ts';

const KIB = 1024;
const FILE_BYTES = 100 * KIB;
/** No process of this machine, so that its unfinished files can be told apart. */
const OTHER_PID = 999_999_999;

function end(own: EventEmitter, other: EventEmitter): PeerChannel {
  return {
    send(message, done) {
      setImmediate(() => other.emit('message', structuredClone(message)));
      done(null);
    },
    on: own.on.bind(own),
  };
}

/** Both ends of a channel between two processes. */
function channel(): readonly [PeerChannel, PeerChannel] {
  const ends = [new EventEmitter(), new EventEmitter()] as const;
  return [end(...ends), end(ends[1], ends[0])];
}

interface Process {
  readonly artifacts: ArtifactCache;
  readonly documents: MetadataCache<{ readonly rev: number }>;
}

interface Ground {
  readonly home: string;
  readonly keeper: CacheKeeper;
  readonly site: Loopback;
  readonly users: readonly [Process, Process];
  readonly asked: (path: string) => number;
  readonly artifact: (i: number) => ArtifactRequest;
  /** Sizes of the stored artifacts. */
  readonly stored: () => readonly number[];
}

async function ground(t: TestContext, cacheBytes: number): Promise<Ground> {
  const home = mkdtempSync(join(tmpdir(), 'weir-shared-cache-'));
  const asked = new Map<string, number>();
  const site = await serveHttp((request, response) => {
    const path = request.url ?? '';
    asked.set(path, (asked.get(path) ?? 0) + 1);
    if (path.endsWith('.tgz')) response.end(bytesOf(Number(/(\d+)/.exec(path)?.[1])));
    else response.writeHead(200, { 'content-type': 'application/json' }).end('{"rev":1}');
  });
  const upstream = createUpstream({ registries: { npm: { baseUrl: site.url } }, metrics: recordMetrics() });
  const keeper = await openCacheKeeper({ home, cacheBytes, logger: recordLogs(), metrics: recordMetrics() });
  const users = [await open('w0'), await open('w1')] as const;
  t.after(async () => {
    for (const { artifacts, documents } of users) {
      await artifacts.close();
      await documents.close();
    }
    await keeper.close();
    await upstream.close();
    await site.close();
    rmSync(home, { recursive: true, force: true });
  });

  async function open(name: string): Promise<Process> {
    const [here, there] = channel();
    const keepers = distantKeepers();
    keepers.over(createPeer(there, keepers.answers));
    keeper.attach(name, name === 'w0' ? process.pid : OTHER_PID, createPeer(here, keeper.answers(name)));
    const folders = cacheFolders(home);
    const [logger, metrics] = [recordLogs(), recordMetrics()];
    return {
      artifacts: await openArtifactCache({ folder: folders.artifacts, keeper: keepers.blobs, logger, metrics }),
      documents: await openMetadataCache({
        upstream,
        folder: folders.documents,
        keeper: keepers.documents,
        clock: { nowMs: () => Date.now(), monotonicMs: () => performance.now(), sleep: () => Promise.resolve() },
        logger,
        metrics,
      }),
    };
  }

  return {
    home,
    keeper,
    site,
    users,
    asked: (path) => asked.get(path) ?? 0,
    artifact: (i) => requestOf(upstream, site, i),
    stored: () =>
      readdirSync(join(home, 'cache', 'artifacts', 'blobs'), { recursive: true, encoding: 'utf8' })
        .map((path) => statSync(join(home, 'cache', 'artifacts', 'blobs', path)))
        .flatMap((found) => (found.isFile() ? [found.size] : [])),
  };
}

function bytesOf(i: number): Buffer {
  return Buffer.alloc(FILE_BYTES, `artifact ${i} `);
}

function requestOf(upstream: Upstream, site: Loopback, i: number): ArtifactRequest {
  const file = `a-${i}.tgz`;
  return {
    registry: 'npm',
    name: { ecosystem: 'npm', namespace: '', name: 'a' },
    file,
    digests: { sha512: createHash('sha512').update(bytesOf(i)).digest('hex') },
    size: FILE_BYTES,
    open: (signal) => upstream.openArtifact('npm', { url: file, documentUrl: site.url }, { signal }),
  };
}

/** Reads the artifact whole. @returns whether it was stored already */
async function take(cache: ArtifactCache, request: ArtifactRequest, expected: Buffer): Promise<boolean> {
  const artifact = await cache.getOrFill(request);
  assert.ok(artifact !== undefined);
  const target = Buffer.alloc(FILE_BYTES);
  let done = 0;
  while (done < FILE_BYTES) done += await artifact.read(target.subarray(done), done);
  assert.ok(target.equals(expected));
  artifact.release();
  await artifact.settled;
  return artifact.state === 'stored';
}

test('what one process fetched the other reads, after it has looked at the bytes itself', async (t) => {
  const { users, artifact, asked } = await ground(t, 1 << 20);
  assert.equal(await take(users[0].artifacts, artifact(1), bytesOf(1)), false);
  await until(() => users[1].artifacts.has(artifact(1)), 'the other one has heard');
  assert.equal(await take(users[1].artifacts, artifact(1), bytesOf(1)), true);
  assert.equal(asked('/a-1.tgz'), 1);
});

test('the limit holds for both together, and what was evicted is fetched again', async (t) => {
  const { users, artifact, asked, stored } = await ground(t, 5 * FILE_BYTES);
  for (let i = 0; i < 12; i += 1) {
    const user = users[i % 2];
    assert.ok(user !== undefined);
    await take(user.artifacts, artifact(i), bytesOf(i));
  }
  await until(() => stored().length <= 5, 'what is too much is removed');
  assert.ok(stored().reduce((sum, size) => sum + size, 0) <= 5 * FILE_BYTES);
  await until(() => users.every(({ artifacts }) => artifacts.entries === stored().length), 'all agree');
  assert.equal(await take(users[1].artifacts, artifact(0), bytesOf(0)), false);
  assert.equal(asked('/a-0.tgz'), 2);
});

test('what is read is not what is evicted', async (t) => {
  const { users, artifact, asked } = await ground(t, 4 * FILE_BYTES);
  await take(users[0].artifacts, artifact(0), bytesOf(0));
  for (let i = 1; i < 4; i += 1) await take(users[0].artifacts, artifact(i), bytesOf(i));
  await until(() => users[1].artifacts.has(artifact(3)), 'the other one has heard');
  await take(users[1].artifacts, artifact(0), bytesOf(0));
  await users[1].artifacts.close();
  // The keeper hears of it in the order of the channel, before the room is asked for.
  await take(users[0].artifacts, artifact(4), bytesOf(4));
  assert.ok(users[0].artifacts.has(artifact(0)));
  await until(() => !users[0].artifacts.has(artifact(1)), 'the one that nobody read goes');
  assert.equal(asked('/a-0.tgz'), 1);
});

test('a file that vanished, or is not what it was, costs a download', async (t) => {
  const { home, users, artifact, asked, stored } = await ground(t, 1 << 20);
  await take(users[0].artifacts, artifact(1), bytesOf(1));
  await until(() => users[1].artifacts.has(artifact(1)), 'the other one has heard');
  const root = join(home, 'cache', 'artifacts', 'blobs');
  const [path = ''] = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((each) =>
    /[0-9a-f]{64}$/.test(each),
  );
  writeFileSync(join(root, path), Buffer.alloc(FILE_BYTES, 'something else '));
  assert.equal(await take(users[1].artifacts, artifact(1), bytesOf(1)), false);
  assert.equal(asked('/a-1.tgz'), 2);
  rmSync(join(root, path), { force: true });
  await take(users[1].artifacts, artifact(2), bytesOf(2));
  assert.ok(stored().length <= 2);
});

test('a process that ends gives back what it had set aside, and its unfinished files go', async (t) => {
  const { home, keeper, users, artifact } = await ground(t, 3 * FILE_BYTES);
  const unfinished = join(home, 'cache', 'artifacts', 'tmp', `${OTHER_PID}-1`);
  writeFileSync(unfinished, 'half a file');
  const held = keeper.answers('w1')['blobReserve'];
  assert.ok(held !== undefined);
  held((3 * FILE_BYTES) as never);
  await assert.rejects(async () => take(users[0].artifacts, artifact(1), bytesOf(1)), { code: 'resource_exhausted' });
  keeper.detach('w1');
  await until(() => !readdirSync(join(home, 'cache', 'artifacts', 'tmp')).includes(`${OTHER_PID}-1`), 'it is removed');
  assert.equal(await take(users[0].artifacts, artifact(1), bytesOf(1)), false);
});

test('an index document that one process asked for is not asked for by the other', async (t) => {
  const { users, asked, home } = await ground(t, 1 << 20);
  const query = {
    registry: 'npm',
    request: { path: 'pkg', accept: 'application/json' },
    read: ({ bytes }: { bytes: Uint8Array }) => JSON.parse(Buffer.from(bytes).toString()) as { rev: number },
  };
  await users[0].documents.get(query);
  await until(() => users[1].documents.diskBytes > 0, 'the other one has heard');
  const found = await users[1].documents.get(query);
  assert.ok(found.kind === 'found' && found.value.rev === 1);
  assert.equal(asked('/pkg'), 1);
  const folder = join(home, 'cache', 'metadata');
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
  assert.equal((await users[1].documents.get(query)).kind, 'found');
});
