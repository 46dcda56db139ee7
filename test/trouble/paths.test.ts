// Requests that cannot be read in exactly one way: each is refused as unparsable in the client's own dialect, has a row
// that explains it, and no upstream ever hears of it. Sent over raw sockets, because client libraries tidy such things up.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { exchangeRaw, getRaw, prepareGround, told, type Ground, type RawAnswer, type Row } from './ground.ts';

const LONG = 9_000;

let ground: Ground;
before(async () => {
  ground = await prepareGround({ units: [{ name: 'payments' }] });
});
after(() => ground?.[Symbol.asyncDispose]());

/** The answer and the one row that it left; upstream must not have noticed. */
async function oneRow(send: (origin: string) => Promise<RawAnswer>): Promise<{ answer: RawAnswer; row: Row }> {
  const seen = ground.upstreamRequests();
  let answer: RawAnswer | undefined;
  const rows = await ground.rowsOf('payments', async () => {
    answer = await send(ground.federation.origin('payments'));
  });
  const [row] = rows;
  assert.ok(answer !== undefined && row !== undefined, 'there is an answer and a row');
  assert.equal(rows.length, 1, 'exactly one row');
  assert.equal(ground.upstreamRequests(), seen, 'no upstream was asked');
  return { answer, row };
}

const unparsable: readonly (readonly [string, string])[] = [
  ['a climbing path', '/npm/../../etc/passwd'],
  ['a climb into another registry', '/npm/../pypi/simple/weir-sample-plain/'],
  ['encoded dots', '/npm/%2e%2e/%2e%2e/etc/passwd'],
  ['half-encoded dots', '/npm/.%2E/x'],
  ['double encoding', '/npm/@weir-sample%252fscoped'],
  ['doubly encoded dots', '/npm/%252e%252e/x'],
  ['a scope that climbs', '/npm/@..%2fpasswd'],
  ['an encoded slash outside a scope', '/npm/weir-sample-plain%2f-%2fx.tgz'],
  ['an encoded slash in a file name', '/npm/weir-sample-plain/-/weir-sample-plain-..%2f1.tgz'],
  ['an encoded backslash', '/npm/a%5c..%5cb'],
  ['an encoded NUL', '/npm/weir-sample-plain%00'],
  ['an encoded line break', '/npm/weir-sample-plain%0d%0aX-Weir:%20allow'],
  ['a right-to-left override', '/npm/weir%E2%80%AEnialp'],
  ['overlong UTF-8', '/npm/%C0%AE%C0%AE/x'],
  ['a lone continuation byte', '/npm/%80'],
  ['a cut escape', '/npm/weir%2'],
  ['an empty segment', '/npm//weir-sample-plain'],
  ['a fragment', '/npm/weir-sample-plain#/../x'],
  ['a trailing slash', '/npm/weir-sample-plain/'],
  ['a scope without a name', '/npm/@weir-sample'],
  ['a name that npm never had', '/npm/.hidden'],
  ['an over-long path', `/npm/${'a'.repeat(LONG)}`],
  ['an over-long query', `/npm/weir-sample-plain?${'a'.repeat(LONG)}`],
  ['an over-long segment', `/npm/${'a'.repeat(600)}`],
  ['too many segments', `/npm${'/a'.repeat(20)}`],
  ['another host as the target', 'http://169.254.169.254/npm/weir-sample-plain'],
  ['the star form', '*'],
  ['a climb in the Python index', '/pypi/simple/../../npm/weir-sample-plain'],
  ['an encoded slash in a project', '/pypi/simple/weir%2fplain/'],
  ['a project that cannot be one', '/pypi/simple/-plain-/'],
  ['double encoding in a project', '/pypi/simple/weir%252dplain/'],
];

for (const [name, target] of unparsable) {
  test(`${name} is unparsable: refused, recorded, passed on to nobody`, async () => {
    const { answer, row } = await oneRow((origin) => getRaw(origin, target));
    assert.equal(answer.status, 400);
    assert.match(answer.reason, /^Weir: Request is unparsable/);
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.match(answer.body.toString(), /unparsable/i);
    assert.ok(answer.body.includes(row.code), 'the client is told the code of the row');
    const { outcome, level, status, enforced, request } = row;
    assert.deepEqual(
      { outcome, level, status, enforced, route: request.route },
      { outcome: 'unparsable', level: 'deny', status: 400, enforced: true, route: 'unparsable' },
    );
    assert.deepEqual(
      row.rules.map(({ rule, code }) => `${rule} ${code}`),
      ['WEIR-HOST-010 unparsable'],
    );
    assert.notEqual(request.target, '', 'the row says why');
    assert.ok(!request.target.includes('/'), 'and does not repeat what could not be read');
  });
}

