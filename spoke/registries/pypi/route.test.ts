import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../adapter.ts';
import { match } from './route.ts';

function route(method: string, path: string, query = '', headers: Record<string, string> = {}): Route {
  const segments = path === '/' ? [] : path.slice(1).split('/').map(decodeURIComponent);
  return match({ method, path, segments, query, headers });
}

const name = { ecosystem: 'pypi', namespace: '', name: 'foo-bar' } as const;

test('an index page is metadata in the form that the client accepts', () => {
  const headers = { accept: 'application/vnd.pypi.simple.v1+json' };
  assert.deepEqual(route('GET', '/simple/foo-bar/', '', headers), {
    kind: 'metadata',
    name,
    representation: 'json',
    detail: '',
  });
  assert.deepEqual(route('HEAD', '/simple/foo-bar/'), { kind: 'metadata', name, representation: 'html', detail: '' });
  assert.deepEqual(route('GET', '/pypi/Foo.Bar/json'), {
    kind: 'metadata',
    name,
    representation: 'legacy-json',
    detail: '',
  });
});

test('files and their sidecars carry the version that the file name tells', () => {
  const file = 'foo_bar-1.0-py3-none-any.whl';
  const coordinate = { ...name, version: '1.0' };
  assert.deepEqual(route('GET', `/files/foo-bar/${file}`), { kind: 'artifact', coordinate, file });
  assert.deepEqual(route('GET', `/files/foo-bar/${file}.metadata`), {
    kind: 'sidecar',
    coordinate,
    file: `${file}.metadata`,
    upstream: null,
  });
  const unknown = route('GET', '/files/foo-bar/strange.bin');
  assert.deepEqual(unknown, { kind: 'artifact', coordinate: { ...name, version: '' }, file: 'strange.bin' });
  assert.deepEqual(route('GET', '/files/foo-bar/foo_bar-1.0+cpu-py3-none-any.whl'), {
    kind: 'artifact',
    coordinate: { ...name, version: '1.0+cpu' },
    file: 'foo_bar-1.0+cpu-py3-none-any.whl',
  });
});

const REDIRECTS: readonly (readonly [path: string, location: string])[] = [
  ['/simple', 'simple/'],
  ['/simple/foo-bar', 'foo-bar/'],
  ['/simple/Foo_Bar', 'foo-bar/'],
  ['/simple/Foo_Bar/', '../foo-bar/'],
];

for (const [path, location] of REDIRECTS) {
  test(`${path} leads to ${location}`, () => {
    assert.deepEqual(route('GET', path), { kind: 'service', service: 'redirect', detail: location });
    assert.deepEqual(route('GET', path, 'format=x'), {
      kind: 'service',
      service: 'redirect',
      detail: `${location}?format=x`,
    });
  });
}

const REFUSED: readonly (readonly [method: string, path: string, reason: string])[] = [
  ['GET', '/', 'unknown_route'],
  ['GET', '/elsewhere', 'unknown_route'],
  ['GET', '/simple/foo/bar', 'unknown_route'],
  ['GET', '/simple/foo/foo-1.0.tar.gz', 'unknown_route'],
  ['GET', '/simple/-foo/', 'unparsable'],
  ['GET', '/simple/f%C3%B6%C3%B6/', 'unparsable'],
  ['GET', '/files', 'unknown_route'],
  ['GET', '/files/foo', 'unknown_route'],
  ['GET', '/files/foo/', 'unknown_route'],
  ['GET', '/files/foo/a/b', 'unknown_route'],
  ['GET', '/files/Foo/foo-1.0.tar.gz', 'unparsable'],
  ['GET', `/files/foo/${'a'.repeat(256)}`, 'unparsable'],
  ['GET', '/files/foo/a%2Fb', 'unparsable'],
  ['GET', '/files/foo/foo-1.0.tar.gz.asc', 'unknown_route'],
  ['GET', '/files/foo/foo-1.0.tar.gz.provenance', 'unknown_route'],
  ['GET', '/pypi/foo/1.0/json', 'unknown_route'],
  ['GET', '/pypi/foo', 'unknown_route'],
  ['GET', '/pypi/-/json', 'unparsable'],
  ['GET', '/integrity/foo/1.0/f/provenance', 'unknown_route'],
  ['POST', '/', 'publish'],
  ['POST', '/legacy/', 'publish'],
  ['POST', '/simple/', 'publish'],
  ['PUT', '/foo', 'publish'],
  ['POST', '/pypi', 'unknown_route'],
  ['POST', '/simple/foo/', 'method'],
  ['DELETE', '/files/foo/f', 'method'],
  ['OPTIONS', '/simple/foo/', 'method'],
];

for (const [method, path, reason] of REFUSED) {
  test(`${method} ${path.slice(0, 60)} is refused: ${reason}`, () => {
    const answer = route(method, path);
    assert.equal(answer.kind, 'refused');
    assert.equal(answer.kind === 'refused' && answer.reason, reason);
  });
}
