import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Releases } from '../adapter.ts';
import { pypi } from './index.ts';
import { INDEX_FILES_MAX } from './project-index.ts';

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';
const BASE = 'https://index.example.test/simple/foo/';
const NAME = { ecosystem: 'pypi', namespace: '', name: 'foo' } as const;
const A = 'a'.repeat(64);
const B = 'b'.repeat(64);

function read(content: unknown, contentType = JSON_TYPE): Releases {
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  return pypi.readMetadata({ bytes: Buffer.from(text), contentType, baseUrl: BASE }, NAME);
}

function page(files: readonly unknown[], more: Readonly<Record<string, unknown>> = {}): unknown {
  return { meta: { 'api-version': '1.3' }, name: 'foo', files, ...more };
}

function file(name: string, more: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  return { filename: name, url: `/f/${name}`, hashes: { sha256: A }, ...more };
}

test('a JSON page becomes releases with every fact that it tells', () => {
  const releases = read(
    page(
      [
        file('foo-1.0.tar.gz', { size: 10, 'upload-time': '2020-01-01T00:00:00.123456Z', yanked: false }),
        file('foo-1.0-py3-none-any.whl', {
          'upload-time': '2020-01-02T00:00:00Z',
          'core-metadata': { sha256: B },
          provenance: 'https://index.example.test/p',
        }),
        file('foo-2.0.tar.gz', {
          'upload-time': '2021-01-01T00:00:00Z',
          yanked: 'broken',
          url: 'https://files.example.test/x/foo-2.0.tar.gz',
        }),
      ],
      { versions: ['1.0', '2.0'] },
    ),
  );
  const { parsed: _, ...told } = releases;
  assert.deepEqual(told, {
    name: NAME,
    releases: [
      {
        version: '1.0',
        publishedAt: Date.UTC(2020, 0, 2) / 1000,
        files: [
          {
            name: 'foo-1.0.tar.gz',
            url: 'https://index.example.test/f/foo-1.0.tar.gz',
            digests: { sha256: A },
            size: 10,
            metadataSha256: null,
          },
          {
            name: 'foo-1.0-py3-none-any.whl',
            url: 'https://index.example.test/f/foo-1.0-py3-none-any.whl',
            digests: { sha256: A },
            size: null,
            metadataSha256: B,
          },
        ],
        withdrawn: null,
        licence: undefined,
        installScripts: ['setup.py'],
        trustRank: 0,
      },
      {
        version: '2.0',
        publishedAt: Date.UTC(2021, 0, 1) / 1000,
        files: [
          {
            name: 'foo-2.0.tar.gz',
            url: 'https://files.example.test/x/foo-2.0.tar.gz',
            digests: { sha256: A },
            size: null,
            metadataSha256: null,
          },
        ],
        withdrawn: { state: 'yanked', reason: 'broken' },
        licence: undefined,
        installScripts: ['setup.py'],
        trustRank: 0,
      },
    ],
    firstPublishedAt: Date.UTC(2020, 0, 1) / 1000,
    tags: { latest: '1.0' },
    projectState: '',
  });
});

test('an HTML page tells the same, as far as it can', () => {
  const html = `<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.0">
    <meta name="pypi:project-status" content="deprecated"><meta name="pypi:project-status-reason" content="use bar"></head><body>
    <a href="/f/foo-1.0-py3-none-any.whl#sha256=${A}" data-core-metadata="sha256=${B}" data-requires-python="&gt;=3.8">a file</a>
    <A HREF = '../../f/foo-2.0.tar.gz#md5=${'c'.repeat(32)}' data-yanked>foo-2.0.tar.gz</A>
    </body></html>`;
  const releases = read(html, 'text/html; charset=UTF-8');
  assert.equal(releases.projectState, 'deprecated');
  assert.equal(releases.firstPublishedAt, null);
  assert.deepEqual(releases.releases, [
    {
      version: '1.0',
      publishedAt: null,
      files: [
        {
          name: 'foo-1.0-py3-none-any.whl',
          url: 'https://index.example.test/f/foo-1.0-py3-none-any.whl',
          digests: { sha256: A },
          size: null,
          metadataSha256: B,
        },
      ],
      withdrawn: { state: 'deprecated', reason: 'use bar' },
      licence: undefined,
      installScripts: [],
      trustRank: undefined,
    },
    {
      version: '2.0',
      publishedAt: null,
      files: [
        {
          name: 'foo-2.0.tar.gz',
          url: 'https://index.example.test/f/foo-2.0.tar.gz',
          digests: {},
          size: null,
          metadataSha256: null,
        },
      ],
      withdrawn: { state: 'yanked', reason: '' },
      licence: undefined,
      installScripts: ['setup.py'],
      trustRank: undefined,
    },
  ]);
});

