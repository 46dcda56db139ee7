import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestTarget, Route } from '../adapter.ts';
import { match, matchAtRoot } from './match.ts';

function target(path: string, method = 'GET', accept?: string): RequestTarget {
  const [bare = '', query = ''] = path.split('?');
  const segments = bare === '/' ? [] : bare.slice(1).split('/').map(decodeURIComponent);
  return { method, path: bare, segments, query, headers: { accept } };
}

const paint = { ecosystem: 'npm', namespace: '@acme', name: 'paint' } as const;
const pad = { ecosystem: 'npm', namespace: '', name: 'left-pad' } as const;
const metadata = (name: typeof paint | typeof pad, representation: string, detail = ''): Route => ({
  kind: 'metadata',
  name,
  representation,
  detail,
});
const artifact = (name: typeof paint | typeof pad, version: string, file: string): Route => ({
  kind: 'artifact',
  coordinate: { ...name, version },
  file,
});
const service = (name: string, detail = ''): Route => ({ kind: 'service', service: name, detail });
const INSTALL = 'application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*';
const PLAIN_FIRST = 'application/json, application/vnd.npm.install-v1+json; q=0.5';

const known: readonly { path: string; accept?: string; method?: string; route: Route }[] = [
  { path: '/left-pad', route: metadata(pad, 'full') },
  { path: '/left-pad', accept: INSTALL, route: metadata(pad, 'abbreviated') },
  { path: '/left-pad', accept: 'application/vnd.npm.install-v1+json', route: metadata(pad, 'abbreviated') },
  { path: '/left-pad', accept: 'application/json', route: metadata(pad, 'full') },
  { path: '/left-pad', accept: PLAIN_FIRST, route: metadata(pad, 'full') },
  { path: '/left-pad', accept: 'application/vnd.npm.install-v1+json;q=0', route: metadata(pad, 'full') },
  { path: '/left-pad', method: 'HEAD', route: metadata(pad, 'full') },
  { path: '/@acme%2fpaint', route: metadata(paint, 'full') },
  { path: '/@acme%2Fpaint', route: metadata(paint, 'full') },
  { path: '/%40acme%2fpaint', route: metadata(paint, 'full') },
  { path: '/@acme/paint', route: metadata(paint, 'full') },
  { path: '/left-pad/1.3.0', route: metadata(pad, 'version', '1.3.0') },
  { path: '/left-pad/latest', route: metadata(pad, 'version', 'latest') },
  { path: '/left-pad/%5E1.0.0', route: metadata(pad, 'version', '^1.0.0') },
  { path: '/@acme%2fpaint/1.0.0', route: metadata(paint, 'version', '1.0.0') },
  { path: '/@acme/paint/next', route: metadata(paint, 'version', 'next') },
  { path: '/-/package/left-pad/dist-tags', route: metadata(pad, 'dist-tags') },
  { path: '/-/package/@acme%2fpaint/dist-tags', route: metadata(paint, 'dist-tags') },
  { path: '/-/package/@acme/paint/dist-tags', route: metadata(paint, 'dist-tags') },
  { path: '/left-pad/-/left-pad-1.3.0.tgz', route: artifact(pad, '1.3.0', 'left-pad-1.3.0.tgz') },
  { path: '/@acme/paint/-/paint-1.0.0.tgz', route: artifact(paint, '1.0.0', 'paint-1.0.0.tgz') },
  { path: '/@acme%2fpaint/-/paint-1.0.0-rc.1.tgz', route: artifact(paint, '1.0.0-rc.1', 'paint-1.0.0-rc.1.tgz') },
  { path: '/left-pad/-/left-pad-1.0.2beta.tgz', route: artifact(pad, '1.0.2beta', 'left-pad-1.0.2beta.tgz') },
  { path: '/left-pad/-/other-1.0.0.tgz', route: artifact(pad, '', 'other-1.0.0.tgz') },
  { path: '/left-pad/-/left-pad-next.tgz', route: artifact(pad, '', 'left-pad-next.tgz') },
  { path: '/', route: service('root') },
  { path: '/-/ping', route: service('ping') },
  { path: '/-/whoami', route: service('whoami') },
  { path: '/-/v1/search?text=pad&size=20', route: service('search', 'text=pad&size=20') },
  { path: '/-/npm/v1/keys', route: service('keys') },
  { path: '/-/npm/v1/security/advisories/bulk', method: 'POST', route: service('advisories') },
  { path: '/-/npm/v1/security/audits/quick', method: 'POST', route: service('audit') },
  { path: '/-/npm/v1/security/audits', method: 'POST', route: service('audit') },
];
for (const { path, accept, method, route } of known) {
  test(`${method ?? 'GET'} ${path} ${accept ?? ''}`, () => {
    assert.deepEqual(match(target(path, method, accept)), route);
  });
}

