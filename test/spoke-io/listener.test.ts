// The registry port on real sockets: what it lets through, what it turns away, and how answers leave.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, request as httpRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { ByteSource } from '@weir/spoke/io/byte-source.ts';
import {
  type Listener,
  type ListenerOptions,
  type RequestHandler,
  startListener,
  type TurnedAway,
} from '@weir/spoke/io/listener.ts';
import type { Sent } from '@weir/spoke/io/reply.ts';
import { type RecordedLogger, type RecordedMetrics, recordLogs, recordMetrics } from './loopback.ts';

type Started = Listener & { readonly logger: RecordedLogger; readonly metrics: RecordedMetrics };

const started: Listener[] = [];

after(async () => {
  await Promise.all(started.map((listener) => listener.close(0)));
});

async function start(handler: RequestHandler, options: Partial<ListenerOptions> = {}): Promise<Started> {
  const logger = recordLogs();
  const metrics = recordMetrics();
  const listener = await startListener({ host: '127.0.0.1', port: 0, handler, logger, metrics, ...options });
  started.push(listener);
  return Object.assign(listener, { logger, metrics });
}

interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

async function ask(
  { port }: Listener,
  {
    method = 'GET',
    path = '/',
    headers = {},
  }: { method?: string; path?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ port, host: '127.0.0.1', method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          reason: response.statusMessage ?? '',
          headers: response.headers,
          body: Buffer.concat(chunks),
        }),
      );
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** Sends raw bytes and resolves with everything that came back until the server closed. */
async function raw({ port }: Listener, bytes: string, options: { half?: boolean } = {}): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let back = '';
  socket.on('data', (chunk: Buffer) => {
    back += chunk.toString('latin1');
  });
  socket.on('error', () => undefined);
  socket.write(bytes);
  if (options.half === true) socket.end();
  await once(socket, 'close');
  return back;
}

const OK: RequestHandler = async (_request, reply) => {
  reply.sendBuffer(200, 'OK', ['Content-Type', 'text/plain'], Buffer.from('hello'));
};

/** A source over bytes at hand, with a switch for trouble. */
function sourceOf(
  bytes: Buffer,
  options: { failAt?: number; size?: number | null; onRelease?: () => void } = {},
): ByteSource {
  let released = false;
  return {
    size: options.size === undefined ? bytes.length : options.size,
    async read(target, position) {
      assert.ok(!released, 'read after release');
      if (options.failAt !== undefined && position >= options.failAt) {
        throw new WeirError('integrity', 'the artifact is not the promised one');
      }
      const end = options.failAt === undefined ? bytes.length : Math.min(bytes.length, options.failAt);
      return bytes.copy(target, 0, position, Math.min(end, position + target.length));
    },
    release() {
      if (!released) options.onRelease?.();
      released = true;
    },
  };
}

test('the handler sees the request as received, duplicates and all', async () => {
  let seen: unknown;
  const listener = await start(async (request, reply) => {
    seen = [request.method, request.url, request.rawHeaders.slice(0, 6), request.remoteAddress, request.encrypted];
    reply.sendBuffer(200, 'OK', [], Buffer.from('x'));
  });
  await raw(listener, 'GET /a%2f..//b?c=%00 HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nConnection: close\r\n\r\n');
  assert.deepEqual(seen, ['GET', '/a%2f..//b?c=%00', ['Host', 'h', 'X-A', '1', 'x-a', '2'], '127.0.0.1', false]);
});

test('reason phrase, headers and body leave as given, with the length counted here', async () => {
  const listener = await start(async (_request, reply) => {
    reply.sendBuffer(
      403,
      'Refused by policy K7Q2M9XD',
      ['npm-notice', 'hidden', 'X-Two', 'a', 'X-Two', 'b'],
      Buffer.from('{}'),
    );
  });
  const answer = await ask(listener);
  assert.deepEqual([answer.status, answer.reason, answer.body.toString()], [403, 'Refused by policy K7Q2M9XD', '{}']);
  assert.deepEqual(
    [answer.headers['npm-notice'], answer.headers['x-two'], answer.headers['content-length']],
    ['hidden', 'a, b', '2'],
  );
});

