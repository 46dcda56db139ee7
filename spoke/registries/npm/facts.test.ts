import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  own,
  readDigests,
  readInstallScripts,
  readLicence,
  readTarball,
  readTime,
  readTrustRank,
  readWithdrawn,
} from './facts.ts';

test('inherited names are not there', () => {
  assert.equal(own({}, 'constructor'), undefined);
  assert.equal(own(JSON.parse('{"__proto__": 1}') as Record<string, unknown>, '__proto__'), 1);
});

const licences: readonly [unknown, string][] = [
  [{ license: 'MIT' }, 'MIT'],
  [{ license: '(MIT OR Apache-2.0)' }, '(MIT OR Apache-2.0)'],
  [{ license: { type: 'BSD', url: 'x' } }, 'BSD'],
  [{ licenses: [{ type: 'MIT' }, { type: 'GPL-2.0' }] }, '(MIT OR GPL-2.0)'],
  [{ licenses: ['MIT'] }, 'MIT'],
  [{ licenses: { type: 'ISC' } }, 'ISC'],
  [{}, ''],
  [{ license: null }, ''],
  [{ license: 7 }, ''],
  [{ license: [] }, ''],
  [{ license: [[], {}, 7] }, ''],
];
for (const [entry, expected] of licences) {
  test(`licence of ${JSON.stringify(entry)}`, () => {
    assert.equal(readLicence(entry as Record<string, unknown>), expected);
  });
}

const scripts: readonly [unknown, readonly string[]][] = [
  [{}, []],
  [{ scripts: { test: 'x', prepare: 'y' } }, []],
  [{ scripts: { preinstall: 'a', install: 'b', postinstall: 'c' } }, ['preinstall', 'install', 'postinstall']],
  [{ scripts: { postinstall: '  ' } }, []],
  [{ scripts: { postinstall: ['rm'] } }, ['postinstall']],
  [{ scripts: 'postinstall' }, []],
  [{ gypfile: true }, ['node-gyp']],
  [{ gypfile: true, scripts: { install: 'prebuild' } }, ['install']],
  [{ gypfile: true, scripts: { postinstall: 'x' } }, ['postinstall', 'node-gyp']],
  [{ hasInstallScript: true }, ['install']],
  [{ hasInstallScript: 'true' }, []],
  [JSON.parse('{"scripts":{"__proto__":{"postinstall":"x"}}}'), []],
];
for (const [entry, expected] of scripts) {
  test(`install scripts of ${JSON.stringify(entry)}`, () => {
    assert.deepEqual(readInstallScripts(entry as Record<string, unknown>), expected);
  });
}

const provenance = { attestations: { provenance: { predicateType: 'x' } } };
const ranks: readonly [unknown, number][] = [
  [{}, 0],
  [{ dist: {} }, 0],
  [{ dist: { attestations: { url: 'x' } } }, 0],
  [{ dist: provenance }, 1],
  [{ _npmUser: { trustedPublisher: { id: 'ci' } } }, 0],
  [{ _npmUser: { trustedPublisher: { id: 'ci' } }, dist: provenance }, 2],
  [{ _npmUser: { approver: { name: 'x' } }, dist: provenance }, 3],
  [{ _npmUser: { approver: {} } }, 3],
  [{ _npmUser: { approver: null, trustedPublisher: false }, dist: provenance }, 1],
  [{ _npmUser: 'approver', dist: [] }, 0],
];
for (const [entry, expected] of ranks) {
  test(`trust rank of ${JSON.stringify(entry)}`, () => {
    assert.equal(readTrustRank(entry as Record<string, unknown>), expected);
  });
}

test('deprecation says something or is none', () => {
  assert.deepEqual(readWithdrawn({ deprecated: 'use x' }), { state: 'deprecated', reason: 'use x' });
  assert.deepEqual(readWithdrawn({ deprecated: true }), { state: 'deprecated', reason: '' });
  for (const deprecated of ['', false, null, 0, {}]) assert.equal(readWithdrawn({ deprecated }), null);
});

test('times are RFC 3339 or unknown', () => {
  assert.equal(readTime('2020-01-01T00:00:00.000Z'), 1_577_836_800);
  assert.equal(readTime('2020-01-01T01:00:00+01:00'), 1_577_836_800);
  for (const value of ['2020-01-01', 'Jan 1 2020', '2020-13-01T00:00:00Z', '1969-01-01T00:00:00Z', 5, null, {}]) {
    assert.equal(readTime(value), null, JSON.stringify(value));
  }
});

test('digests are hex of a full-length hash, the first of its kind', () => {
  const sha512 = Buffer.alloc(64, 1);
  const other = Buffer.alloc(64, 2).toString('base64');
  assert.deepEqual(
    readDigests({ integrity: `sha1-AAAA sha512-${sha512.toString('base64')} sha512-${other}`, shasum: 'A'.repeat(40) }),
    { sha512: sha512.toString('hex'), sha1: 'a'.repeat(40) },
  );
  for (const dist of [
    {},
    { integrity: 5, shasum: [] },
    { integrity: 'sha512-x', shasum: 'zz' },
    { integrity: 'md5-AAAA' },
  ]) {
    assert.deepEqual(readDigests(dist), {});
  }
});

test('a tarball address is http or https without credentials', () => {
  assert.equal(readTarball({ tarball: 'https://example.test/x.tgz' }), 'https://example.test/x.tgz');
  for (const tarball of ['file:///x', '/x.tgz', 'https://u:p@example.test/x', 'javascript:0', '', 7, null]) {
    assert.equal(readTarball({ tarball }), undefined, String(tarball));
  }
});
