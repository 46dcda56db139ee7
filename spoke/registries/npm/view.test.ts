import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { View, ViewContext } from '../adapter.ts';
import { npm } from './index.ts';
import { documentOf, packument, UPSTREAM } from './packument-for-tests.ts';

const paint = { ecosystem: 'npm', namespace: '@acme', name: 'paint' } as const;
const BASE = 'http://127.0.0.1:4873/npm';

const document = documentOf(
  packument(
    paint,
    [
      { version: '1.0.0', time: '2020-01-01T00:00:00.000Z' },
      {
        version: '1.1.0',
        time: '2020-02-01T00:00:00.000Z',
        entry: {
          scripts: { postinstall: 'node x' },
          deprecated: 'use 2',
          readmeFilename: 'README.md',
          _resolved: `${UPSTREAM}/x.tgz`,
        },
      },
      {
        version: '2.0.0',
        time: '2020-03-01T00:00:00.000Z',
        entry: {
          _npmUser: { name: 'ci', trustedPublisher: { id: 'github' } },
          dist: {
            tarball: `${UPSTREAM}/download/paint/2.0.0/0123.tgz`,
            integrity: 'sha512-x',
            signatures: [{ keyid: 'k', sig: 's' }],
            attestations: {
              url: `${UPSTREAM}/-/npm/v1/attestations/@acme%2fpaint@2.0.0`,
              provenance: { predicateType: 'p' },
            },
          },
        },
      },
    ],
    { readme: 'hello', 'dist-tags': { latest: '2.0.0', old: '1.0.0' }, _rev: '3-x', _attachments: {} },
  ),
);
const releases = npm.readMetadata(document, paint);

function view(representation: string, hidden: readonly string[], over: Partial<ViewContext> = {}): View {
  return npm.renderView(document, releases, new Set(hidden), { publicBase: BASE, representation, detail: '', ...over });
}
type Shown = {
  readonly versions: Record<string, Record<string, unknown>>;
  readonly 'dist-tags': Record<string, string>;
  readonly time: Record<string, string>;
  readonly modified?: string;
} & Record<string, unknown>;
const shown = (rendered: View): Shown => JSON.parse(rendered.body.toString()) as Shown;

test('every tarball and attestation address is ours, in every representation', () => {
  const bodies = ['full', 'abbreviated', 'dist-tags'].map((name) => view(name, []).body.toString());
  bodies.push(view('version', [], { detail: '2.0.0' }).body.toString());
  for (const body of bodies) assert.ok(!body.includes('registry.example.test'), body);
  const dist = shown(view('full', [])).versions['2.0.0']?.['dist'];
  assert.deepEqual(dist, {
    tarball: `${BASE}/@acme/paint/-/paint-2.0.0.tgz`,
    integrity: 'sha512-x',
    signatures: [{ keyid: 'k', sig: 's' }],
    attestations: { url: `${BASE}/-/npm/v1/attestations/@acme%2fpaint@2.0.0`, provenance: { predicateType: 'p' } },
  });
});

test('the full document keeps what upstream says beside the versions', () => {
  const full = shown(view('full', []));
  assert.equal(full['readme'], 'hello');
  assert.equal(full['_id'], '@acme/paint');
  assert.deepEqual([full['_rev'], full['_attachments']], [undefined, undefined]);
  assert.deepEqual(full.versions['2.0.0']?.['_npmUser'], { name: 'ci', trustedPublisher: { id: 'github' } });
  assert.equal(full.time['modified'], '2026-01-01T00:00:00.000Z');
});

test('the abbreviated document has what installing needs, and publish times', () => {
  const rendered = view('abbreviated', []);
  assert.equal(rendered.contentType, 'application/vnd.npm.install-v1+json');
  const short = shown(rendered);
  assert.deepEqual(Object.keys(short).toSorted(), ['dist-tags', 'modified', 'name', 'time', 'versions']);
  assert.equal(short.modified, short.time['modified']);
  assert.deepEqual(short.versions['1.1.0'], {
    name: '@acme/paint',
    version: '1.1.0',
    deprecated: 'use 2',
    hasInstallScript: true,
    dist: shown(view('full', [])).versions['1.1.0']?.['dist'],
  });
});

