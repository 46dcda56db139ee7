// The local registries are real enough: real clients install from them, and each trouble is the trouble it claims to be.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type IncomingMessage, get } from 'node:http';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { clientWorkspace, ensurePip, run } from './clients.ts';
import { startNpmIndex } from './npm-index.ts';
import { startPypiIndex } from './pypi-index.ts';
import { SAMPLES, sampleNpmPackages, samplePythonReleases } from './sample-packages.ts';
import type { Trouble } from './trouble.ts';
import { startVerdaccio } from './verdaccio.ts';

const NOW = new Date('2026-01-02T03:04:05.000Z');

interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
  readonly failed: boolean;
}

/** Without the comforts of fetch: nothing is followed, unpacked or hidden. */
function ask(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const request = get(url, { headers: { connection: 'close', ...headers } }, (response) => {
      const done = (failed: boolean): void =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks), failed });
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => done(true));
      response.on('end', () => done(!response.complete));
    });
    request.on('error', () => resolve({ status: 0, headers: {}, body: Buffer.alloc(0), failed: true }));
  });
}

test('Verdaccio serves the samples with their own publish times, and takes more', async () => {
  await using registry = await startVerdaccio({ packages: sampleNpmPackages(NOW) });
  const late = { name: '@weir-sample/late', publishedAt: '2020-01-01T00:00:00.000Z', license: 'MIT' };
  await registry.publishNpm({ ...late, version: '1.0.0' });
  await registry.publishNpm({ ...late, version: '1.1.0', publishedAt: '2021-01-01T00:00:00.000Z' });

  const packument = async (name: string): Promise<{ time: Record<string, string> }> =>
    (await (await fetch(`${registry.origin}/${name}`)).json()) as { time: Record<string, string> };
  assert.deepEqual((await packument(SAMPLES.fresh)).time['1.2.0'], NOW.toISOString());
  assert.deepEqual((await packument('@weir-sample%2flate')).time, {
    created: '2020-01-01T00:00:00.000Z',
    '1.0.0': '2020-01-01T00:00:00.000Z',
    '1.1.0': '2021-01-01T00:00:00.000Z',
    modified: '2021-01-01T00:00:00.000Z',
  });

  await using client = await clientWorkspace();
  const names = [SAMPLES.app, SAMPLES.scoped, SAMPLES.withdrawn, '@weir-sample/late'];
  const npm = await run('npm', ['install', '--registry', `${registry.origin}/`, ...names], {
    env: client.env,
    cwd: client.folder,
  });
  assert.equal(npm.code, 0, npm.output);
  const installed = JSON.parse(
    await readFile(join(client.folder, 'node_modules', SAMPLES.plain, 'package.json'), 'utf8'),
  ) as { version: string };
  assert.equal(installed.version, '1.1.0');
});

test('closing Verdaccio ends its process', async () => {
  const registry = await startVerdaccio();
  await registry.close();
  await registry.close();
  assert.throws(() => process.kill(registry.pid, 0));
});

test('pip installs wheels and builds source archives from the local index, in both forms of the page', async (t) => {
  const pip = await ensurePip();
  if (!pip.found) return t.skip(pip.why);
  for (const htmlOnly of [false, true]) {
    await using index = await startPypiIndex({ releases: samplePythonReleases(NOW), htmlOnly, separateFiles: true });
    await using client = await clientWorkspace();
    const target = join(client.folder, 'site');
    const args = [
      '-m',
      'pip',
      'install',
      '--target',
      target,
      '--index-url',
      index.indexUrl,
      '--trusted-host',
      '127.0.0.1',
    ];
    const ran = await run(pip.program, [...args, SAMPLES.app, SAMPLES.scripted], { env: client.env });
    assert.equal(ran.code, 0, ran.output);
    assert.match(await readFile(join(target, 'weir_sample_plain', '__init__.py'), 'utf8'), /1\.1\.0/);
    assert.ok(index.fileRequests.length > 0);
    assert.ok(index.requests.every((request) => request.url.startsWith('/simple/')));
  }
});

