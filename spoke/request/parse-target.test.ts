import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Adapter, RequestTarget, Route } from '../registries/adapter.ts';
import { REQUEST_LIMITS } from './limits.ts';
import { parseTarget } from './parse-target.ts';

const service = (detail: string): Route => ({ kind: 'service', service: 'seen', detail });
const unknown: Route = { kind: 'refused', reason: 'unknown_route', detail: '' };

const match = (target: RequestTarget): Route =>
  target.segments[0] === 'known' ? service(`${target.path} ${target.query}`) : unknown;

/** Knows `/known` below its mount and, when asked to, `/x/-/file` at the root. */
function adapter(mount: string, knowsRoot: boolean): Adapter {
  const matchAtRoot = (target: RequestTarget): Route | undefined =>
    knowsRoot && target.segments[1] === '-' ? service(`root ${target.path}`) : undefined;
  return { id: mount, mount, match, matchAtRoot } as unknown as Adapter;
}

const npm = adapter('npm', true);
const pypi = adapter('pypi', false);
const parse = (url: string, method = 'GET', rawHeaders: readonly string[] = []): ReturnType<typeof parseTarget> =>
  parseTarget({ method, url, rawHeaders }, [npm, pypi]);

const routed: readonly { url: string; to: string; detail: string }[] = [
  { url: '/npm/known/a?b=c', to: 'npm', detail: '/known/a b=c' },
  { url: '/pypi/known', to: 'pypi', detail: '/known ' },
  { url: '/x/-/file', to: 'npm', detail: 'root /x/-/file' },
  { url: '/npm/-/npm-1.0.0.tgz', to: 'npm', detail: 'root /npm/-/npm-1.0.0.tgz' },
  { url: '/pypi/-/pypi-1.0.0.tgz', to: 'npm', detail: 'root /pypi/-/pypi-1.0.0.tgz' },
];
for (const { url, to, detail } of routed) {
  test(`${url} goes to ${to}`, () => {
    const parsed = parse(url);
    assert.equal(parsed.adapter?.id, to);
    assert.deepEqual(parsed.route, service(detail));
  });
}

test('the mount itself has no segments, with or without its slash', () => {
  for (const url of ['/npm', '/npm/']) {
    const { target, adapter: found } = parse(url);
    assert.equal(found?.id, 'npm');
    assert.deepEqual([target.path, target.segments], ['/', []]);
  }
});

const refused: readonly { name: string; url: string; method?: string; headers?: readonly string[]; to?: string }[] = [
  { name: 'climbing out of a mount', url: '/npm/../pypi/known', to: 'npm' },
  { name: 'climbing encoded', url: '/npm/%2e%2e/pypi/known', to: 'npm' },
  { name: 'encoded mount with an encoded slash', url: '/npm%2fknown' },
  { name: 'absolute form', url: 'http://example.test/npm/known' },
  { name: 'over-long', url: `/npm/${'a/'.repeat(REQUEST_LIMITS.urlBytes)}` },
  { name: 'over-long query', url: `/npm/known?${'a'.repeat(REQUEST_LIMITS.queryBytes + 1)}`, to: 'npm' },
  { name: 'space in the query', url: '/npm/known?a b', to: 'npm' },
  { name: 'fragment in the query', url: '/npm/known?a#b', to: 'npm' },
  { name: 'two credentials', url: '/npm/known', headers: ['Authorization', 'a', 'Authorization', 'b'], to: 'npm' },
  { name: 'no method', url: '/npm/known', method: '', to: 'npm' },
  { name: 'lower-case method', url: '/npm/known', method: 'get', to: 'npm' },
];
for (const { name, url, method, headers, to } of refused) {
  test(`refused as unparsable: ${name}`, () => {
    const parsed = parse(url, method, headers);
    assert.equal(parsed.adapter?.id, to);
    assert.equal(parsed.route.kind === 'refused' && parsed.route.reason, 'unparsable');
    assert.deepEqual([parsed.target.path, parsed.target.query], ['', '']);
  });
}

test('what names no registry is unknown and says where registries are', () => {
  for (const url of ['/', '/favicon.ico', '/%6e%70%6d/known', '/NPM/known', '/npmx/known']) {
    const { adapter: found, route } = parse(url);
    assert.equal(found, undefined);
    assert.deepEqual(route, {
      kind: 'refused',
      reason: 'unknown_route',
      detail: 'registries are served below /npm/ and /pypi/',
    });
  }
});
