import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { npm } from './index.ts';
import { PACKUMENT_LIMITS, readPackument } from './packument.ts';
import { documentOf, packument, UPSTREAM } from './packument-for-tests.ts';

const pad = { ecosystem: 'npm', namespace: '', name: 'pad' } as const;

test('a well-formed version keeps all its facts', () => {
  const { releases, firstPublishedAt, tags, projectState } = readPackument(
    documentOf(packument(pad, [{ version: '1.0.0', time: '2020-01-02T00:00:00.000Z' }])),
    pad,
  );
  assert.deepEqual(releases, [
    {
      version: '1.0.0',
      publishedAt: 1_577_923_200,
      files: [
        {
          name: 'pad-1.0.0.tgz',
          url: `${UPSTREAM}/pad/-/pad-1.0.0.tgz`,
          digests: { sha512: Buffer.alloc(64, '1.0.0').toString('hex'), sha1: '0'.repeat(40) },
          size: null,
          metadataSha256: null,
        },
      ],
      withdrawn: null,
      licence: 'MIT',
      installScripts: [],
      trustRank: 0,
    },
  ]);
  assert.deepEqual([firstPublishedAt, tags, projectState], [1_577_836_800, { latest: '1.0.0' }, '']);
});

const dropped: readonly { name: string; version?: string; entry: unknown }[] = [
  { name: 'a key that is no version', version: 'next', entry: {} },
  { name: 'a key with a space', version: '1.0.0 ', entry: {} },
  { name: 'a key that is an object internal', version: '__proto__', entry: {} },
  { name: 'an entry that is a list', entry: [] },
  { name: 'an entry that is null', entry: null },
  { name: 'an entry of another version', entry: { name: 'pad', version: '9.9.9', dist: { tarball: `${UPSTREAM}/a` } } },
  { name: 'an entry of another package', entry: { name: 'x', version: '2.0.0', dist: { tarball: `${UPSTREAM}/a` } } },
  { name: 'an entry without dist', entry: { name: 'pad', version: '2.0.0' } },
  {
    name: 'an entry whose tarball is a file',
    entry: { name: 'pad', version: '2.0.0', dist: { tarball: 'file:///a' } },
  },
];
for (const { name, version = '2.0.0', entry } of dropped) {
  test(`${name} is dropped from releases, views and files`, () => {
    const value = packument(pad, [{ version: '1.0.0' }]);
    const text = JSON.stringify({ ...value, 'dist-tags': { latest: version } }).replace(
      '"versions":{',
      `"versions":{${JSON.stringify(version)}:${JSON.stringify(entry)},`,
    );
    const document = documentOf(text);
    const releases = readPackument(document, pad);
    assert.deepEqual(
      releases.releases.map((release) => release.version),
      ['1.0.0'],
    );
    const view = npm.renderView(document, releases, new Set(), {
      publicBase: 'http://127.0.0.1/npm',
      representation: 'full',
      detail: '',
    });
    assert.deepEqual(view.versions, ['1.0.0']);
    const shown = JSON.parse(view.body.toString()) as { versions: object; 'dist-tags': object };
    assert.deepEqual(Object.keys(shown.versions), ['1.0.0']);
    assert.deepEqual(shown['dist-tags'], version === '2.0.0' ? { latest: '1.0.0' } : {});
    const route = { kind: 'artifact', coordinate: { ...pad, version }, file: `pad-${version}.tgz` } as const;
    assert.equal(npm.findFile(releases, route), undefined);
  });
}

test('of duplicate keys the last is the one that is judged and shown', () => {
  const text = JSON.stringify(packument(pad, [{ version: '1.0.0' }])).replace(
    '"license":"MIT"',
    '"license":"MIT","license":"GPL-3.0"',
  );
  const releases = readPackument(documentOf(text), pad);
  assert.equal(releases.releases[0]?.licence, 'GPL-3.0');
  const view = npm.renderView(documentOf(text), releases, new Set(), {
    publicBase: 'http://127.0.0.1/npm',
    representation: 'full',
    detail: '',
  });
  assert.ok(!view.body.includes('MIT') && view.body.includes('GPL-3.0'));
});

const broken: readonly { name: string; text: string | Buffer; code?: string }[] = [
  { name: 'empty', text: '' },
  { name: 'truncated', text: '{"name":"pad","versions":{' },
  { name: 'a list', text: '[]' },
  { name: 'null', text: 'null' },
  { name: 'an error page', text: '<html>' },
  { name: 'an error document', text: '{"error":"not_found"}' },
  { name: 'another package', text: '{"name":"Pad","versions":{}}' },
  { name: 'versions as a list', text: '{"name":"pad","versions":[]}' },
  { name: 'not UTF-8', text: Buffer.from([0x7b, 0xff, 0x7d]) },
  {
    name: 'too many versions',
    text: JSON.stringify({
      name: 'pad',
      versions: Object.fromEntries(Array.from({ length: PACKUMENT_LIMITS.versions + 1 }, (_, i) => [`1.0.${i}`, 0])),
    }),
    code: 'too_large',
  },
  {
    name: 'too many tags',
    text: JSON.stringify({
      name: 'pad',
      'dist-tags': Object.fromEntries(Array.from({ length: PACKUMENT_LIMITS.tags + 1 }, (_, i) => [`t${i}`, '1.0.0'])),
    }),
    code: 'too_large',
  },
];
for (const { name, text, code = 'upstream_failed' } of broken) {
  test(`not a packument: ${name}`, () => {
    const document = { ...documentOf(''), bytes: Buffer.from(text) };
    assert.throws(
      () => readPackument(document, pad),
      (thrown) => thrown instanceof WeirError && thrown.code === code,
    );
  });
}

