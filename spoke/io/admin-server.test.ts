import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import { startAdminServer } from './admin-server.ts';

/** Sends the bytes as they are, which no HTTP client would. */
async function ask(t: TestContext, firstLine: string): Promise<string> {
  const server = await startAdminServer('127.0.0.1', 0, {
    ready: () => true,
    status: () => ({}),
    metrics: () => Promise.resolve({ contentType: 'text/plain', body: '' }),
    why: () => Promise.resolve(undefined),
    check: () => Promise.resolve({}),
  });
  t.after(() => server.close());
  const socket = connect(server.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.end(`${firstLine}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
  let answer = '';
  socket.on('data', (bytes: Buffer) => void (answer += bytes.toString()));
  await once(socket, 'close');
  return answer;
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
