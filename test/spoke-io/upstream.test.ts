// The upstream client against servers that misbehave in every way the product promises to survive.

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import {
  createUpstream,
  type MetadataResponse,
  type Upstream,
  type UpstreamOptions,
  type UpstreamRegistry,
} from '@weir/spoke/io/upstream.ts';
import { type Loopback, recordMetrics, serveBytes, serveHttp } from './loopback.ts';

const ACCEPT = 'application/json';
const open: { close(): Promise<void> }[] = [];

after(async () => {
  await Promise.all(open.map((one) => one.close()));
});

async function http(listener: Parameters<typeof serveHttp>[0]): Promise<Loopback> {
  const server = await serveHttp(listener);
  open.push(server);
  return server;
}

async function bytes(answer: Parameters<typeof serveBytes>[0]): Promise<Loopback> {
  const server = await serveBytes(answer);
  open.push(server);
  return server;
}

function upstreamTo(npm: UpstreamRegistry, options: Partial<UpstreamOptions> = {}): Upstream {
  const upstream = createUpstream({ registries: { npm }, metrics: recordMetrics(), ...options });
  open.push(upstream);
  return upstream;
}

async function faultOf(promise: Promise<unknown>): Promise<{ code: string; fault: unknown; error: WeirError }> {
  const error = await promise.then(
    () => assert.fail('it should have failed'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof WeirError, `not a WeirError: ${String(error)}`);
  const shown = JSON.stringify([error.message, error.next, error.detail]);
  assert.ok(!/127\.0\.0\.1|localhost|\.test/.test(shown), `names the upstream: ${shown}`);
  return { code: error.code, fault: error.detail['fault'], error };
}

async function drain(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function artifactOf(upstream: Upstream, url: string, documentUrl: string): Promise<Buffer> {
  const response = await upstream.openArtifact('npm', { url, documentUrl });
  assert.equal(response.kind, 'ok');
  return drain(response.body);
}

function textOf(response: MetadataResponse): string {
  assert.equal(response.kind, 'ok');
  return Buffer.from(response.document.bytes).toString();
}

for (const [encoding, encode] of [
  ['', (body: Buffer) => body],
  ['gzip', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
  ['zstd', zstdCompressSync],
] as const) {
  test(`an index document arrives decompressed from ${encoding === '' ? 'plain' : encoding}`, async () => {
    const body = Buffer.from(JSON.stringify({ name: 'leftover', text: 'x'.repeat(100_000) }));
    const server = await http((request, response) => {
      assert.equal(request.headers.accept, ACCEPT);
      response.setHeader('content-type', 'application/json');
      response.setHeader('etag', '"1"');
      if (encoding !== '') response.setHeader('content-encoding', encoding);
      response.end(encode(body));
    });
    const got = await upstreamTo({ baseUrl: server.url }).fetchMetadata('npm', { path: 'leftover', accept: ACCEPT });
    assert.equal(textOf(got), body.toString());
    assert.deepEqual(got.kind === 'ok' && [got.document.contentType, got.document.baseUrl, got.validator], [
      'application/json',
      `${server.url}leftover`,
      { etag: '"1"', lastModified: '' },
    ]);
  });
}

test('a conditional request brings not_modified, and an absent package not_found', async () => {
  const server = await http((request, response) => {
    if (request.url === '/gone') response.writeHead(404).end('{}');
    else if (request.headers['if-none-match'] === '"1"') response.writeHead(304).end();
    else response.end('{}');
  });
  const upstream = upstreamTo({ baseUrl: server.url });
  const validator = { etag: '"1"', lastModified: 'Wed, 21 Oct 2015 07:28:00 GMT' };
  assert.deepEqual(await upstream.fetchMetadata('npm', { path: 'a', accept: ACCEPT }, { validator }), {
    kind: 'not_modified',
  });
  assert.deepEqual(await upstream.fetchMetadata('npm', { path: 'gone', accept: ACCEPT }), { kind: 'not_found' });
});

test('a path stays below the configured base', async () => {
  const server = await http((_request, response) => response.end('{}'));
  const upstream = upstreamTo({ baseUrl: `${server.url}api/npm` });
  await upstream.fetchMetadata('npm', { path: '@scope%2fname', accept: ACCEPT });
  assert.deepEqual(server.seen, ['GET /api/npm/@scope%2fname']);
  const fault = await faultOf(upstream.fetchMetadata('npm', { path: '../admin', accept: ACCEPT }));
  assert.deepEqual([fault.code, fault.fault], ['upstream_failed', 'outside_base']);
});

test('a compression bomb is stopped at the bound, and the shared byte budget is given back', async () => {
  const bomb = gzipSync(Buffer.alloc(64 << 20));
  const server = await http((_request, response) => {
    response.setHeader('content-encoding', 'gzip');
    response.end(bomb);
  });
  const limits = { metadataDecodedBytes: 8 << 20, metadataBytesInFlight: 9 << 20 };
  const upstream = upstreamTo({ baseUrl: server.url }, { limits });
  for (let round = 0; round < 3; round += 1) {
    const before = process.memoryUsage().arrayBuffers;
    const fault = await faultOf(upstream.fetchMetadata('npm', { path: 'bomb', accept: ACCEPT }));
    assert.deepEqual([fault.code, fault.fault], ['too_large', 'metadata_too_large']);
    assert.ok(process.memoryUsage().arrayBuffers - before < 16 << 20, 'memory stayed near the bound');
  }
});

test('documents read at once share one byte budget', async () => {
  const server = await http((_request, response) => response.end(Buffer.alloc(3 << 20)));
  const upstream = upstreamTo({ baseUrl: server.url }, { limits: { metadataBytesInFlight: 4 << 20 } });
  const ask = (): Promise<unknown> => upstream.fetchMetadata('npm', { path: 'big', accept: ACCEPT });
  const results = await Promise.allSettled([ask(), ask(), ask()]);
  const refused = results.filter((result) => result.status === 'rejected');
  assert.ok(refused.length > 0);
  for (const { reason } of refused) assert.equal((reason as WeirError).code, 'resource_exhausted');
  await ask();
});

test('a 100 MB document is refused by its announced length, and by its bytes when it announces none', async () => {
  const megabyte = Buffer.alloc(1 << 20, 0x20);
  let sent = 0;
  const server = await http((request, response) => {
    if (request.url === '/announced') response.setHeader('content-length', 100 << 20);
    const push = (): void => {
      while (sent < 100 && !response.destroyed) {
        sent += 1;
        if (!response.write(megabyte)) {
          response.once('drain', push);
          return;
        }
      }
      response.end();
    };
    push();
  });
  const upstream = upstreamTo({ baseUrl: server.url });
  for (const path of ['announced', 'silent']) {
    sent = 0;
    const fault = await faultOf(upstream.fetchMetadata('npm', { path, accept: ACCEPT }));
    assert.deepEqual([path, fault.code], [path, 'too_large']);
    assert.ok(sent < 100, 'the rest was not read');
  }
});

const BROKEN_BODIES: readonly (readonly [string, string, (socket: Socket) => void, string, string])[] = [
  [
    'a body shorter than announced',
    '/short',
    (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this'),
    'upstream_failed',
    'truncated',
  ],
  [
    'a chunked body that ends early',
    '/chunked',
    (socket) => socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n'),
    'upstream_failed',
    'truncated',
  ],
  [
    'a reset in the middle of the body',
    '/reset',
    (socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this');
      setImmediate(() => socket.resetAndDestroy());
    },
    'upstream_failed',
    'truncated',
  ],
  [
    'two lengths',
    '/lengths',
    (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!'),
    'upstream_failed',
    'length',
  ],
  ['no HTTP at all', '/noise', (socket) => socket.end('SSH-2.0-OpenSSH_9.2p1\r\n'), 'upstream_failed', 'protocol'],
  [
    'an endless header',
    '/header',
    (socket) => socket.end(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`),
    'upstream_failed',
    'protocol',
  ],
  [
    'gzip that is cut off',
    '/cut',
    (socket) => {
      const whole = gzipSync(Buffer.from('{"a":1}'.repeat(1000)));
      const cut = whole.subarray(0, whole.length - 20);
      socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${cut.length}\r\n\r\n`);
      socket.end(cut);
    },
    'upstream_failed',
    'encoding',
  ],
  [
    'text that claims to be gzip',
    '/claim',
    (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello'),
    'upstream_failed',
    'encoding',
  ],
  [
    'an unknown encoding',
    '/unknown',
    (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-encoding: gzip, gzip\r\ncontent-length: 5\r\n\r\nhello'),
    'upstream_failed',
    'encoding',
  ],
];

for (const [name, path, answer, code, expected] of BROKEN_BODIES) {
  test(`${name} is ${code} (${expected})`, async () => {
    const server = await bytes((socket) => answer(socket));
    const fault = await faultOf(
      upstreamTo({ baseUrl: server.url }).fetchMetadata('npm', { path: path.slice(1), accept: ACCEPT }),
    );
    assert.deepEqual([fault.code, fault.fault], [code, expected]);
  });
}

test('an upstream that is down, silent, stalls, or drips is named as such', async () => {
  const gone = await serveHttp(() => undefined);
  await gone.close();
  const down = await faultOf(upstreamTo({ baseUrl: gone.url }).fetchMetadata('npm', { path: 'a', accept: ACCEPT }));
  assert.deepEqual([down.code, down.fault, down.error.retry], ['upstream_failed', 'unreachable', 'later']);

  const silent = await http(() => undefined);
  const limits = { headersMs: 100, bodyIdleMs: 100, metadataMs: 700 };
  const noHeader = await faultOf(
    upstreamTo({ baseUrl: silent.url }, { limits }).fetchMetadata('npm', { path: 'a', accept: ACCEPT }),
  );
  assert.equal(noHeader.code, 'timeout');

  const stalling = await http((_request, response) => response.write('{'));
  const stalled = await faultOf(
    upstreamTo({ baseUrl: stalling.url }, { limits }).fetchMetadata('npm', { path: 'a', accept: ACCEPT }),
  );
  assert.equal(stalled.code, 'timeout');

  const dripping = await http((_request, response) => {
    const timer = setInterval(() => response.write(' '), 20);
    response.on('close', () => clearInterval(timer));
  });
  const dripped = await faultOf(
    upstreamTo({ baseUrl: dripping.url }, { limits }).fetchMetadata('npm', { path: 'a', accept: ACCEPT }),
  );
  assert.equal(dripped.code, 'timeout', 'steady progress does not outrun the deadline');
});

test('a caller that goes away is cancelled, not blamed on upstream', async () => {
  const server = await http(() => undefined);
  const leaving = new AbortController();
  const asked = upstreamTo({ baseUrl: server.url }).fetchMetadata(
    'npm',
    { path: 'a', accept: ACCEPT },
    { signal: leaving.signal },
  );
  setTimeout(() => leaving.abort(), 50);
  assert.equal((await faultOf(asked)).code, 'cancelled');
});

for (const [status, fault, retry] of [
  [401, 'upstream_credentials', 'never'],
  [403, 'upstream_credentials', 'never'],
  [400, 'upstream_status', 'never'],
  [429, 'upstream_status', 'later'],
  [500, 'upstream_status', 'later'],
  [206, 'upstream_status', 'never'],
] as const) {
  test(`upstream status ${status} is upstream_failed (${fault}), retry ${retry}`, async () => {
    const server = await http((_request, response) =>
      response.writeHead(status).end('<html>proxy.example.test</html>'),
    );
    const upstream = upstreamTo({ baseUrl: server.url });
    const failure = await faultOf(upstream.fetchMetadata('npm', { path: 'a', accept: ACCEPT }));
    assert.deepEqual([failure.code, failure.fault, failure.error.retry], ['upstream_failed', fault, retry]);
    const artifact = await faultOf(upstream.openArtifact('npm', { url: 'a.tgz', documentUrl: server.url }));
    assert.deepEqual([artifact.code, artifact.fault], ['upstream_failed', fault]);
  });
}

test('a request on a kept connection that upstream just closed is asked once more', async () => {
  let answered = 0;
  const server = await bytes((socket) => {
    answered += 1;
    if (answered === 2) socket.destroy();
    else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}');
  });
  const upstream = upstreamTo({ baseUrl: server.url });
  assert.equal(textOf(await upstream.fetchMetadata('npm', { path: 'a', accept: ACCEPT })), '{}');
  assert.equal(textOf(await upstream.fetchMetadata('npm', { path: 'b', accept: ACCEPT })), '{}');
  assert.deepEqual(server.seen, ['GET /a', 'GET /b', 'GET /b']);
});

test('credentials go to the configured origin and to nobody else', async () => {
  const seen: (string | undefined)[] = [];
  const files = await http((request, response) => {
    seen.push(request.headers.authorization);
    response.end('file');
  });
  const base = await http((request, response) => {
    seen.push(request.headers.authorization);
    if (request.url === '/moved.tgz') response.writeHead(302, { location: `${files.url}moved.tgz` }).end();
    else response.end('{}');
  });
  const upstream = upstreamTo({
    baseUrl: base.url,
    headers: { authorization: 'Bearer secret' },
    allowedHosts: [`127.0.0.1:${files.port}`],
  });
  await upstream.fetchMetadata('npm', { path: 'a', accept: ACCEPT });
  await artifactOf(upstream, 'moved.tgz', base.url);
  await artifactOf(upstream, `${files.url}direct.tgz`, base.url);
  assert.deepEqual(seen, ['Bearer secret', 'Bearer secret', undefined, undefined]);
});

test('redirects are followed on the configured origin, up to the limit', async () => {
  const server = await http((request, response) => {
    const left = Number(request.url?.slice(1));
    if (left === 0) response.end('there');
    else response.writeHead(302, { location: `/${left - 1}` }).end();
  });
  const upstream = upstreamTo({ baseUrl: server.url });
  assert.equal((await artifactOf(upstream, '5', server.url)).toString(), 'there');
  const fault = await faultOf(upstream.openArtifact('npm', { url: '6', documentUrl: server.url }));
  assert.deepEqual([fault.code, fault.fault], ['upstream_failed', 'redirects']);
  const loops = await http((_request, response) => response.writeHead(301, { location: '/again' }).end());
  const looping = await faultOf(upstreamTo({ baseUrl: loops.url }).fetchMetadata('npm', { path: 'a', accept: ACCEPT }));
  assert.equal(looping.fault, 'redirects');
});

const REFUSED_REDIRECTS: readonly (readonly [string, string])[] = [
  ['http://169.254.169.254/latest/meta-data/', 'host_not_allowed'],
  ['http://[::ffff:169.254.169.254]/', 'host_not_allowed'],
  ['http://10.0.0.1/', 'host_not_allowed'],
  ['http://files.example.test/', 'host_not_allowed'],
  ['http://127.0.0.1:1/', 'host_not_allowed'],
  ['http://2130706433:1/', 'host_not_allowed'],
  ['//elsewhere.example.test/x', 'host_not_allowed'],
  ['ftp://127.0.0.1/', 'scheme'],
  ['file:///etc/passwd', 'scheme'],
  ['http://', 'bad_url'],
];

for (const [location, expected] of REFUSED_REDIRECTS) {
  test(`a redirect to ${location} is refused (${expected})`, async () => {
    const server = await http((_request, response) => response.writeHead(302, { location }).end());
    const upstream = upstreamTo({ baseUrl: server.url });
    for (const asked of [
      upstream.fetchMetadata('npm', { path: 'a', accept: ACCEPT }),
      upstream.openArtifact('npm', { url: 'a.tgz', documentUrl: `${server.url}a` }),
    ]) {
      const fault = await faultOf(asked);
      assert.deepEqual([fault.code, fault.fault], ['upstream_failed', expected]);
    }
  });
}

test('an address that the index names is guarded: public, or of the kind of the configured base', async () => {
  const files = await http((_request, response) => response.end('file'));
  const base = await http((_request, response) => response.end('{}'));
  // The base is on loopback, so a file beside it is taken; every other inner address is not.
  const upstream = upstreamTo({ baseUrl: base.url }, { limits: { connectMs: 500 } });
  assert.equal((await artifactOf(upstream, `${files.url}a.tgz`, base.url)).toString(), 'file');
  assert.equal((await artifactOf(upstream, `http://localhost:${files.port}/a.tgz`, base.url)).toString(), 'file');
  for (const url of [
    'http://10.0.0.1/a.tgz',
    'http://192.168.1.1/a.tgz',
    'http://169.254.169.254/a.tgz',
    'http://[fe80::1]/a.tgz',
    'http://[::ffff:10.0.0.1]/a.tgz',
    'http://0.0.0.0:80/a.tgz',
    'http://0x0a000001/a.tgz',
  ]) {
    const fault = await faultOf(upstream.openArtifact('npm', { url, documentUrl: base.url }));
    assert.deepEqual([url, fault.code, fault.fault], [url, 'upstream_failed', 'address_refused']);
  }
});

test('a name that resolves to an inner address is refused at the connection when the base is public', async () => {
  const files = await http((_request, response) => response.end('file'));
  // 192.0.2.1 stands for a public base: nothing connects to it here.
  const upstream = upstreamTo({ baseUrl: 'http://192.0.2.1/' });
  for (const host of ['localhost', '127.0.0.1']) {
    const fault = await faultOf(
      upstream.openArtifact('npm', { url: `http://${host}:${files.port}/a.tgz`, documentUrl: 'http://192.0.2.1/a' }),
    );
    assert.deepEqual([host, fault.fault], [host, 'address_refused']);
  }
  assert.deepEqual(files.seen, []);
});

test('a host that the operator listed is taken at any address', async () => {
  const files = await http((_request, response) => response.end('file'));
  const upstream = upstreamTo({ baseUrl: 'http://192.0.2.1/', allowedHosts: [`localhost:${files.port}`] });
  const got = await artifactOf(upstream, `http://localhost:${files.port}/a.tgz`, 'http://192.0.2.1/a');
  assert.equal(got.toString(), 'file');
});

test('from an https base nothing leads down to http', async () => {
  const upstream = upstreamTo({ baseUrl: 'https://192.0.2.1/' });
  const fault = await faultOf(
    upstream.openArtifact('npm', { url: 'http://files.example.test/a.tgz', documentUrl: 'https://192.0.2.1/a' }),
  );
  assert.equal(fault.fault, 'downgrade');
});

test('artifact bytes are passed on as sent, whatever encoding they claim', async () => {
  const body = gzipSync(Buffer.from('tarball'));
  const server = await http((request, response) => {
    assert.equal(request.headers['accept-encoding'], 'identity');
    response.setHeader('content-encoding', 'gzip');
    response.end(body);
  });
  assert.deepEqual(await artifactOf(upstreamTo({ baseUrl: server.url }), 'a.tgz', server.url), body);
});

test('a cancelled artifact gives its place back', async () => {
  const server = await http((_request, response) => response.write('x'));
  const metrics = recordMetrics();
  const upstream = upstreamTo({ baseUrl: server.url }, { limits: { requestsInFlight: 1 }, metrics });
  const first = await upstream.openArtifact('npm', { url: 'a.tgz', documentUrl: server.url });
  const second = await faultOf(upstream.openArtifact('npm', { url: 'b.tgz', documentUrl: server.url }));
  assert.equal(second.code, 'resource_exhausted');
  assert.ok(first.kind === 'ok');
  first.cancel();
  assert.equal(metrics.gauged('weir_spoke_upstream_in_flight'), 0);
  const third = await upstream.openArtifact('npm', { url: 'c.tgz', documentUrl: server.url });
  assert.ok(third.kind === 'ok');
  third.cancel();
});

test('offline refuses everything without opening a connection', async () => {
  const server = await http((_request, response) => response.end('{}'));
  const upstream = upstreamTo({ baseUrl: server.url }, { offline: true });
  const metadata = await faultOf(upstream.fetchMetadata('npm', { path: 'a', accept: ACCEPT }));
  const artifact = await faultOf(upstream.openArtifact('npm', { url: 'a.tgz', documentUrl: server.url }));
  assert.deepEqual([metadata.code, artifact.code, server.seen], ['unavailable', 'unavailable', []]);
});

test('a corporate proxy is used, except for the hosts it is switched off for', async () => {
  const server = await http((_request, response) => response.end('{}'));
  const through: string[] = [];
  const proxy = await http((request, response) => {
    through.push(request.url ?? '');
    response.end('{"by":"proxy"}');
  });
  const proxied = upstreamTo({ baseUrl: 'http://registry.example.test/' }, { proxy: { http: proxy.url } });
  assert.equal(textOf(await proxied.fetchMetadata('npm', { path: 'a', accept: ACCEPT })), '{"by":"proxy"}');
  assert.deepEqual(through, ['http://registry.example.test/a']);
  const direct = upstreamTo({ baseUrl: server.url }, { proxy: { http: proxy.url, except: '127.0.0.1' } });
  assert.equal(textOf(await direct.fetchMetadata('npm', { path: 'a', accept: ACCEPT })), '{}');
});

test('a POST carries its body and is never sent twice', async () => {
  const bodies: string[] = [];
  const server = await http((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      bodies.push(`${request.headers['content-type']} ${body}`);
      if (bodies.length === 2) request.socket.destroy();
      else response.end('{}');
    });
  });
  const upstream = upstreamTo({ baseUrl: server.url });
  const send = (): Promise<MetadataResponse> =>
    upstream.fetchMetadata(
      'npm',
      { path: 'advisories', accept: ACCEPT, method: 'POST' },
      { body: Buffer.from('{"a":["1"]}'), contentType: 'application/json' },
    );
  assert.equal(textOf(await send()), '{}');
  assert.equal((await faultOf(send())).code, 'upstream_failed');
  assert.equal(bodies.length, 2);
  assert.equal(bodies[0], 'application/json {"a":["1"]}');
});

for (const baseUrl of ['ftp://127.0.0.1/', 'http://user:secret@127.0.0.1/', 'http://127.0.0.1/?a=b', 'nonsense']) {
  test(`a base address like ${baseUrl.replace('secret', '…')} is refused at start`, () => {
    assert.throws(
      () => upstreamTo({ baseUrl }),
      (error) => error instanceof WeirError && error.code === 'invalid_argument',
    );
  });
}
