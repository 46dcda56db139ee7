// Filtering a packument: the filtered view is the unfiltered one minus exactly the hidden versions, all representations
// agree, no tag dangles, and no upstream address reaches a client. Also: hostile documents fail in one known way.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import semver from 'semver';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { MetadataDocument, Releases, View } from '@weir/spoke/registries/adapter.ts';
import { npm } from '@weir/spoke/registries/npm/index.ts';

const NAME = { ecosystem: 'npm', namespace: '', name: 'pad' } as const;
const UPSTREAM = 'https://registry.example.test';
const BASE = 'http://127.0.0.1:4873/npm';

interface Shown {
  readonly versions: Readonly<
    Record<string, { readonly dist: Readonly<Record<string, unknown>> } & Record<string, unknown>>
  >;
  readonly 'dist-tags': Readonly<Record<string, string>>;
  readonly time: Readonly<Record<string, string>>;
}

const version = fc
  .tuple(
    fc.nat(3),
    fc.nat(3),
    fc.nat(2),
    fc.option(fc.constantFrom('alpha.1', 'beta.1', 'beta.2', 'rc.1', '0', 'canary-9f-1')),
  )
  .map(([major, minor, patch, pre]) => `${major}.${minor}.${patch}${pre === null ? '' : `-${pre}`}`);
const extra = fc.dictionary(
  fc.constantFrom(
    'scripts',
    'license',
    'deprecated',
    'gypfile',
    'funding',
    '_npmUser',
    'bin',
    'hasInstallScript',
    '__proto__',
    'x',
  ),
  fc.jsonValue({ maxDepth: 2 }),
  { maxKeys: 4 },
);
const packument = fc
  .uniqueArray(version, { minLength: 1, maxLength: 12 })
  .chain((versions) =>
    fc.tuple(
      fc.constant(versions),
      fc.array(extra, { minLength: versions.length, maxLength: versions.length }),
      fc.array(fc.integer({ min: 1_500_000_000, max: 1_800_000_000 }), {
        minLength: versions.length,
        maxLength: versions.length,
      }),
      fc.dictionary(
        fc.constantFrom('latest', 'next', 'beta', 'constructor', 'v1'),
        fc.constantFrom(...versions, '9.9.9'),
        { maxKeys: 4 },
      ),
      fc.subarray(versions),
    ),
  )
  .map(([versions, extras, times, tags, hidden]) => ({
    hidden,
    value: {
      name: 'pad',
      'dist-tags': tags,
      versions: Object.fromEntries(
        versions.map((key, index) => [
          key,
          {
            ...extras[index],
            name: 'pad',
            version: key,
            dist: {
              tarball: `${UPSTREAM}/pad/-/pad-${key}.tgz`,
              attestations: { url: `${UPSTREAM}/-/npm/v1/attestations/pad@${key}` },
              signatures: [{ keyid: 'k', sig: key }],
            },
          },
        ]),
      ),
      time: {
        created: '2017-01-01T00:00:00.000Z',
        modified: '2027-01-01T00:00:00.000Z',
        ...Object.fromEntries(versions.map((key, index) => [key, new Date((times[index] ?? 0) * 1000).toISOString()])),
      },
    },
  }));

function documentOf(value: unknown): MetadataDocument {
  return { bytes: Buffer.from(JSON.stringify(value)), contentType: 'application/json', baseUrl: `${UPSTREAM}/pad` };
}

function render(
  document: MetadataDocument,
  releases: Releases,
  hidden: readonly string[],
  representation: string,
  detail = '',
): View {
  return npm.renderView(document, releases, new Set(hidden), { publicBase: BASE, representation, detail });
}