test('attestations are judged as the version they are about', () => {
  for (const path of ['@acme%2fpaint@1.0.0', '@acme/paint@1.0.0']) {
    assert.deepEqual(match(target(`/-/npm/v1/attestations/${path}`)), {
      kind: 'sidecar',
      coordinate: { ...paint, version: '1.0.0' },
      file: 'paint-1.0.0.attestations.json',
      upstream: { path: '-/npm/v1/attestations/@acme%2fpaint@1.0.0', accept: 'application/json' },
    });
  }
});

const refused: readonly { path: string; method?: string; reason: string }[] = [
  { path: '/left-pad', method: 'PUT', reason: 'publish' },
  { path: '/@acme%2fpaint', method: 'PUT', reason: 'publish' },
  { path: '/left-pad/-rev/1-abc', method: 'DELETE', reason: 'publish' },
  { path: '/-/package/left-pad/dist-tags/next', method: 'PUT', reason: 'publish' },
  { path: '/left-pad', method: 'POST', reason: 'publish' },
  { path: '/-/npm/v1/tokens', method: 'POST', reason: 'publish' },
  { path: '/-/user/org.couchdb.user:me', method: 'PUT', reason: 'unknown_route' },
  { path: '/-/v1/login', method: 'POST', reason: 'unknown_route' },
  { path: '/left-pad', method: 'OPTIONS', reason: 'method' },
  { path: '/left-pad', method: 'TRACE', reason: 'method' },
  { path: '/', method: 'POST', reason: 'unknown_route' },
  { path: '/-/all', reason: 'unknown_route' },
  { path: '/-/npm/v1/security/advisories/bulk', reason: 'unknown_route' },
  { path: '/-', reason: 'unknown_route' },
  { path: '/left-pad/-/left-pad-1.0.0.zip', reason: 'unknown_route' },
  { path: '/left-pad/-/a/b', reason: 'unknown_route' },
  { path: '/left-pad/1.0.0/x', reason: 'unknown_route' },
  { path: '/left-pad/-', reason: 'unparsable' },
  { path: '/left-pad/', reason: 'unparsable' },
  { path: '/-/ping/', reason: 'unparsable' },
  { path: '/@acme', reason: 'unparsable' },
  { path: '/@acme/', reason: 'unparsable' },
  { path: '/@/paint', reason: 'unparsable' },
  { path: '/.hidden', reason: 'unparsable' },
  { path: '/_private', reason: 'unparsable' },
  { path: '/caf%C3%A9', reason: 'unparsable' },
  { path: '/a%20b', reason: 'unparsable' },
  { path: `/${'a'.repeat(215)}`, reason: 'unparsable' },
  { path: '/node_modules', reason: 'unparsable' },
  { path: '/left-pad/caf%C3%A9', reason: 'unparsable' },
  { path: '/left-pad/-/@a%2fb', reason: 'unparsable' },
  { path: '/-/npm/v1/attestations/left-pad', reason: 'unparsable' },
  { path: '/-/npm/v1/attestations/left-pad@latest', reason: 'unparsable' },
  { path: '/-/npm/v1/attestations', reason: 'unparsable' },
  { path: '/-/package/dist-tags', reason: 'unparsable' },
];
for (const { path, method, reason } of refused) {
  test(`${method ?? 'GET'} ${path.slice(0, 60)} is refused: ${reason}`, () => {
    const route = match(target(path, method));
    assert.equal(route.kind === 'refused' ? route.reason : route.kind, reason);
  });
}

test('at the root only tarballs are known', () => {
  assert.deepEqual(matchAtRoot(target('/npm/-/npm-11.0.0.tgz')), {
    kind: 'artifact',
    coordinate: { ecosystem: 'npm', namespace: '', name: 'npm', version: '11.0.0' },
    file: 'npm-11.0.0.tgz',
  });
  assert.deepEqual(matchAtRoot(target('/@acme/paint/-/paint-1.0.0.tgz')), artifact(paint, '1.0.0', 'paint-1.0.0.tgz'));
  assert.deepEqual(
    matchAtRoot(target('/@acme%2fpaint/-/paint-1.0.0.tgz')),
    artifact(paint, '1.0.0', 'paint-1.0.0.tgz'),
  );
  const unknown = [
    '/',
    '/left-pad',
    '/left-pad/1.0.0',
    '/-/ping',
    '/a/-/b-1.0.0.tgz',
    '/a/-/a-1.0.0.zip',
    '/-/v1/search',
  ];
  for (const path of unknown) assert.equal(matchAtRoot(target(path)), undefined, path);
  assert.equal(matchAtRoot(target('/npm/-/npm-11.0.0.tgz', 'PUT')), undefined);
});
