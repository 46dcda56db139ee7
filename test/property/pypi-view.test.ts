// Filtered pages: whatever an index lists and whatever is hidden, a view is the unfiltered one minus exactly the files of
// the hidden versions, all forms list the same files, and nothing of upstream's addresses is left.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { MetadataDocument, Releases } from '@weir/spoke/registries/adapter.ts';
import { pypi } from '@weir/spoke/registries/pypi/index.ts';

const NAME = { ecosystem: 'pypi', namespace: '', name: 'foo-bar' } as const;
const HOST = 'upstream.example.test';
const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';

const version = fc.oneof(
  fc.constantFrom('1.0', '1.0.0', '1.1', '2.0rc1', '2.0.post1', '1!0.1', '3.0.dev2', '1.0+local.1', 'nonsense', '2-1'),
  fc.string({ unit: 'grapheme', maxLength: 8 }),
);
const fileName = fc.oneof(
  version.map((text) => `foo_bar-${text}-py3-none-any.whl`),
  version.map((text) => `Foo.Bar-${text}-1-cp311-cp311-any.whl`),
  version.map((text) => `foo-bar-${text}.tar.gz`),
  version.map((text) => `other-${text}.zip`),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => text.isWellFormed()),
);
const hex = (bytes: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((array) => Buffer.from(array).toString('hex'));
const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const some = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });

const file = fc.record({
  filename: fileName,
  sha256: some(hex(32)),
  requiresPython: some(text),
  size: some(fc.nat()),
  uploadTime: some(fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true })),
  yanked: fc.oneof(fc.boolean(), text),
  coreMetadata: fc.oneof(fc.boolean(), hex(32)),
  provenance: fc.boolean(),
});
type File = typeof file extends fc.Arbitrary<infer T> ? T : never;

const page = fc.record({
  files: fc.array(file, { maxLength: 12 }),
  html: fc.boolean(),
  hide: fc.infiniteStream(fc.boolean()),
});

function documentOf(files: readonly File[], html: boolean): MetadataDocument {
  const baseUrl = `https://${HOST}/simple/foo-bar/`;
  return html
    ? { bytes: Buffer.from(htmlOf(files)), contentType: 'text/html', baseUrl }
    : { bytes: Buffer.from(jsonOf(files)), contentType: JSON_TYPE, baseUrl };
}

function jsonOf(files: readonly File[]): string {
  return JSON.stringify({
    meta: { 'api-version': '1.4', tracks: [`https://${HOST}/t/`] },
    name: 'Foo_Bar',
    'alternate-locations': [`https://${HOST}/a/`],
    versions: [...new Set(files.map((entry) => entry.filename))],
    files: files.map((entry) => ({
      filename: entry.filename,
      url: `https://${HOST}/f/${encodeURIComponent(entry.filename)}`,
      hashes: entry.sha256 === undefined ? {} : { sha256: entry.sha256 },
      'requires-python': entry.requiresPython,
      size: entry.size,
      'upload-time': entry.uploadTime?.toISOString(),
      yanked: entry.yanked,
      'core-metadata': typeof entry.coreMetadata === 'string' ? { sha256: entry.coreMetadata } : entry.coreMetadata,
      provenance: entry.provenance ? `https://${HOST}/p/` : null,
    })),
  });
}

const escape = (value: string): string => value.replaceAll('&', '&amp;').replaceAll('"', '&quot;');

function htmlOf(files: readonly File[]): string {
  const links = files.map((entry) => {
    const fragment = entry.sha256 === undefined ? '' : `#sha256=${entry.sha256}`;
    const metadata = typeof entry.coreMetadata === 'string' ? `sha256=${entry.coreMetadata}` : `${entry.coreMetadata}`;
    return [
      `<a href="https://${HOST}/f/${encodeURIComponent(entry.filename)}${fragment}"`,
      entry.requiresPython === undefined ? '' : ` data-requires-python="${escape(entry.requiresPython)}"`,
      entry.yanked === false ? '' : ` data-yanked="${escape(entry.yanked === true ? '' : entry.yanked)}"`,
      ` data-core-metadata="${metadata}"`,
      entry.provenance ? ` data-provenance="https://${HOST}/p/"` : '',
      '>x</a>',
    ].join('');
  });
  return `<!DOCTYPE html><meta name="pypi:tracks" content="https://${HOST}/t/">${links.join('\n')}`;
}

interface JsonPage {
  readonly files: readonly ({ readonly filename: string } & Readonly<Record<string, unknown>>)[];
}

function jsonView(document: MetadataDocument, releases: Releases, hidden: ReadonlySet<string>): JsonPage {
  return JSON.parse(body(document, releases, hidden, 'json')) as JsonPage;
}

function body(
  document: MetadataDocument,
  releases: Releases,
  hidden: ReadonlySet<string>,
  representation: string,
): string {
  const context = { publicBase: 'http://spoke.example.test/pypi', representation, detail: '' };
  return pypi.renderView(document, releases, hidden, context).body.toString();
}

/** File names of a page as an adapter further down would read them. */
function namesIn(content: string, contentType: string): readonly string[] {
  const baseUrl = 'http://spoke.example.test/pypi/simple/foo-bar/';
  const read = pypi.readMetadata({ bytes: Buffer.from(content), contentType, baseUrl }, NAME);
  return read.releases.flatMap((release) => release.files.map((entry) => entry.name)).toSorted();
}