const ambiguous: readonly (readonly [string, readonly string[]])[] = [
  ['no host', ['GET /npm/weir-sample-plain HTTP/1.1', 'Connection: close']],
  ['no host in HTTP/1.0', ['GET /npm/weir-sample-plain HTTP/1.0']],
  ['two hosts', ['GET /npm/weir-sample-plain HTTP/1.1', 'Host: a.test', 'Host: b.test', 'Connection: close']],
  ['a host with a path', ['GET /npm/weir-sample-plain HTTP/1.1', 'Host: a.test/x', 'Connection: close']],
  [
    'two credentials',
    ['GET /npm/x HTTP/1.1', 'Host: a.test', 'Authorization: Bearer a', 'Authorization: Bearer b', 'Connection: close'],
  ],
  ['two ranges', ['GET /npm/x HTTP/1.1', 'Host: a.test', 'Range: bytes=0-1', 'Range: bytes=2-3', 'Connection: close']],
];

for (const [name, lines] of ambiguous) {
  test(`a request with ${name} is unparsable`, async () => {
    const { answer, row } = await oneRow((origin) => exchangeRaw(origin, [...lines, '', ''].join('\r\n')));
    assert.equal(answer.status, 400);
    assert.match(told(answer.body).title, /unparsable/);
    assert.equal(told(answer.body).weir.code, row.code);
    assert.equal(row.outcome, 'unparsable');
  });
}

const HEAD = 'GET /npm/weir-sample-plain HTTP/1.1\r\nHost: a.test\r\n';
const POST = 'POST /npm/-/npm/v1/security/audits HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n';
const malformed: readonly (readonly [string, string, number, string])[] = [
  ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00', 400, 'malformed'],
  ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'malformed'],
  ['a target without a slash', 'GET npm/x HTTP/1.1\r\nHost: a.test\r\n\r\n', 400, 'malformed'],
  ['a space in the target', 'GET /npm/a b HTTP/1.1\r\nHost: a.test\r\n\r\n', 400, 'malformed'],
  ['a NUL in the target', 'GET /npm/a\0b HTTP/1.1\r\nHost: a.test\r\n\r\n', 400, 'malformed'],
  ['bare line feeds', 'GET /npm/x HTTP/1.1\nHost: a.test\n\n', 400, 'malformed'],
  ['a folded header', `${HEAD}X-A: b\r\n c\r\n\r\n`, 400, 'malformed'],
  ['a space before a colon', 'GET /npm/x HTTP/1.1\r\nHost : a.test\r\n\r\n', 400, 'malformed'],
  ['an invented method', 'BREW /npm/x HTTP/1.1\r\nHost: a.test\r\n\r\n', 400, 'malformed'],
  ['two lengths', `${POST}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde`, 400, 'malformed'],
  ['a length and chunks', `${POST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400, 'malformed'],
  ['endless headers', `${HEAD}X-A: ${'a'.repeat(60_000)}\r\n\r\n`, 431, 'header_too_large'],
  ['an endless target', `GET /npm/${'a/'.repeat(30_000)} HTTP/1.1\r\nHost: a.test\r\n\r\n`, 431, 'header_too_large'],
  ['an expectation nobody meets', `${HEAD}Expect: tea\r\nConnection: close\r\n\r\n`, 417, 'expectation'],
  ['a tunnel', 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n', 405, 'tunnel'],
];

for (const [name, bytes, status, fault] of malformed) {
  test(`a connection with ${name} is turned away and leaves an event row`, async () => {
    const { answer, row } = await oneRow((origin) => exchangeRaw(origin, Buffer.from(bytes, 'latin1')));
    assert.equal(answer.status, status);
    assert.equal(answer.headers['connection'], 'close');
    const { outcome, level, action, enforced } = row;
    assert.deepEqual(
      { outcome, level, action, enforced, status: row.status },
      { outcome: `connection_${fault}`, level: 'deny', action: 'event', enforced: true, status },
    );
  });
}

const refused: readonly (readonly [string, string, string, number, string])[] = [
  ['an unknown route', 'GET', '/npm/-/all', 403, 'unknown_route'],
  ['a path of no registry', 'GET', '/admin', 404, 'unknown_route'],
  ['publishing', 'PUT', '/npm/weir-sample-plain', 403, 'publish_refused'],
  ['unpublishing', 'DELETE', '/npm/weir-sample-plain/-rev/1', 403, 'publish_refused'],
  ['an upload', 'POST', '/pypi/legacy/', 403, 'publish_refused'],
  ['a method of nobody', 'TRACE', '/npm/weir-sample-plain', 405, 'method'],
];

for (const [name, method, target, status, outcome] of refused) {
  test(`${name} is refused and recorded, never passed through`, async () => {
    const { answer, row } = await oneRow((origin) =>
      exchangeRaw(origin, `${method} ${target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`),
    );
    assert.equal(answer.status, status);
    assert.deepEqual({ outcome: row.outcome, level: row.level }, { outcome, level: 'deny' });
    assert.equal(told(answer.body).weir.code, row.code);
  });
}
