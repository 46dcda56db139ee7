// Python versions mean what pip takes them to mean: should the spoke read one differently, a malicious version could pass as
// another one.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compareParsed, equalityKey, isPrerelease, parseVersion } from '@weir/spoke/versions/pep440.ts';

const number = fc.oneof(
  fc.constantFrom('', '0', '00', '01'),
  fc.nat(30).map(String),
  fc.constant('99999999999999999999'),
);
const digits = fc.oneof(fc.nat(12).map(String), fc.constantFrom('00', '01', '2024', '99999999999999999999'));
const separator = fc.constantFrom('', '.', '-', '_');
const optional = (part: fc.Arbitrary<string>) => fc.oneof(fc.constant(''), part);

const version = fc
  .tuple(
    fc.constantFrom('', '', 'v', 'V'),
    optional(digits.map((epoch) => `${epoch}!`)),
    fc.array(digits, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.')),
    optional(
      fc
        .tuple(separator, fc.constantFrom('a', 'b', 'c', 'rc', 'alpha', 'Beta', 'pre', 'preview'), separator, number)
        .map((p) => p.join('')),
    ),
    optional(
      fc.oneof(
        digits.map((post) => `-${post}`),
        fc.tuple(separator, fc.constantFrom('post', 'rev', 'R'), separator, number).map((p) => p.join('')),
      ),
    ),
    optional(fc.tuple(separator, fc.constantFrom('dev', 'DEV'), separator, number).map((p) => p.join(''))),
    optional(
      fc
        .array(fc.stringMatching(/^[a-z0-9]{1,4}$/), { minLength: 1, maxLength: 3 })
        .map((parts) => `+${parts.join('.')}`),
    ),
  )
  .map((parts) => parts.join(''));

/** What pip's own library makes of texts: null for what is no version, else its spelling and whether it is a pre-release. */
async function askPip(texts: readonly string[]): Promise<readonly ({ order: number; prerelease: boolean } | null)[]> {
  const { stdout } = await new Promise<{ stdout: string }>((resolve, reject) => {
    const child = execFile('python3', ['-c', ORACLE], { maxBuffer: 1 << 26 }, (error, out) =>
      error === null ? resolve({ stdout: out }) : reject(error),
    );
    child.stdin?.end(JSON.stringify(texts));
  });
  return JSON.parse(stdout) as readonly ({ order: number; prerelease: boolean } | null)[];
}

/** Equal versions get the same rank. */
const ORACLE = `
import json, sys
from pip._vendor.packaging.version import InvalidVersion, Version
def read(text):
    try: return Version(text)
    except InvalidVersion: return None
versions = [read(text) for text in json.load(sys.stdin)]
ranks = {version: rank for rank, version in enumerate(sorted({v for v in versions if v is not None}))}
print(json.dumps([None if v is None else {"order": ranks[v], "prerelease": v.is_prerelease} for v in versions]))
`;

test("versions are read, ordered, equated and classed as pip's own library does", async () => {
  const texts = [
    ...fc.sample(version, 3000),
    ...fc.sample(fc.string({ maxLength: 20 }), 1000).filter((text) => /^[\x20-\x7e]*$/.test(text)),
  ];
  const answers = await askPip(texts);
  const read = texts.map((text, i) => ({ text, parsed: parseVersion(text), pip: answers[i] ?? null }));
  for (const { text, parsed, pip } of read) assert.equal(parsed === undefined, pip === null, JSON.stringify(text));
  const versions = read.flatMap(({ text, parsed, pip }) =>
    parsed === undefined || pip === null ? [] : [{ text, parsed, pip }],
  );
  for (const { text, parsed, pip } of versions) assert.equal(isPrerelease(parsed), pip.prerelease, text);
  for (let i = 0; i + 1 < versions.length; i += 1) {
    for (const step of [1, 7, 501]) {
      const [a, b] = [versions[i], versions[(i + step) % versions.length]];
      if (a === undefined || b === undefined) continue;
      const order = Math.sign(a.pip.order - b.pip.order);
      assert.equal(Math.sign(compareParsed(a.parsed, b.parsed)), order, `${a.text} and ${b.text}`);
      assert.equal(equalityKey(a.parsed) === equalityKey(b.parsed), order === 0, `${a.text} and ${b.text}`);
    }
  }
});