test('a version is as old as its newest file, and of unknown age when one file has no time', () => {
  const old = file('foo-1.0.tar.gz', { 'upload-time': '2015-01-01T00:00:00Z' });
  const late = file('foo-1.0-py3-none-any.whl', { 'upload-time': '2025-01-01T00:00:00Z' });
  assert.equal(read(page([old, late])).releases[0]?.publishedAt, Date.UTC(2025, 0, 1) / 1000);
  const untold = file('foo-1.0-py2-none-any.whl');
  assert.equal(read(page([old, untold])).releases[0]?.publishedAt, null);
  assert.equal(read(page([old, late])).firstPublishedAt, Date.UTC(2015, 0, 1) / 1000);
});

test('times without a zone or out of form are unknown, never guessed', () => {
  for (const time of ['2020-01-01T00:00:00', '2020-01-01', 'yesterday', '', 5, null, '2020-13-01T00:00:00Z']) {
    assert.equal(read(page([file('foo-1.0.tar.gz', { 'upload-time': time })])).releases[0]?.publishedAt, null);
  }
  const offset = file('foo-1.0.tar.gz', { 'upload-time': '2020-01-01T02:00:00+02:00' });
  assert.equal(read(page([offset])).releases[0]?.publishedAt, Date.UTC(2020, 0, 1) / 1000);
});

test('a version is yanked only when all its files are', () => {
  const sdist = file('foo-1.0.tar.gz', { yanked: true });
  assert.equal(read(page([sdist, file('foo-1.0-py3-none-any.whl')])).releases[0]?.withdrawn, null);
  const wheel = file('foo-1.0-py3-none-any.whl', { yanked: 'why' });
  assert.deepEqual(read(page([sdist, wheel])).releases[0]?.withdrawn, { state: 'yanked', reason: 'why' });
});

test('a quarantined project is quarantined in every version', () => {
  const releases = read(
    page([file('foo-1.0.tar.gz')], { 'project-status': { status: 'quarantined', reason: 'under review' } }),
  );
  assert.equal(releases.projectState, 'quarantined');
  assert.deepEqual(releases.releases[0]?.withdrawn, { state: 'quarantined', reason: 'under review' });
});

test('equal versions in different spellings are one release, under the first spelling', () => {
  const releases = read(page([file('foo-1.0.tar.gz'), file('foo-1.0.0-py3-none-any.whl')]));
  assert.deepEqual(
    releases.releases.map((release) => [release.version, release.files.length]),
    [['1.0', 2]],
  );
});

test('a file whose name tells no version is its own release of unknown version, beside the others', () => {
  const releases = read(page([file('foo-1.0.tar.gz'), file('strange.bin'), file('bar-9.0-py3-none-any.whl')]));
  assert.deepEqual(
    releases.releases.map((release) => [release.version, release.files.map((entry) => entry.name)]),
    [
      ['1.0', ['foo-1.0.tar.gz']],
      ['', ['strange.bin', 'bar-9.0-py3-none-any.whl']],
    ],
  );
  assert.equal(releases.releases[1]?.installScripts, undefined);
});