test('nesting that can be parsed but not written is an upstream failure', () => {
  const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
  const document = documentOf(JSON.stringify(packument(pad, [{ version: '1.0.0' }])).replace('"MIT"', deep));
  const context = { publicBase: 'http://127.0.0.1/npm', representation: 'full', detail: '' };
  assert.throws(
    () => npm.renderView(document, readPackument(document, pad), new Set(), context),
    (thrown) => thrown instanceof WeirError && thrown.code === 'upstream_failed',
  );
});

test('a package whose versions were all taken back', () => {
  const time = {
    created: '2020-01-01T00:00:00.000Z',
    unpublished: { time: '2021-01-01T00:00:00.000Z', versions: ['1.0.0'] },
  };
  const { releases, projectState } = readPackument(documentOf({ name: 'pad', time }), pad);
  assert.deepEqual([releases, projectState], [[], 'unpublished']);
});

test('a placeholder over a removed package', () => {
  const entry = { repository: { type: 'git', url: 'https://example.test/npm/security-holder' } };
  const { projectState } = readPackument(documentOf(packument(pad, [{ version: '0.0.1-security', entry }])), pad);
  assert.equal(projectState, 'security_holding');
});

test('attestations are a file of their own, found only where the index says that there are some', () => {
  const attested = {
    dist: { tarball: `${UPSTREAM}/pad/-/pad-2.0.0.tgz`, attestations: { url: `${UPSTREAM}/elsewhere` } },
  };
  const releases = readPackument(
    documentOf(packument(pad, [{ version: '1.0.0' }, { version: '2.0.0', entry: attested }])),
    pad,
  );
  const find = (version: string): ReturnType<typeof npm.findFile> => {
    const file = `pad-${version}.attestations.json`;
    return npm.findFile(releases, { kind: 'sidecar', coordinate: { ...pad, version }, file, upstream: null });
  };
  assert.equal(find('1.0.0'), undefined);
  assert.equal(find('3.0.0'), undefined);
  const found = find('2.0.0');
  assert.equal(found?.release.version, '2.0.0');
  assert.equal(found?.file.name, 'pad-2.0.0.attestations.json');
  assert.equal(
    new URL(found?.file.url ?? '', `${UPSTREAM}/mirror/pad`).href,
    `${UPSTREAM}/mirror/-/npm/v1/attestations/pad@2.0.0`,
  );
  assert.equal(npm.artifactContentType(found?.file.name ?? ''), 'application/json');
});

test('a file is found by our spelling, then by upstream’s, and belongs to the version whose entry names it', () => {
  const odd = { name: 'pad', version: '1.0.2-beta', dist: { tarball: `${UPSTREAM}/pad/-/pad-1.0.2beta.tgz` } };
  const crossed = { name: 'pad', version: '2.0.0', dist: { tarball: `${UPSTREAM}/pad/-/pad-1.0.0.tgz` } };
  const releases = readPackument(
    documentOf(
      packument(pad, [
        { version: '1.0.0' },
        { version: '1.0.2-beta', entry: odd },
        { version: '2.0.0', entry: crossed },
      ]),
    ),
    pad,
  );
  const find = (version: string, file: string): string | undefined =>
    npm.findFile(releases, { kind: 'artifact', coordinate: { ...pad, version }, file })?.release.version;
  assert.equal(find('1.0.0', 'pad-1.0.0.tgz'), '1.0.0');
  assert.equal(find('1.0.2-beta', 'pad-1.0.2-beta.tgz'), '1.0.2-beta');
  assert.equal(find('1.0.2beta', 'pad-1.0.2beta.tgz'), '1.0.2-beta');
  assert.equal(find('2.0.0', 'pad-2.0.0.tgz'), '2.0.0');
  assert.equal(find('3.0.0', 'pad-3.0.0.tgz'), undefined);
  assert.equal(find('', 'other.tgz'), undefined);
  const other = {
    kind: 'artifact',
    coordinate: { ...pad, name: 'dap', version: '1.0.0' },
    file: 'pad-1.0.0.tgz',
  } as const;
  assert.equal(npm.findFile(releases, other), undefined);
  const { parsed: _, ...bare } = releases;
  const route = { kind: 'artifact', coordinate: { ...pad, version: '1.0.0' }, file: 'pad-1.0.0.tgz' } as const;
  assert.equal(npm.findFile(bare, route)?.release.version, '1.0.0');
});
