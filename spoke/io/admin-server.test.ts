import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import { startAdminServer } from './admin-server.ts';

/** Sends the bytes as they are, which no HTTP client would. */
async function send(t: TestContext, bytes: string): Promise<string> {
  const server = await startAdminServer('127.0.0.1', 0, {
    ready: () => Promise.resolve(true),
    status: () => Promise.resolve({}),
    metrics: () => Promise.resolve({ contentType: 'text/plain', body: '' }),
    why: () => Promise.resolve(undefined),
    check: () => Promise.resolve({}),
  });
  t.after(() => server.close());
  const socket = connect(server.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.end(bytes);
  let answer = '';
  socket.on('data', (piece: Buffer) => void (answer += piece.toString()));
  await once(socket, 'close');
  return answer;
}

function ask(t: TestContext, firstLine: string): Promise<string> {
  return send(t, `${firstLine}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
}

for (const target of ['//', '//127.0.0.1:99999/status', 'http://']) {
  // A rejection that nobody handles would end the process, and with it the enforcement.
  test(`a target that is no address, ${target}, gets a 400`, async (t) => {
    assert.match(await ask(t, `GET ${target} HTTP/1.1`), /^HTTP\/1\.1 400 /);
  });
}

test('a target that is one gets its answer', async (t) => {
  assert.match(await ask(t, 'GET /healthz HTTP/1.1'), /^HTTP\/1\.1 200 /);
});

for (const body of ['', '{', 'null', '{"purl":7}']) {
  test(`a body that names no purl, ${body === '' ? 'an empty one' : body}, gets a 400`, async (t) => {
    const head = `POST /check HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: ${body.length}`;
    assert.match(await send(t, `${head}\r\n\r\n${body}`), /^HTTP\/1\.1 400 /);
  });
}