test('provenance of every file counts, on one file only it does not, on an older index it is unknown', () => {
  const wheel = file('foo-1.0-py3-none-any.whl', { provenance: 'https://index.example.test/p' });
  assert.equal(read(page([wheel])).releases[0]?.trustRank, 1);
  assert.equal(read(page([wheel, file('foo-1.0.tar.gz', { provenance: null })])).releases[0]?.trustRank, 0);
  const older = page([file('foo-1.0.tar.gz')], { meta: { 'api-version': '1.1' } });
  assert.equal(read(older).releases[0]?.trustRank, undefined);
});

test('the sidecar of a file is found with its own address and digest, and only when the index promises one', () => {
  const wheel = 'foo-1.0-py3-none-any.whl';
  const releases = read(
    page([
      file(wheel, { url: `https://files.example.test/${wheel}?sig=1`, 'core-metadata': { sha256: B } }),
      file('foo-1.0.tar.gz'),
    ]),
  );
  const coordinate = { ...NAME, version: '1.0' };
  const sidecar = { kind: 'sidecar', coordinate, upstream: null } as const;
  assert.deepEqual(pypi.findFile(releases, { ...sidecar, file: `${wheel}.metadata` })?.file, {
    name: `${wheel}.metadata`,
    url: `https://files.example.test/${wheel}.metadata?sig=1`,
    digests: { sha256: B },
    size: null,
    metadataSha256: null,
  });
  assert.equal(pypi.findFile(releases, { ...sidecar, file: 'foo-1.0.tar.gz.metadata' }), undefined);
  assert.equal(pypi.findFile(releases, { kind: 'artifact', coordinate, file: 'foo-3.0.tar.gz' }), undefined);
  const { parsed: _, ...unparsed } = releases;
  const found = pypi.findFile(unparsed, { kind: 'artifact', coordinate, file: wheel });
  assert.equal(found?.release.version, '1.0');
});

const HOSTILE: readonly (readonly [title: string, files: readonly unknown[], names: readonly string[]])[] = [
  ['entries that are no objects', [null, 1, 'x', [], file('foo-1.0.tar.gz')], ['foo-1.0.tar.gz']],
  ['an address without a scheme that can be fetched', [file('foo-1.0.tar.gz', { url: 'javascript:alert(1)' })], []],
  ['a file address', [file('foo-1.0.tar.gz', { url: 'file:///etc/passwd' })], []],
  ['an address with credentials', [file('foo-1.0.tar.gz', { url: 'https://a:b@index.example.test/f' })], []],
  ['an empty address', [file('foo-1.0.tar.gz', { url: '' })], []],
  ['one name twice', [file('foo-1.0.tar.gz'), file('foo-1.0.tar.gz', { url: '/other' })], ['foo-1.0.tar.gz']],
  ['a name that climbs', [file('../../foo-1.0.tar.gz')], ['../../foo-1.0.tar.gz']],
  [
    'prototype keys',
    [file('foo-1.0.tar.gz', { hashes: { __proto__: 'x', constructor: 'ff', sha256: A } })],
    ['foo-1.0.tar.gz'],
  ],
];

for (const [title, files, names] of HOSTILE) {
  test(`a JSON page with ${title}`, () => {
    const releases = read(page(files));
    assert.deepEqual(
      releases.releases.flatMap((release) => release.files.map((entry) => entry.name)),
      names,
    );
  });
}

test('digests that are none are as good as absent', () => {
  const hashes = { sha256: 'zz', sha512: 5, sha1: 'ABCDEF', md5: 'f'.repeat(300) };
  assert.deepEqual(read(page([file('foo-1.0.tar.gz', { hashes })])).releases[0]?.files[0]?.digests, { sha1: 'abcdef' });
});

