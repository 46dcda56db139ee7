// The router over hostile paths: it never throws, the unparsable is never anything but refused, and a route names exactly
// what the path spells.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { fullName } from '@weir/shared/domain/coordinate.ts';
import { decodePath } from '@weir/spoke/request/decode-path.ts';
import { REQUEST_LIMITS } from '@weir/spoke/request/limits.ts';
import { parseTarget, type ParsedTarget } from '@weir/spoke/request/parse-target.ts';
import { adapters } from '@weir/spoke/registries/index.ts';

const RUNS = { numRuns: 20_000 };

const parse = (url: string, method = 'GET', rawHeaders: readonly string[] = []): ParsedTarget =>
  parseTarget({ method, url, rawHeaders }, adapters);

/** Pieces that parsers disagree about, between pieces that they do not. */
const piece = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom('npm', 'pypi', '-', 'simple', 'packages', '@acme', 'paint', 'paint-1.0.0.tgz'),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom('@acme%2fpaint', '%40acme%2Fpaint', '1.0.0', 'latest', 'v1', 'search', 'files'),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      '',
      '.',
      '..',
      '%2e%2e',
      '%2E.',
      '%252e',
      '%2f',
      '%5c',
      '\\',
      '%00',
      '%0a',
      '%',
      '%zz',
      ';',
      '%c0%af',
    ),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 12 }) },
  {
    weight: 1,
    arbitrary: fc.string({ unit: 'binary', maxLength: 6 }).map((text) => encodeURIComponent(text.toWellFormed())),
  },
);
const path = fc.array(piece, { maxLength: 7 }).map((pieces) => `/${pieces.join('/')}`);
const url = fc.oneof(
  { weight: 6, arbitrary: path },
  { weight: 2, arbitrary: fc.tuple(path, fc.string({ maxLength: 20 })).map(([first, query]) => `${first}?${query}`) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
  { weight: 1, arbitrary: fc.string({ maxLength: 30 }).map((text) => `http://example.test/npm/${text}`) },
);
const method = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS') },
  { weight: 1, arbitrary: fc.string({ maxLength: 25 }) },
);
const headers = fc.array(
  fc.oneof(
    fc.constantFrom('accept', 'Authorization', 'range', 'text/html', 'application/json;q=2'),
    fc.string({ unit: 'binary', maxLength: 10 }),
  ),
  { maxLength: 12 },
);

test('reading a request never throws and always answers with a route', () => {
  fc.assert(
    fc.property(url, method, headers, (text, verb, raw) => {
      const { adapter, route } = parse(text, verb, raw);
      assert.ok(adapter !== undefined || route.kind === 'refused');
    }),
    RUNS,
  );
});

test('a path that is not read in exactly one way is refused as unparsable', () => {
  fc.assert(
    fc.property(url, (text) => {
      const bare = text.split('?')[0] ?? '';
      if (decodePath(bare).ok) return;
      const { route } = parse(text);
      assert.equal(route.kind === 'refused' ? route.reason : route.kind, 'unparsable');
    }),
    RUNS,
  );
});

/** Marks of ambiguity that must never reach a route, however they are wrapped. */
const POISON = [
  '%00',
  '%0d',
  '%5c',
  '\\',
  '%25',
  '/../',
  '/./',
  '/../',
  '/%2e%2e/',
  '//',
  '%c0%ae',
  '%e2%80%ae',
  '%7f',
];

test('a known path with poison anywhere in it is refused', () => {
  const known = fc.constantFrom(
    '/npm/paint',
    '/npm/@acme%2fpaint',
    '/npm/@acme/paint/-/paint-1.0.0.tgz',
    '/npm/-/v1/search',
    '/pypi/simple/paint/',
    '/paint/-/paint-1.0.0.tgz',
  );
  fc.assert(
    fc.property(known, fc.constantFrom(...POISON), fc.nat(), (text, poison, at) => {
      const cut = at % (text.length + 1);
      const { route } = parse(`${text.slice(0, cut)}${poison}${text.slice(cut)}`);
      assert.equal(route.kind, 'refused');
    }),
    RUNS,
  );
});

const namePart = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._~-]{0,20}$/);
const npmName = fc
  .tuple(fc.option(namePart), namePart)
  .map(([scope, name]) => (scope === null ? name : `@${scope}/${name}`))
  .filter((name) => !/(?:^|\/)(?:node_modules|favicon\.ico)$/.test(name));
const npmVersion = fc
  .tuple(fc.nat(99), fc.nat(99), fc.nat(99), fc.option(fc.stringMatching(/^[a-z]{1,6}\.[1-9]$/)))
  .map(([major, minor, patch, pre]) => `${major}.${minor}.${patch}${pre === null ? '' : `-${pre}`}`);

test('an npm route renders back to the path that it was read from', () => {
  fc.assert(
    fc.property(npmName, npmVersion, fc.constantFrom('plain', '%2f', '%2F'), (name, version, slash) => {
      const spelled = slash === 'plain' ? name : name.replace('/', slash);
      const bare = name.slice(name.indexOf('/') + 1);
      const tarball = parse(`/npm/${spelled}/-/${bare}-${version}.tgz`).route;
      assert.ok(tarball.kind === 'artifact');
      assert.equal(fullName(tarball.coordinate), name);
      assert.equal(tarball.coordinate.version, version);
      assert.equal(`/npm/${fullName(tarball.coordinate)}/-/${tarball.file}`, `/npm/${name}/-/${bare}-${version}.tgz`);
      const index = parse(`/npm/${spelled}`).route;
      assert.ok(index.kind === 'metadata' && fullName(index.name) === name);
      const one = parse(`/npm/${spelled}/${version}`).route;
      assert.ok(one.kind === 'metadata' && fullName(one.name) === name && one.detail === version);
    }),
    { numRuns: 5000 },
  );
});

test('limits hold at their edges', () => {
  const longest = `/npm/${'a'.repeat(214)}`;
  assert.equal(parse(longest).route.kind, 'metadata');
  assert.equal(parse(`${longest}a`).route.kind, 'refused');
  const full = `/npm/a?${'q'.repeat(REQUEST_LIMITS.queryBytes)}`;
  assert.equal(parse(full).route.kind, 'metadata');
  assert.equal(parse(`${full}q`).route.kind, 'refused');
  assert.equal(parse(`/${'%41'.repeat(REQUEST_LIMITS.urlBytes)}`).route.kind, 'refused');
});
