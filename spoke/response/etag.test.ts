import assert from 'node:assert/strict';
import { test } from 'node:test';
import { artifactEtag, viewCacheControl, viewEtag, type ViewIdentity } from './etag.ts';

const identity: ViewIdentity = {
  upstream: 'sha256:1',
  representation: 'full',
  detail: '',
  publicBase: 'http://127.0.0.1/npm',
  bundle: 'sha256:2',
  actor: '',
  stance: 'block fresh',
  validUntil: null,
};

test('a view’s tag is strong, quoted, and changes with every part', () => {
  const tag = viewEtag(identity);
  assert.match(tag, /^"[A-Za-z0-9_-]{24}"$/);
  assert.equal(viewEtag({ ...identity }), tag);
  const changes: Partial<ViewIdentity>[] = [
    { upstream: 'sha256:9' },
    { representation: 'abbreviated' },
    { detail: 'latest' },
    { publicBase: 'http://127.0.0.2/npm' },
    { bundle: 'sha256:9' },
    { actor: 'a' },
    { stance: 'warn fresh' },
    { validUntil: 1 },
    { representation: 'ful', detail: 'l' },
  ];
  const tags = changes.map((change) => viewEtag({ ...identity, ...change }));
  assert.equal(new Set([tag, ...tags]).size, changes.length + 1);
});

test('an artifact’s tag is its content', () => {
  assert.match(artifactEtag('ab'.repeat(64)), /^"[A-Za-z0-9_-]{32}"$/);
  assert.notEqual(artifactEtag('ab'.repeat(64)), artifactEtag('ba'.repeat(64)));
});

const cases: readonly [number | null, number, boolean, string][] = [
  [null, 1000, false, 'private, max-age=60, must-revalidate'],
  [2000, 1000, false, 'private, max-age=60, must-revalidate'],
  [1010, 1000, false, 'private, max-age=10, must-revalidate'],
  [1000, 1000, false, 'private, no-cache'],
  [900, 1000, false, 'private, no-cache'],
  [null, 1000, true, 'no-store'],
];
for (const [validUntil, now, notice, expected] of cases) {
  test(`cache-control until ${validUntil} at ${now}${notice ? ' with a notice' : ''}`, () => {
    assert.equal(viewCacheControl(validUntil, now, notice), expected);
  });
}