const UNREADABLE: readonly (readonly [title: string, content: unknown, type: string])[] = [
  ['no JSON', '{"files": [', JSON_TYPE],
  ['bytes that are no UTF-8', Buffer.from([0x7b, 0xff, 0x7d]).toString('latin1'), 'application/octet-stream'],
  ['a list', [], JSON_TYPE],
  ['no files', { meta: { 'api-version': '1.0' } }, JSON_TYPE],
  ['files that are no list', page('x' as unknown as unknown[]), JSON_TYPE],
  ['another project', page([], { name: 'bar' }), JSON_TYPE],
  ['a newer major version', page([], { meta: { 'api-version': '2.0' } }), JSON_TYPE],
  ['no sense in its version', page([], { meta: { 'api-version': 'one' } }), JSON_TYPE],
  ['a newer major version in HTML', '<meta name="pypi:repository-version" content="2.0">', 'text/html'],
  ['another type', page([]), 'image/png'],
  ['too many files', page(Array.from({ length: INDEX_FILES_MAX + 1 }, () => 0)), JSON_TYPE],
  ['too many links', '<a>'.repeat(INDEX_FILES_MAX + 1), 'text/html'],
  [
    'an element of endless attributes',
    `<a ${Array.from({ length: 20_000 }, (_, i) => `x${i}`).join(' ')}>`,
    'text/html',
  ],
];

for (const [title, content, type] of UNREADABLE) {
  test(`a page with ${title} is an upstream failure`, () => {
    assert.throws(
      () => read(content, type),
      (error) => error instanceof WeirError && error.code === 'upstream_failed' && !/example\.test/.test(error.message),
    );
  });
}

const HTML_HOSTILE: readonly (readonly [title: string, html: string, names: readonly string[]])[] = [
  ['a link in a script', '<script>"<a href=foo-1.0.tar.gz>"</script><a href=foo-2.0.tar.gz>', ['foo-2.0.tar.gz']],
  ['a link in a comment', '<!-- <a href=foo-1.0.tar.gz> --><a href=foo-2.0.tar.gz>', ['foo-2.0.tar.gz']],
  ['a link in a title', '<title><a href=foo-1.0.tar.gz></title><a href=foo-2.0.tar.gz>', ['foo-2.0.tar.gz']],
  [
    'links to no file',
    '<a href="../">up</a><a href="?C=N">sort</a><a name=x><a href="mailto:a@b"><a href="foo-1.0.zip">',
    ['foo-1.0.zip'],
  ],
  ['an encoded name', '<a href="foo-1.0%2Bcpu-py3-none-any.whl">', ['foo-1.0+cpu-py3-none-any.whl']],
  ['a broken escape', '<a href="foo-1.0%zz.tar.gz">', ['foo-1.0%zz.tar.gz']],
  ['no end', '<a href="foo-1.0.tar.gz"', []],
  ['deep nesting', `${'<b>'.repeat(100_000)}<a href=foo-1.0.tar.gz>`, ['foo-1.0.tar.gz']],
  ['null characters', '<a\0 href="foo-1.0.tar.gz">\0<a href="foo-2.0.tar.gz">', ['foo-2.0.tar.gz']],
];

for (const [title, html, names] of HTML_HOSTILE) {
  test(`an HTML page with ${title}`, () => {
    assert.deepEqual(
      read(html, 'text/html').releases.flatMap((release) => release.files.map((entry) => entry.name)),
      names,
    );
  });
}

function urlUnder(base: string): string | undefined {
  const html = `<base href="${base}"><base href="https://last.example.test/"><a href="foo-1.0.zip">`;
  return read(html, 'text/html').releases[0]?.files[0]?.url;
}

test('links are resolved against the first base of the page, if it can be fetched from', () => {
  assert.equal(urlUnder('https://files.example.test/d/'), 'https://files.example.test/d/foo-1.0.zip');
  assert.equal(urlUnder('javascript:x'), `${BASE}foo-1.0.zip`);
});

test('a long page is read the same in whatever pieces the tokenizer gets it', () => {
  const filler = `<!-- ${'x'.repeat(16_370)} -->`;
  for (let shift = 0; shift < 40; shift += 1) {
    const html = `${' '.repeat(shift)}${filler}<script>var a = "<a href='foo-9.zip'>";</script><a href="foo-1.0.zip" data-requires-python="&gt;=3">x</a>`;
    assert.deepEqual(
      read(html, 'text/html').releases.flatMap((release) => release.version),
      ['1.0'],
    );
  }
});