test('a hidden version leaves no trace: versions, times, tags, modified', () => {
  for (const representation of ['full', 'abbreviated']) {
    const rendered = view(representation, ['2.0.0']);
    assert.deepEqual(rendered.versions, ['1.0.0', '1.1.0']);
    assert.equal(rendered.preferred, '1.1.0');
    assert.ok(!rendered.body.includes('2.0.0'));
    const seen = shown(rendered);
    assert.deepEqual(seen['dist-tags'], { latest: '1.1.0', old: '1.0.0' });
    assert.equal(seen.time['modified'], '2020-02-01T00:00:00.000Z');
  }
  assert.deepEqual(shown(view('dist-tags', ['2.0.0'])), { latest: '1.1.0', old: '1.0.0' });
});

test('when everything is hidden everything is shown, because artifacts are refused', () => {
  const rendered = view('full', ['1.0.0', '1.1.0', '2.0.0']);
  assert.deepEqual(rendered.versions, ['1.0.0', '1.1.0', '2.0.0']);
  assert.equal(rendered.preferred, '2.0.0');
});

const single: readonly { detail: string; hidden: readonly string[]; version?: string; code?: string }[] = [
  { detail: '1.0.0', hidden: [], version: '1.0.0' },
  { detail: 'latest', hidden: [], version: '2.0.0' },
  { detail: 'latest', hidden: ['2.0.0'], version: '1.1.0' },
  { detail: '^1.0.0', hidden: [], version: '1.1.0' },
  { detail: '*', hidden: [], version: '2.0.0' },
  { detail: '>=1', hidden: ['2.0.0'], version: '1.1.0' },
  { detail: '2.0.0', hidden: ['2.0.0'], code: 'forbidden' },
  { detail: 'old', hidden: ['1.0.0'], code: 'forbidden' },
  { detail: '9.9.9', hidden: [], code: 'not_found' },
  { detail: 'none', hidden: [], code: 'not_found' },
  { detail: '^9.0.0', hidden: [], code: 'not_found' },
  { detail: 'constructor', hidden: [], code: 'not_found' },
  { detail: '__proto__', hidden: [], code: 'not_found' },
];
for (const { detail, hidden, version, code } of single) {
  test(`one version: ${detail} with ${hidden.join(' ') || 'nothing'} hidden`, () => {
    if (code === undefined) {
      assert.equal(shown(view('version', hidden, { detail }))['version'], version);
      return;
    }
    assert.throws(
      () => view('version', hidden, { detail }),
      (thrown) => thrown instanceof WeirError && thrown.code === code,
    );
  });
}

test('a flagged version carries our sentence unless upstream already deprecated it', () => {
  const flagged = new Map([
    ['1.0.0', 'Weir: old'],
    ['1.1.0', 'Weir: old'],
  ]);
  for (const representation of ['full', 'abbreviated']) {
    const { versions } = shown(view(representation, [], { flagged }));
    assert.equal(versions['1.0.0']?.['deprecated'], 'Weir: old');
    assert.equal(versions['1.1.0']?.['deprecated'], 'use 2');
    assert.equal(versions['2.0.0']?.['deprecated'], undefined);
  }
});

test('a view needs no parsed form', () => {
  const { parsed: _, ...bare } = releases;
  const context = { publicBase: BASE, representation: 'full', detail: '' };
  assert.deepEqual(npm.renderView(document, bare, new Set(['2.0.0']), context), view('full', ['2.0.0']));
});

test('a member called __proto__ stays a member', () => {
  const text = JSON.stringify(packument(paint, [{ version: '1.0.0' }])).replace('{', '{"__proto__":{"polluted":true},');
  const hostile = documentOf(text);
  const context = { publicBase: BASE, representation: 'full', detail: '' };
  const body = npm.renderView(hostile, npm.readMetadata(hostile, paint), new Set(), context).body.toString();
  assert.ok(body.includes('"__proto__":{"polluted":true}'));
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
});
