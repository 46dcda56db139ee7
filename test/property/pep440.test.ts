// The spoke reads Python versions in two stages that may not share code: the adapter, which orders what it shows, and the
// evidence, which matches what is malicious. Should they ever disagree, a malicious version could be shown as another one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { comparePep440, isPep440Prerelease, normalPep440, parsePep440 } from '@weir/spoke/evidence/pep440.ts';
import { compareParsed, equalityKey, isPrerelease, parseVersion } from '@weir/spoke/registries/pypi/pep440.ts';

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

test('adapter and evidence read the same texts as versions', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        version,
        fc.string({ maxLength: 20 }).map((text) => text.trim()),
      ),
      (text) => {
        assert.equal(parsePep440(text) === undefined, parseVersion(text) === undefined);
      },
    ),
    { numRuns: 2000 },
  );
});

test('adapter and evidence order, equate and class them alike', () => {
  fc.assert(
    fc.property(version, version, (a, b) => {
      const [left, right] = [parsePep440(a), parsePep440(b)];
      const [shownLeft, shownRight] = [parseVersion(a), parseVersion(b)];
      if (left === undefined || right === undefined || shownLeft === undefined || shownRight === undefined) return;
      const order = Math.sign(comparePep440(left, right));
      assert.equal(order, Math.sign(compareParsed(shownLeft, shownRight)));
      assert.equal(order, -Math.sign(comparePep440(right, left)) || 0);
      assert.equal(order === 0, normalPep440(left) === normalPep440(right));
      assert.equal(order === 0, equalityKey(shownLeft) === equalityKey(shownRight));
      assert.equal(isPep440Prerelease(left), isPrerelease(shownLeft));
    }),
    { numRuns: 3000 },
  );
});