test('filtered = unfiltered minus exactly the hidden versions, and every representation agrees', () => {
  fc.assert(
    fc.property(packument, ({ value, hidden }) => {
      const document = documentOf(value);
      const releases = npm.readMetadata(document, NAME);
      const all = releases.releases.map((release) => release.version);
      const gone = hidden.length === all.length ? [] : hidden;
      const kept = all.filter((key) => !gone.includes(key));
      const tags: string[] = [];
      for (const representation of ['full', 'abbreviated']) {
        const whole = JSON.parse(render(document, releases, [], representation).body.toString()) as Shown;
        const view = render(document, releases, hidden, representation);
        const part = JSON.parse(view.body.toString()) as Shown;
        assert.deepEqual(view.versions, kept);
        assert.deepEqual(
          Object.keys(part.versions),
          Object.keys(whole.versions).filter((key) => !gone.includes(key)),
        );
        for (const key of kept) {
          assert.deepEqual(part.versions[key], whole.versions[key]);
          assert.equal(part.time[key], value.time[key as keyof typeof value.time]);
          assert.equal(part.versions[key]?.dist['tarball'], `${BASE}/pad/-/pad-${key}.tgz`);
          assert.deepEqual(part.versions[key]?.dist['signatures'], [{ keyid: 'k', sig: key }]);
        }
        for (const key of gone) assert.ok(!Object.hasOwn(part.time, key));
        assert.ok(!view.body.includes('registry.example.test'));
        tags.push(JSON.stringify(part['dist-tags']));
        assert.equal(view.preferred, Object.hasOwn(part['dist-tags'], 'latest') ? part['dist-tags']['latest'] : '');
      }
      tags.push(render(document, releases, hidden, 'dist-tags').body.toString());
      assert.equal(new Set(tags).size, 1);
      checkTags(value['dist-tags'], JSON.parse(tags[0] ?? '{}') as Record<string, string>, kept);
      for (const key of kept) {
        const one = JSON.parse(render(document, releases, hidden, 'version', key).body.toString()) as {
          version: string;
        };
        assert.equal(one.version, key);
      }
      for (const key of gone) assert.throws(() => render(document, releases, hidden, 'version', key), WeirError);
    }),
    { numRuns: 1500 },
  );
});

function checkTags(before: Record<string, string>, after: Record<string, string>, kept: readonly string[]): void {
  for (const [tag, target] of Object.entries(after)) {
    assert.ok(kept.includes(target), `${tag} dangles`);
    const original = before[tag] ?? '';
    if (kept.includes(original)) assert.equal(target, original, `${tag} moved for nothing`);
    if (tag !== 'latest') continue;
    if (semver.prerelease(original) === null)
      assert.equal(semver.prerelease(target), null, 'latest became a pre-release');
    if (semver.prerelease(target) === null) assert.ok(semver.lte(target, original), 'latest rose');
  }
  const latest = before['latest'];
  if (latest === undefined || kept.includes(latest) || after['latest'] !== undefined) return;
  const lower = kept.filter((key) => semver.prerelease(key) === null && semver.lte(key, latest));
  assert.deepEqual(lower, [], 'latest was removed although a version was left for it');
}

test('whatever the document, reading it gives releases or one known error, and then every view renders', () => {
  const member = fc.constantFrom(
    'name',
    'versions',
    'time',
    'dist-tags',
    '__proto__',
    'constructor',
    '1.0.0',
    '2.0.0',
    'dist',
    'tarball',
    'x',
  );
  const { value: hostile } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(
        'pad',
        '1.0.0',
        '2.0.0',
        `${UPSTREAM}/pad/-/pad-1.0.0.tgz`,
        '2020-01-01T00:00:00Z',
        '',
        null,
        true,
        -1,
        Number.MAX_VALUE,
      ),
      fc.array(tie('value'), { maxLength: 3 }),
      fc
        .array(fc.tuple(member, tie('value')), { maxLength: 5 })
        .map((entries) => Object.fromEntries(entries) as unknown),
    ),
  }));
  const document = fc.tuple(hostile, hostile, hostile, hostile).map(([versions, time, tags, rest]) => ({
    ...(typeof rest === 'object' ? rest : {}),
    name: 'pad',
    versions,
    time,
    'dist-tags': tags,
  }));
  fc.assert(
    fc.property(document, (value) => {
      const bytes = documentOf(value);
      let releases: Releases;
      try {
        releases = npm.readMetadata(bytes, NAME);
      } catch (thrown) {
        assert.ok(thrown instanceof WeirError && thrown.code === 'upstream_failed');
        return;
      }
      for (const representation of ['full', 'abbreviated', 'dist-tags'])
        render(bytes, releases, ['1.0.0'], representation);
    }),
    { numRuns: 10_000 },
  );
});