test('nothing in a reason or a header can break out of the head', async () => {
  const listener = await start(async (_request, reply) => {
    reply.sendBuffer(403, `no\r\nX-Evil: 1\u2028é${'y'.repeat(200)}`, ['X-Why', 'a\r\nX-Evil: 2\0ü'], Buffer.from('b'));
  });
  const answer = await ask(listener);
  assert.equal(answer.headers['x-evil'], undefined);
  assert.equal(answer.headers['x-why'], 'a??X-Evil: 2??');
  assert.equal(answer.reason.length, 100);
  assert.match(answer.reason, /^no\?\?X-Evil: 1\?\?y+$/);
});

test('HEAD gets the head of the same answer and no body', async () => {
  const body = Buffer.alloc(200_000, 7);
  let released = 0;
  const listener = await start(async (request, reply) => {
    if (request.url === '/file') await reply.sendFile('OK', [], sourceOf(body, { onRelease: () => (released += 1) }));
    else reply.sendBuffer(200, 'OK', ['ETag', '"1"'], body);
  });
  for (const path of ['/buffer', '/file']) {
    const answer = await ask(listener, { method: 'HEAD', path });
    assert.deepEqual([answer.status, answer.headers['content-length'], answer.body.length], [200, '200000', 0]);
  }
  assert.equal(released, 1);
});

test('204 and 304 carry neither body nor length', async () => {
  const listener = await start(async (request, reply) => {
    reply.sendBuffer(Number(request.url.slice(1)), 'Not Modified', ['ETag', '"1"'], Buffer.from('ignored'));
  });
  for (const status of [204, 304]) {
    const answer = await ask(listener, { path: `/${status}` });
    assert.deepEqual([answer.status, answer.headers['content-length'], answer.body.length], [status, undefined, 0]);
  }
});

for (const kind of ['buffer', 'file'] as const) {
  test(`ranges of a ${kind}`, async () => {
    const body = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251));
    const listener = await start(async (request, reply) => {
      const header = (name: string): string | undefined => {
        const at = request.rawHeaders.findIndex((text, index) => index % 2 === 0 && text.toLowerCase() === name);
        return at === -1 ? undefined : request.rawHeaders[at + 1];
      };
      const range = { range: header('range'), ifRange: header('if-range'), etag: '"v1"' };
      if (kind === 'buffer') reply.sendBuffer(200, 'OK', [], body, range);
      else await reply.sendFile('OK', [], sourceOf(body), range);
    });
    const part = await ask(listener, { headers: { range: 'bytes=10-19' } });
    assert.deepEqual(
      [part.status, part.headers['content-range'], part.headers['content-length']],
      [206, 'bytes 10-19/1000', '10'],
    );
    assert.deepEqual(part.body, body.subarray(10, 20));
    const tail = await ask(listener, { headers: { range: 'bytes=-5' } });
    assert.deepEqual(tail.body, body.subarray(995));
    const never = await ask(listener, { headers: { range: 'bytes=1000-' } });
    assert.deepEqual([never.status, never.headers['content-range'], never.body.length], [416, 'bytes */1000', 0]);
    const changed = await ask(listener, { headers: { range: 'bytes=10-19', 'if-range': '"v0"' } });
    assert.deepEqual([changed.status, changed.body.length], [200, 1000]);
    const head = await ask(listener, { method: 'HEAD', headers: { range: 'bytes=10-19' } });
    assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [206, '10', 0]);
  });
}

for (const size of [0, 1, 65_536, 1 << 20, (3 << 20) + 17]) {
  test(`a file of ${size} bytes arrives whole, its size known or not`, async () => {
    const body = Buffer.from(Array.from({ length: size }, (_, i) => (i * 31) % 253));
    const results: Sent[] = [];
    const listener = await start(async (request, reply) => {
      const source = sourceOf(body, request.url === '/unknown' ? { size: null } : {});
      results.push(await reply.sendFile('OK', ['ETag', '"1"'], source));
    });
    const known = await ask(listener, { path: '/known' });
    assert.ok(known.body.equals(body));
    assert.equal(known.headers['content-length'], String(size));
    const unknown = await ask(listener, { path: '/unknown' });
    assert.ok(unknown.body.equals(body));
    assert.equal(unknown.headers['transfer-encoding'], 'chunked');
    assert.deepEqual(results, [
      { kind: 'sent', bytes: size },
      { kind: 'sent', bytes: size },
    ]);
  });
}

