// The router over arbitrary addresses: it never throws, and whatever it lets through is exactly what was asked for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { pypi } from '@weir/spoke/registries/pypi/index.ts';
import { compareVersions, equalityKey, normalVersion, parseVersion } from '@weir/spoke/versions/pep440.ts';
import { parseTarget } from '@weir/spoke/request/parse-target.ts';

const piece = fc.oneof(
  fc.constantFrom(
    'pypi',
    'simple',
    'files',
    'json',
    'Foo_Bar',
    'foo-bar',
    'foo_bar-1.0-py3-none-any.whl',
    '..',
    '.',
    '',
  ),
  fc.constantFrom(
    '%2e%2e',
    '%2F',
    '%252f',
    '%00',
    '\\',
    '@',
    '+',
    '.metadata',
    '.asc',
    'foo-bar-1.0.tar.gz.metadata',
    '%C3%A9',
    '%zz',
  ),
  fc.string({ maxLength: 12 }),
);
const address = fc.array(piece, { maxLength: 6 }).map((pieces) => `/pypi/${pieces.join('/')}`);
const method = fc.oneof(
  fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'),
  fc.string({ maxLength: 5 }),
);

test('no address makes the router throw, and an artifact route is spelled as its address was', () => {
  fc.assert(
    fc.property(method, address, (verb, url) => {
      const { route } = parseTarget({ method: verb, url, rawHeaders: [] }, [pypi]);
      if (route.kind === 'refused') return;
      assert.ok(verb === 'GET' || verb === 'HEAD');
      if (route.kind === 'service') return;
      const name = route.kind === 'metadata' ? route.name : route.coordinate;
      assert.deepEqual(pypi.normalizeName(name.name)?.name, name.name);
      if (route.kind === 'metadata') return;
      assert.equal(decodeURIComponent(url.split('?', 1)[0] ?? ''), `/pypi/files/${name.name}/${route.file}`);
      assert.doesNotMatch(route.file, /[/\\\0]|^\.{0,2}$/);
    }),
    { numRuns: 3000 },
  );
});

const number = fc.integer({ min: 0, max: 3 });
const version = fc
  .tuple(
    fc.constantFrom('', '1!'),
    fc.array(number, { minLength: 1, maxLength: 3 }),
    fc.constantFrom('', 'a', 'b', 'rc', '-alpha.', '_c'),
    number,
    fc.constantFrom('', '.post1', '-2', '.dev0', '.post1.dev3', '+a.1', '+2'),
  )
  .map(
    ([epoch, release, phase, count, rest]) => `${epoch}${release.join('.')}${phase === '' ? '' : phase + count}${rest}`,
  );
const anyVersion = fc.oneof({ weight: 5, arbitrary: version }, fc.string({ maxLength: 6 }));

test('the order of versions is total: antisymmetric, transitive, and equal exactly for equal versions', () => {
  fc.assert(
    fc.property(anyVersion, anyVersion, anyVersion, (a, b, c) => {
      assert.equal(Math.sign(compareVersions(a, b)), -Math.sign(compareVersions(b, a)) + 0);
      const [low = '', middle = '', high = ''] = [a, b, c].toSorted(compareVersions);
      assert.ok(
        compareVersions(low, middle) <= 0 && compareVersions(middle, high) <= 0 && compareVersions(low, high) <= 0,
      );
      const left = parseVersion(a);
      const right = parseVersion(b);
      if (left !== undefined && right !== undefined) {
        assert.equal(compareVersions(a, b) === 0, equalityKey(left) === equalityKey(right));
      }
    }),
    { numRuns: 3000 },
  );
});

test('the normal form is a fixed point and equal to what it was made from', () => {
  fc.assert(
    fc.property(version, (text) => {
      const parsed = parseVersion(text);
      assert.ok(parsed !== undefined, text);
      const normal = normalVersion(parsed);
      assert.equal(compareVersions(normal, text), 0);
      const again = parseVersion(normal);
      assert.ok(again !== undefined);
      assert.equal(normalVersion(again), normal);
    }),
    { numRuns: 1000 },
  );
});
