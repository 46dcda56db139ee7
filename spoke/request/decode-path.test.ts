import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodePath } from './decode-path.ts';
import { REQUEST_LIMITS } from './limits.ts';

const readable: readonly { path: string; segments: readonly string[] }[] = [
  { path: '/', segments: [] },
  { path: '/npm', segments: ['npm'] },
  { path: '/npm/', segments: ['npm', ''] },
  { path: '/npm/left-pad', segments: ['npm', 'left-pad'] },
  { path: '/npm/@acme/paint', segments: ['npm', '@acme', 'paint'] },
  { path: '/npm/@acme%2fpaint', segments: ['npm', '@acme/paint'] },
  { path: '/npm/@acme%2Fpaint', segments: ['npm', '@acme/paint'] },
  { path: '/npm/%40acme%2fpaint', segments: ['npm', '@acme/paint'] },
  {
    path: '/npm/-/npm/v1/attestations/@acme%2fpaint@1.0.0',
    segments: ['npm', '-', 'npm', 'v1', 'attestations', '@acme/paint@1.0.0'],
  },
  { path: '/npm/x/%5E1.0.0', segments: ['npm', 'x', '^1.0.0'] },
  { path: '/npm/x/1.0.0+build', segments: ['npm', 'x', '1.0.0+build'] },
  { path: '/npm/%6c%65ft-pad', segments: ['npm', 'left-pad'] },
  { path: '/npm/caf%C3%A9', segments: ['npm', 'café'] },
  { path: '/npm/..left', segments: ['npm', '..left'] },
];

for (const { path, segments } of readable) {
  test(`decodePath reads ${path}`, () => {
    assert.deepEqual(decodePath(path), { ok: true, segments });
  });
}

const hostile: readonly { name: string; path: string }[] = [
  { name: 'no leading slash', path: 'npm' },
  { name: 'nothing', path: '' },
  { name: 'star form', path: '*' },
  { name: 'absolute form', path: 'http://example.test/npm/x' },
  { name: 'empty segment', path: '/npm//x' },
  { name: 'two trailing slashes', path: '/npm/x//' },
  { name: 'leading double slash', path: '//npm/x' },
  { name: 'dot segment', path: '/npm/./x' },
  { name: 'dot-dot segment', path: '/npm/../x' },
  { name: 'trailing dot-dot', path: '/npm/x/..' },
  { name: 'encoded dot-dot', path: '/npm/%2e%2e/x' },
  { name: 'half encoded dot-dot', path: '/npm/.%2E/x' },
  { name: 'encoded slash around dots', path: '/npm/..%2fx' },
  { name: 'encoded slash without scope', path: '/npm/a%2fb' },
  { name: 'encoded slash, scope without name', path: '/npm/@acme%2f' },
  { name: 'encoded slash, name without scope', path: '/npm/@%2fpaint' },
  { name: 'scope that climbs', path: '/npm/@..%2fpaint' },
  { name: 'scoped name that climbs', path: '/npm/@acme%2f..' },
  { name: 'two encoded slashes', path: '/npm/@acme%2fpaint%2fx' },
  { name: 'encoded tarball path', path: '/npm/paint%2f-%2fpaint-1.0.0.tgz' },
  { name: 'double encoding', path: '/npm/@acme%252fpaint' },
  { name: 'double encoded dots', path: '/npm/%252e%252e/x' },
  { name: 'encoded percent', path: '/npm/a%25b' },
  { name: 'backslash', path: '/npm/a\\b' },
  { name: 'encoded backslash', path: '/npm/a%5Cb' },
  { name: 'NUL', path: '/npm/a%00' },
  { name: 'line break', path: '/npm/a%0d%0aX-Evil:1' },
  { name: 'tab', path: '/npm/a%09' },
  { name: 'escape sequence', path: '/npm/a%1b[2J' },
  { name: 'DEL', path: '/npm/a%7f' },
  { name: 'C1 control', path: '/npm/a%C2%85' },
  { name: 'right-to-left override', path: '/npm/a%E2%80%AEb' },
  { name: 'zero-width space', path: '/npm/a%E2%80%8Bb' },
  { name: 'byte order mark', path: '/npm/%EF%BB%BFa' },
  { name: 'line separator', path: '/npm/a%E2%80%A8b' },
  { name: 'overlong slash', path: '/npm/@acme%C0%AFpaint' },
  { name: 'overlong dot', path: '/npm/%C0%AE%C0%AE/x' },
  { name: 'surrogate half', path: '/npm/%ED%A0%80' },
  { name: 'lone continuation byte', path: '/npm/%80' },
  { name: 'cut triplet', path: '/npm/a%2' },
  { name: 'cut triplet at the end', path: '/npm/a%' },
  { name: 'no hex', path: '/npm/a%zz' },
  { name: 'space', path: '/npm/a b' },
  { name: 'raw UTF-8', path: '/npm/caf\u00e9' },
  { name: 'fragment', path: '/npm/a#b' },
  { name: 'quote', path: '/npm/a"b' },
  { name: 'caret', path: '/npm/x/^1.0.0' },
  { name: 'braces', path: '/npm/{a}' },
  { name: 'long segment', path: `/npm/${'a'.repeat(REQUEST_LIMITS.segmentChars + 1)}` },
  { name: 'many segments', path: '/a'.repeat(REQUEST_LIMITS.segments + 1) },
];

for (const { name, path } of hostile) {
  test(`decodePath refuses ${name}`, () => {
    assert.equal(decodePath(path).ok, false);
  });
}