test('a source that fails before its first byte leaves room for a proper refusal', async () => {
  let released = 0;
  const listener = await start(async (_request, reply) => {
    const sent = await reply.sendFile(
      'OK',
      [],
      sourceOf(Buffer.alloc(10), { failAt: 0, onRelease: () => (released += 1) }),
    );
    assert.ok(sent.kind === 'failed' && !sent.headSent);
    assert.equal(sent.error.code, 'integrity');
    reply.sendBuffer(502, 'Not the promised file', [], Buffer.from('refused'));
  });
  const answer = await ask(listener);
  assert.deepEqual(
    [answer.status, answer.reason, answer.body.toString(), released],
    [502, 'Not the promised file', 'refused', 1],
  );
});

test('a source that fails midway breaks the transfer, so that no client takes it for complete', async () => {
  const results: Sent[] = [];
  const body = Buffer.alloc(3 << 20, 1);
  const listener = await start(async (request, reply) => {
    const size = request.url === '/unknown' ? { size: null } : {};
    results.push(await reply.sendFile('OK', [], sourceOf(body, { failAt: 2 << 20, ...size })));
  });
  for (const path of ['/known', '/unknown']) await assert.rejects(ask(listener, { path }));
  for (const result of results) {
    assert.ok(result.kind === 'failed' && result.headSent);
    assert.deepEqual([result.error.code, result.bytes], ['integrity', 2 << 20]);
  }
  const http10 = connect(listener.port, '127.0.0.1');
  http10.write('GET /unknown HTTP/1.0\r\nHost: h\r\n\r\n');
  http10.resume();
  const [error] = (await once(http10, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNRESET', 'the end of a connection alone would look like the end of the file');
});

test('a source that ends before its size breaks the transfer', async () => {
  const listener = await start(async (_request, reply) => {
    const sent = await reply.sendFile('OK', [], sourceOf(Buffer.alloc(1000), { size: 2000 }));
    assert.ok(sent.kind === 'failed');
  });
  await assert.rejects(ask(listener));
});

test('readers that stop reading hold one buffer each and no more, and leaving gives it back', async () => {
  const MEGABYTE = 1 << 20;
  const size = 64 * MEGABYTE;
  const sent: Promise<Sent>[] = [];
  let read = 0;
  const listener = await start(
    async (_request, reply) => {
      const source: ByteSource = {
        size,
        async read(target, position) {
          const count = Math.min(target.length, size - position);
          read += count;
          return count;
        },
        release: () => undefined,
      };
      const result = reply.sendFile('OK', [], source);
      sent.push(result);
      await result;
    },
    { limits: { largeBuffers: 2 } },
  );
  const before = process.memoryUsage().arrayBuffers;
  const sockets: Socket[] = [];
  for (let i = 0; i < 8; i += 1) {
    const socket = connect(listener.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.pause();
    socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    sockets.push(socket);
  }
  // Wait until no more is read: every connection is then stuck behind its reader.
  for (let last = -1; last !== read || sent.length < 8; ) {
    last = read;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.ok(read < 8 * 16 * MEGABYTE, `only what fits into the connections was read: ${read}`);
  const held = process.memoryUsage().arrayBuffers - before;
  assert.ok(held < 8 * MEGABYTE, `two large buffers and six small ones, not ${held} bytes`);
  for (const socket of sockets) socket.destroy();
  for (const result of await Promise.all(sent)) assert.equal(result.kind, 'client_gone');
});

test('a handler that fails or forgets to answer gives a plain 500 and no detail', async () => {
  const events: TurnedAway[] = [];
  const listener = await start(
    async (request) => {
      if (request.url === '/throw') throw new Error('secret path /etc/weir');
    },
    { onTurnedAway: async (event) => void events.push(event) },
  );
  for (const path of ['/throw', '/forget']) {
    const answer = await ask(listener, { path });
    assert.deepEqual([events.at(-1)?.fault, events.at(-1)?.status], ['failed', 500]);
    assert.equal(answer.status, 500);
    assert.equal(answer.body.toString(), 'the spoke failed on this request\n');
    assert.equal(answer.headers['cache-control'], 'no-store');
  }
  assert.equal(listener.logger.lines.length, 2);
});

test('what is no HTTP request is recorded first and then turned away', async () => {
  const events: TurnedAway[] = [];
  const listener = await start(OK, {
    onTurnedAway: async (event) => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      events.push(event);
    },
    limits: { headersMs: 300 },
  });
  const cases: readonly (readonly [string, string, TurnedAway['fault']])[] = [
    ['NOISE\r\n\r\n', '400', 'malformed'],
    ['GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', '400', 'malformed'],
    ['GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', '400', 'malformed'],
    ['GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n', '400', 'malformed'],
    ['GET / HTTP/1.1\r\nHost: h\r\n folded: y\r\n\r\n', '400', 'malformed'],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '400', 'malformed'],
    [`GET /${'a'.repeat(60_000)} HTTP/1.1\r\nHost: h\r\n\r\n`, '431', 'header_too_large'],
    [`GET / HTTP/1.1\r\nHost: h\r\nX: ${'a'.repeat(60_000)}\r\n\r\n`, '431', 'header_too_large'],
    ['GET / HTTP/1.1\r\nHost: h\r\nX: never ends', '408', 'timeout'],
    ['GET / HTTP/1.1\r\nHost: h\r\nExpect: the-unexpected\r\nConnection: close\r\n\r\n', '417', 'expectation'],
  ];
  for (const [bytes, status, fault] of cases) {
    const back = await raw(listener, bytes);
    assert.match(
      back,
      new RegExp(`^HTTP/1\\.1 ${status} `),
      `${JSON.stringify(bytes.slice(0, 60))} → ${back.slice(0, 40)}`,
    );
    assert.equal(events.at(-1)?.fault, fault);
  }
  assert.equal(events.length, cases.length);
});

test('what cannot be recorded is not answered', async () => {
  const listener = await start(OK, {
    onTurnedAway: () => Promise.reject(new WeirError('spool_failed', 'the spool is full')),
  });
  assert.equal(await raw(listener, 'NOISE\r\n\r\n'), '');
  const failing = await start(() => Promise.reject(new Error('broken')), {
    onTurnedAway: () => Promise.reject(new WeirError('spool_failed', 'the spool is full')),
  });
  assert.equal(await raw(failing, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n').catch(() => ''), '');
});

test('a long request target and many headers reach the handler, which judges them itself', async () => {
  const seen: number[] = [];
  const listener = await start(async (request, reply) => {
    seen.push(request.url.length, request.rawHeaders.length);
    reply.sendBuffer(400, 'Unparsable', [], Buffer.from('unparsable'));
  });
  const many = Array.from({ length: 3000 }, (_, i) => `h${i}: v\r\n`).join('');
  await raw(
    listener,
    `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: h\r\n${many.slice(0, 20_000).replace(/[^\n]*$/, '')}Connection: close\r\n\r\n`,
  );
  assert.equal(seen[0], 20_001);
  assert.ok((seen[1] ?? 0) > 2 * 1900, 'no header was dropped');
});

test('a body is read up to its limit, and the refusal of a larger one arrives', async () => {
  const listener = await start(async (request, reply) => {
    try {
      const body = await request.readBody(1000);
      reply.sendBuffer(200, 'OK', [], body);
    } catch (error) {
      assert.ok(error instanceof WeirError && error.code === 'too_large');
      reply.sendBuffer(413, 'Too large', [], Buffer.from('too large'));
    }
  });
  const post = (framing: string, body: string): Promise<string> =>
    raw(listener, `POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n${framing}\r\n\r\n${body}`);
  assert.match(await post('Content-Length: 5', 'hello'), /^HTTP\/1\.1 200 [\s\S]*hello$/);
  assert.match(await post('Content-Length: 2000', 'x'.repeat(2000)), /^HTTP\/1\.1 413 /);
  const chunk = `7d0\r\n${'x'.repeat(2000)}\r\n0\r\n\r\n`;
  assert.match(await post('Transfer-Encoding: chunked', chunk), /^HTTP\/1\.1 413 /);
});

test('a client that waits for 100-continue is asked for its body only when it is wanted', async () => {
  const listener = await start(async (request, reply) => {
    const body = request.url === '/read' ? await request.readBody(100) : Buffer.from('refused');
    reply.sendBuffer(request.url === '/read' ? 200 : 403, 'Answer', [], body);
  });
  for (const [path, expected] of [
    ['/read', ['100 Continue', '200 Answer']],
    ['/refuse', ['403 Answer']],
  ] as const) {
    const socket = connect(listener.port, '127.0.0.1');
    let back = '';
    socket.on('data', (data: Buffer) => {
      back += data.toString();
      if (back.endsWith('100 Continue\r\n\r\n')) socket.write('hello');
      if (/(?:hello|refused)$/.test(back)) socket.destroy();
    });
    socket.write(`PUT ${path} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`);
    await once(socket, 'close');
    assert.deepEqual(
      [...back.matchAll(/HTTP\/1\.1 (\d+ \w+)/g)].map((match) => match[1]),
      expected,
    );
  }
});

test('an upload that nobody reads does not keep its refusal from the client', async () => {
  const listener = await start(async (_request, reply) => {
    reply.sendBuffer(403, 'Publishing goes elsewhere', [], Buffer.from('refused'));
  });
  const body = Buffer.alloc(8 << 20);
  const answer = await new Promise<Answer>((resolve, reject) => {
    const sent = httpRequest({ port: listener.port, host: '127.0.0.1', method: 'PUT', agent: false }, (response) => {
      response.resume();
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, reason: response.statusMessage ?? '', headers: {}, body: EMPTY }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
  assert.deepEqual([answer.status, answer.reason], [403, 'Publishing goes elsewhere']);
});

const EMPTY = Buffer.alloc(0);

test('a request announcing an absurd upload is answered and cut off', async () => {
  const listener = await start(OK, { limits: { unreadBodyBytes: 1000 } });
  const back = await raw(listener, 'PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999999\r\n\r\nxxxx');
  assert.match(back, /^HTTP\/1\.1 200 /);
});

test('the signal of a request aborts when its client leaves, and only then', async () => {
  const signals: AbortSignal[] = [];
  const arrived = Promise.withResolvers<void>();
  const listener = await start(async (request, reply) => {
    signals.push(request.signal);
    if (request.url === '/wait') arrived.resolve();
    if (request.url === '/wait') await once(request.signal, 'abort');
    reply.sendBuffer(200, 'OK', [], Buffer.from('done'));
  });
  await ask(listener);
  const leaving = get({ port: listener.port, host: '127.0.0.1', path: '/wait', agent: false });
  leaving.on('error', () => undefined);
  await arrived.promise;
  const [, second] = signals;
  assert.ok(second !== undefined && !second.aborted);
  const aborted = once(second, 'abort');
  leaving.destroy();
  await aborted;
  assert.equal(signals[0]?.aborted, false);
});

test('connections over the limit are closed, and a freed place is used again', async () => {
  const listener = await start(OK, { limits: { connections: 2 } });
  const hold = async (): Promise<Socket> => {
    const socket = connect(listener.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    await once(socket, 'data');
    return socket;
  };
  const [first] = await Promise.all([hold(), hold()]);
  assert.equal(await raw(listener, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n'), '');
  assert.equal(listener.metrics.counted('weir_spoke_http_dropped_total'), 1);
  first.destroy();
  await once(first, 'close');
  while (listener.metrics.gauged('weir_spoke_http_connections') > 1)
    await new Promise((resolve) => setImmediate(resolve));
  (await hold()).destroy();
});

test('closing finishes what is under way, then resets what is late', async () => {
  const finish = Promise.withResolvers<void>();
  const both = Promise.withResolvers<void>();
  let arrived = 0;
  const listener = await start(async (request, reply) => {
    arrived += 1;
    if (arrived === 2) both.resolve();
    await (request.url === '/slow' ? finish.promise : once(request.signal, 'abort'));
    reply.sendBuffer(200, 'OK', [], Buffer.from('finished'));
  });
  const idle = connect(listener.port, '127.0.0.1');
  await once(idle, 'connect');
  const slow = ask(listener, { path: '/slow' });
  const stuck = ask(listener, { path: '/stuck' });
  stuck.catch(() => undefined);
  await both.promise;
  const closed = listener.close(500);
  await assert.rejects(ask(listener), 'no new connection is taken');
  finish.resolve();
  const answer = await slow;
  assert.deepEqual([answer.body.toString(), answer.headers['connection']], ['finished', 'close']);
  await closed;
  await assert.rejects(stuck, 'the late one is reset at the deadline');
  idle.destroy();
});

test('a port in use is one clear sentence', async () => {
  const first = await start(OK);
  await assert.rejects(
    start(OK, { port: first.port }),
    (error) =>
      error instanceof WeirError &&
      error.code === 'unavailable' &&
      error.message === `cannot listen on 127.0.0.1:${first.port}: the port is in use`,
  );
});

test('pipelined requests are answered in order', async () => {
  const listener = await start(async (request, reply) => {
    if (request.url === '/1') await new Promise((resolve) => setTimeout(resolve, 30));
    reply.sendBuffer(200, 'OK', [], Buffer.from(`<${request.url}>`));
  });
  const back = await raw(
    listener,
    'GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n',
  );
  assert.deepEqual(back.match(/<\/\d>/g), ['</1>', '</2>', '</3>']);
});