test('the npm index answers both forms, validators and compression', async () => {
  await using index = await startNpmIndex({ compress: true, packages: sampleNpmPackages(NOW) });
  const url = `${index.origin}/${SAMPLES.scoped.replace('/', '%2f')}`;
  const full = await ask(url);
  const short = await ask(url, { accept: 'application/vnd.npm.install-v1+json' });
  assert.ok('time' in (JSON.parse(full.body.toString()) as object));
  assert.ok(!('time' in (JSON.parse(short.body.toString()) as object)));
  assert.notEqual(full.headers.etag, short.headers.etag);
  assert.equal((await ask(url, { 'if-none-match': full.headers.etag ?? '' })).status, 304);
  assert.equal((await ask(url, { 'accept-encoding': 'br' })).headers['content-encoding'], 'br');
  assert.equal((await ask(url, { 'accept-encoding': 'gzip' })).headers['content-encoding'], 'gzip');
});

test('a package with 3,000 versions has as many tarballs with the promised digests', async () => {
  await using index = await startNpmIndex();
  await index.publishMany('weir-sample-many', 3000);
  const packument = JSON.parse((await ask(`${index.origin}/weir-sample-many`)).body.toString()) as {
    versions: Record<string, { dist: { tarball: string; shasum: string } }>;
    time: Record<string, string>;
  };
  assert.equal(Object.keys(packument.versions).length, 3000);
  assert.equal(Object.keys(packument.time).length, 3002);
  const { dist } = packument.versions['1.0.2999'] ?? assert.fail('the last version is missing');
  const tarball = await ask(dist.tarball);
  assert.equal(createHash('sha1').update(tarball.body).digest('hex'), dist.shasum);
});

const troubles: readonly { readonly trouble: Trouble; readonly holds: (reply: Reply, whole: Buffer) => boolean }[] = [
  { trouble: { kind: 'reset' }, holds: (reply) => reply.failed && reply.status === 0 },
  { trouble: { kind: 'status', status: 503 }, holds: (reply) => reply.status === 503 },
  {
    trouble: { kind: 'slow', pauseMs: 1, pieceBytes: 200 },
    holds: (reply, whole) => !reply.failed && reply.body.equals(whole),
  },
  {
    trouble: { kind: 'truncated', bytes: 50 },
    holds: (reply, whole) => reply.failed && Number(reply.headers['content-length']) === whole.length,
  },
  { trouble: { kind: 'lying-length', by: 10 }, holds: (reply) => reply.failed },
  {
    trouble: { kind: 'lying-length', by: -10 },
    holds: (reply, whole) => reply.failed || reply.body.equals(whole.subarray(0, -10)),
  },
  {
    trouble: { kind: 'wrong-bytes' },
    holds: (reply, whole) => reply.body.length === whole.length && !reply.body.equals(whole),
  },
  {
    trouble: { kind: 'redirect', location: 'http://10.0.0.1/' },
    holds: (reply) => reply.status === 302 && reply.headers.location === 'http://10.0.0.1/',
  },
  {
    trouble: { kind: 'gzip-bomb', bytes: 4 << 20 },
    holds: (reply) => reply.headers['content-encoding'] === 'gzip' && reply.body.length < 65_536,
  },
  { trouble: { kind: 'endless', bytes: 1 << 20 }, holds: (reply) => reply.body.length === 1 << 20 },
  { trouble: { kind: 'instead', body: '{' }, holds: (reply) => reply.body.toString() === '{' },
];

for (const { trouble, holds } of troubles) {
  test(`an upstream in trouble: ${JSON.stringify(trouble)}`, async () => {
    await using index = await startPypiIndex({ releases: samplePythonReleases(NOW) });
    const [file] = index.files(SAMPLES.plain);
    assert.ok(file !== undefined);
    const path = index.filePath(SAMPLES.plain, file.file);
    index.trouble.set(path, trouble);
    assert.ok(holds(await ask(`${index.origin}${path}`), file.bytes));
    index.trouble.clear();
    assert.deepEqual((await ask(`${index.origin}${path}`)).body, file.bytes);
  });
}
