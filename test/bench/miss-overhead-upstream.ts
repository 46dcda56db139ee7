// The upstream of the miss-overhead benchmark, in a process of its own: an npm registry whose tarballs are one random block
// with the version's number in front, so that each has its own digest and none takes memory.

import { createHash, randomBytes } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { LARGE_BYTES, PACED_BYTES, PACED_MS, SIZES, type UpstreamPlan } from './miss-overhead-plan.ts';

const plan = JSON.parse(process.argv[2] ?? '{}') as UpstreamPlan;
const BLOCK = randomBytes(1 << 20);
const packages = new Map<string, { readonly bytes: number; readonly versions: number }>([
  ...SIZES.map(({ name, bytes }) => [name, { bytes, versions: plan.files }] as const),
  ['bench-large', { bytes: LARGE_BYTES, versions: plan.large }],
  ['bench-paced', { bytes: PACED_BYTES, versions: 1 }],
]);

/** The parts of one tarball, in order. */
function* partsOf(version: number, bytes: number): Generator<Buffer> {
  const front = Buffer.alloc(16);
  front.writeUInt32BE(version);
  yield front;
  for (let left = bytes - front.length; left > 0; left -= BLOCK.length)
    yield BLOCK.subarray(0, Math.min(left, BLOCK.length));
}

function documentOf(name: string, bytes: number, versions: number, origin: string): Buffer {
  const entries = Array.from({ length: versions }, (_, version) => {
    const sha512 = createHash('sha512');
    const sha1 = createHash('sha1');
    for (const part of partsOf(version, bytes)) {
      sha512.update(part);
      sha1.update(part);
    }
    const tarball = `${origin}/${name}/-/${name}-1.0.${version}.tgz`;
    const dist = { tarball, integrity: `sha512-${sha512.digest('base64')}`, shasum: sha1.digest('hex') };
    return [`1.0.${version}`, { name, version: `1.0.${version}`, license: 'MIT', dist }] as const;
  });
  const published = '2020-01-01T00:00:00.000Z';
  const time = { created: published, modified: published, ...Object.fromEntries(entries.map(([v]) => [v, published])) };
  const latest = `1.0.${versions - 1}`;
  return Buffer.from(
    JSON.stringify({ _id: name, name, 'dist-tags': { latest }, versions: Object.fromEntries(entries), time }),
  );
}

async function sendTarball(response: ServerResponse, name: string, version: number, bytes: number): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes });
  const pieces = bytes / BLOCK.length;
  for (const part of partsOf(version, bytes)) {
    if (name === 'bench-paced') await new Promise((resolve) => setTimeout(resolve, PACED_MS / pieces));
    if (!response.write(part)) await new Promise((resolve) => response.once('drain', resolve));
  }
  response.end();
}

const documents = new Map<string, Buffer>();
const server = createServer((request, response) => {
  const [, name = '', , file = ''] = (request.url ?? '').split('/');
  const known = packages.get(name);
  if (known === undefined) {
    response.writeHead(404).end('{}');
    return;
  }
  const version = /-1\.0\.(\d+)\.tgz$/.exec(file)?.[1];
  if (version !== undefined) {
    void sendTarball(response, name, Number(version), known.bytes);
    return;
  }
  response.writeHead(200, { 'content-type': 'application/json' }).end(documents.get(name));
});

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  for (const [name, { bytes, versions }] of packages) {
    documents.set(name, documentOf(name, bytes, versions, `http://127.0.0.1:${port}`));
  }
  process.send?.(port);
});
process.on('disconnect', () => process.exit(0));