test('a view is the unfiltered page minus exactly the files of the hidden versions, field by field', () => {
  fc.assert(
    fc.property(page, ({ files, html, hide }) => {
      const document = documentOf(files, html);
      const releases = pypi.readMetadata(document, NAME);
      const hidden = new Set(
        releases.releases.map((release) => release.version).filter(() => hide.next().value === true),
      );
      const remain = releases.releases.filter((release) => !hidden.has(release.version));
      // With nothing installable left the whole page is shown; that case is a promise of its own.
      const expectAll = !remain.some((release) => release.version !== '');
      const gone = new Set(
        expectAll
          ? []
          : releases.releases
              .filter((release) => hidden.has(release.version))
              .flatMap((release) => release.files.map((entry) => entry.name)),
      );
      const whole = jsonView(document, releases, new Set());
      const view = jsonView(document, releases, hidden);
      assert.deepEqual(
        view.files,
        whole.files.filter((entry) => !gone.has(entry.filename)),
      );
    }),
    { numRuns: 300 },
  );
});

test('every file that the index lists is in the unfiltered page, once, with all that was said of it', () => {
  fc.assert(
    fc.property(fc.array(file, { maxLength: 12 }), (files) => {
      const document = documentOf(files, false);
      const whole = jsonView(document, pypi.readMetadata(document, NAME), new Set());
      const first = new Map<string, File>();
      for (const entry of files) if (!first.has(entry.filename)) first.set(entry.filename, entry);
      assert.deepEqual(
        whole.files.map((entry) => entry.filename),
        [...first.keys()],
      );
      for (const shown of whole.files) {
        const entry = first.get(shown.filename);
        assert.ok(entry !== undefined);
        assert.equal(shown['upload-time'], entry.uploadTime?.toISOString());
        assert.equal(shown['requires-python'], entry.requiresPython);
        assert.equal(shown['size'], entry.size);
        assert.deepEqual(shown['hashes'], entry.sha256 === undefined ? {} : { sha256: entry.sha256 });
        assert.deepEqual(shown['yanked'], entry.yanked === '' ? true : entry.yanked);
        const metadata = typeof entry.coreMetadata === 'string' ? { sha256: entry.coreMetadata } : entry.coreMetadata;
        assert.deepEqual(shown['core-metadata'], metadata);
      }
    }),
    { numRuns: 200 },
  );
});

test('HTML and JSON list the same files, and neither names upstream', () => {
  fc.assert(
    fc.property(page, ({ files, html, hide }) => {
      const document = documentOf(files, html);
      const releases = pypi.readMetadata(document, NAME);
      const hidden = new Set(
        releases.releases.map((release) => release.version).filter(() => hide.next().value === true),
      );
      const bodies = ['json', 'html', 'html-v1', 'legacy-json'].map((form) => body(document, releases, hidden, form));
      const [json = '', asHtml = '', asHtmlV1 = ''] = bodies;
      assert.deepEqual(namesIn(asHtml, 'text/html'), namesIn(json, JSON_TYPE));
      assert.equal(asHtmlV1, asHtml);
      for (const content of bodies) assert.ok(!content.includes(HOST));
    }),
    { numRuns: 300 },
  );
});

test('a link of a page leads back to the file it stands for', () => {
  fc.assert(
    fc.property(fc.array(file, { minLength: 1, maxLength: 6 }), (files) => {
      const document = documentOf(files, false);
      const releases = pypi.readMetadata(document, NAME);
      const at = 'http://spoke.example.test/pypi/simple/foo-bar/';
      for (const shown of jsonView(document, releases, new Set()).files) {
        const link = new URL(String(shown['url']), at);
        const segments = link.pathname.split('/').slice(2).map(decodeURIComponent);
        if (segments[2]?.includes('/') === true || ['.', '..', ''].includes(segments[2] ?? '')) continue;
        const route = pypi.match({ method: 'GET', path: link.pathname, segments, query: '', headers: {} });
        if (route.kind !== 'artifact') continue;
        const found = pypi.findFile(releases, route);
        assert.equal(found?.file.name, shown.filename);
      }
    }),
    { numRuns: 200 },
  );
});

test('whatever upstream sends, reading it fails with a WeirError or not at all', () => {
  const type = fc.constantFrom(JSON_TYPE, 'text/html', 'application/json', '', 'text/plain');
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.json({ maxDepth: 4 }).map((json) => Buffer.from(json)),
    fc.array(fc.json(), { maxLength: 4 }).map((files) => Buffer.from(`{"files":[${files.join(',')}]}`)),
    fc
      .array(
        fc.constantFrom(
          '<a ',
          'href=',
          '"',
          "'",
          'foo-1.zip',
          '>',
          '<base ',
          '<script>',
          '</script>',
          '&',
          '<!--',
          '\0',
          'é',
        ),
      )
      .map((parts) => Buffer.from(parts.join(''))),
  );
  fc.assert(
    fc.property(anything, type, (bytes, contentType) => {
      try {
        pypi.readMetadata({ bytes, contentType, baseUrl: `https://${HOST}/simple/foo-bar/` }, NAME);
      } catch (thrown) {
        assert.ok(thrown instanceof WeirError, String(thrown));
        assert.equal(thrown.code, 'upstream_failed');
      }
    }),
    { numRuns: 1000 },
  );
});
