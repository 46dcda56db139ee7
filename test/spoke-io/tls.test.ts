// TLS on both sides of the request path: the listener with a certificate of its own, the upstream client with a corporate
// CA, and the corporate proxy between them.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect as connectPlain } from 'node:net';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import { type CertificateAuthority, makeAuthority, openAuthority } from '@weir/hub/enrollment/certificate-authority.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { type Listener, startListener } from '@weir/spoke/io/listener.ts';
import { systemRandom } from '@weir/spoke/io/system-random.ts';
import { createUpstream, type Upstream, type UpstreamOptions } from '@weir/spoke/io/upstream.ts';
import { recordLogs, recordMetrics } from './loopback.ts';

const HOUR_MS = 3_600_000;
const closing: (() => Promise<unknown>)[] = [];
let authority: CertificateAuthority;
let listener: Listener;

async function certificateFor(...names: readonly string[]): Promise<{ key: string; cert: string }> {
  const { key, chain } = await authority.issueHub(names, { fromMs: Date.now(), ttlMs: HOUR_MS });
  return { key, cert: chain };
}

function upstreamWith(options: Partial<UpstreamOptions>): Upstream {
  const registries = { npm: { baseUrl: `https://localhost:${listener.port}/` } };
  const upstream = createUpstream({ registries, metrics: recordMetrics(), ...options });
  closing.push(() => upstream.close());
  return upstream;
}

const ask = (upstream: Upstream): Promise<unknown> =>
  upstream.fetchMetadata('npm', { path: 'pkg', accept: 'application/json' });

before(async () => {
  const ca = await makeAuthority('tests', Date.now(), systemRandom);
  authority = await openAuthority('tests', ca, systemRandom);
  listener = await startListener({
    host: '127.0.0.1',
    port: 0,
    tls: await certificateFor('localhost', 'first.example.test'),
    logger: recordLogs(),
    metrics: recordMetrics(),
    handler: async (request, reply) => {
      reply.sendBuffer(
        200,
        'OK',
        ['Content-Type', 'application/json'],
        Buffer.from(`{"encrypted":${request.encrypted}}`),
      );
    },
  });
  closing.push(() => listener.close(0));
});

after(async () => {
  for (const close of closing.toReversed()) await close();
});

test('the listener speaks TLS 1.2 and 1.3 and HTTP/1.1 only, whatever the client would rather have', async () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = connect({
      port: listener.port,
      servername: 'localhost',
      ca: authority.certificate,
      ALPNProtocols: ['h2', 'http/1.1'],
      minVersion: version,
      maxVersion: version,
    });
    await once(socket, 'secureConnect');
    assert.deepEqual([socket.alpnProtocol, socket.getProtocol()], ['http/1.1', version]);
    socket.destroy();
  }
  const old = connect({
    port: listener.port,
    servername: 'localhost',
    ca: authority.certificate,
    maxVersion: 'TLSv1.1',
    minVersion: 'TLSv1',
  });
  await once(old, 'error');
});

test('plain text on the TLS port gets no answer', async () => {
  const socket = connectPlain(listener.port, '127.0.0.1');
  let back = '';
  socket.on('data', (chunk: Buffer) => {
    back += chunk.toString();
  });
  socket.on('error', () => undefined);
  socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  await once(socket, 'close');
  assert.doesNotMatch(back, /HTTP/);
});

test('an upstream behind a corporate CA is reached with that CA, and refused without it', async () => {
  assert.deepEqual(await ask(upstreamWith({ ca: [authority.certificate] })), {
    kind: 'ok',
    document: {
      bytes: Buffer.from('{"encrypted":true}'),
      contentType: 'application/json',
      baseUrl: `https://localhost:${listener.port}/pkg`,
    },
    validator: { etag: '', lastModified: '' },
  });
  await assert.rejects(
    ask(upstreamWith({})),
    (error) => error instanceof WeirError && error.code === 'upstream_failed' && error.detail['fault'] === 'tls',
  );
});

test('a certificate for another name is refused', async () => {
  const registries = { npm: { baseUrl: `https://127.0.0.1:${listener.port}/` } };
  await assert.rejects(
    ask(upstreamWith({ registries, ca: [authority.certificate] })),
    (error) => error instanceof WeirError && error.detail['fault'] === 'tls',
  );
});

test('through a corporate proxy TLS stays end to end', async () => {
  const tunnels: string[] = [];
  const proxy = createServer((_request, response) => response.writeHead(405).end());
  proxy.on('connect', (request, client) => {
    tunnels.push(request.url ?? '');
    const upstream = connectPlain(listener.port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.pipe(client).pipe(upstream);
    });
    upstream.on('error', () => client.destroy());
    client.on('error', () => upstream.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  closing.push(async () => {
    proxy.closeAllConnections();
    await new Promise((resolve) => proxy.close(resolve));
  });
  const { port } = proxy.address() as AddressInfo;
  const upstream = upstreamWith({ ca: [authority.certificate], proxy: { https: `http://127.0.0.1:${port}` } });
  await ask(upstream);
  assert.deepEqual(tunnels, [`localhost:${listener.port}`]);
  await upstream.close();
});

test('a renewed certificate serves new connections', async () => {
  listener.renewTls(await certificateFor('localhost', 'second.example.test'));
  const socket = connect({ port: listener.port, servername: 'localhost', ca: authority.certificate });
  await once(socket, 'secureConnect');
  assert.match(socket.getPeerCertificate().subjectaltname ?? '', /second\.example\.test/);
  socket.destroy();
});
